"""Where does a token stand, and which earlier ones may it look at?

One rule serves training, where a whole window is one pass, and play, where keys come from a cache: a token sees
the instruction, its own frame, and frames fewer than `memory` behind it. The visual tokens of a frame see each
other; everything else is causal. Past actions can be hidden (`shown` false).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

INSTRUCTION = -1
"""Frame number of instruction tokens."""


@dataclass
class Places:
    """Per token: frame number, order within the frame, visual?, visible to later frames?, real?

    Each is (B, L), or broadcasts to it: in training the first three are alike for all windows, (1, L).
    """

    frame: Tensor
    order: Tensor
    visual: Tensor
    shown: Tensor
    valid: Tensor

    def look_at(self, keys: Places, memory: int) -> tuple[Tensor, Tensor]:
        """What each query may see, (B, Lq, Lk) bool, and the time bucket of each pair, (B, Lq, Lk) long.

        Buckets: 0..memory-1 frames back, `memory` for the instruction.
        """
        qf, kf = self.frame[:, :, None], keys.frame[:, None, :]
        back = qf - kf
        earlier = keys.order[:, None, :] <= self.order[:, :, None]
        together = self.visual[:, :, None] & keys.visual[:, None, :]
        instruction = kf == INSTRUCTION
        same = (back == 0) & (earlier | together)
        past = (back > 0) & (back < memory) & (keys.visual | keys.shown)[:, None, :] & ~instruction
        seen = (instruction & ((qf > INSTRUCTION) | earlier)) | (same & ~instruction) | past
        bucket = torch.where(instruction, memory, back.clamp(0, memory - 1))
        return seen & keys.valid[:, None, :], bucket
