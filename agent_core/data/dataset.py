"""Window dataset: all episodes' steps as flat tensors on the device, training windows by index.

Frames of all episodes lie behind each other in one uint8 tensor; actions and texts are ids in padded tables. A batch
is a few index operations, no work per sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent_core.config import DataConfig
from agent_core.model.batch import Batch


class FrameSource(Protocol):
    """Frames (M, H, W, 3) that are read when they are asked for, as `recorder.JpegFrames` gives them."""

    shape: tuple[int, int, int, int]

    def __len__(self) -> int: ...
    def read(self, indices: NDArray[np.int64], /) -> NDArray[np.uint8]: ...


Frames = NDArray[np.uint8] | FrameSource
"""(M, H, W, 3)."""


@dataclass(frozen=True)
class WindowDraw:
    """B sampled windows: where each ends and how it is cut, (B,) tensors."""

    last: Tensor
    """Index of the step that a window ends on."""
    offset: Tensor
    """Steps from the window's last frame back to the one before it, in [1, frame_stride]."""
    length: Tensor
    """Frames that are kept; older ones are absent."""
    actions_masked: Tensor
    """bool: later frames cannot see the actions of earlier ones."""
    position_offset: Tensor
    """Block of the first frame, where positions are absolute."""

    def __getitem__(self, rows: slice) -> WindowDraw:
        return WindowDraw(
            self.last[rows],
            self.offset[rows],
            self.length[rows],
            self.actions_masked[rows],
            self.position_offset[rows],
        )


@dataclass
class WindowDataset:
    """All steps (M) of all episodes (E) as tensors."""

    frames: Tensor | FrameSource
    """(M, H, W, 3) uint8; may stay on the CPU where the device is too small, or on the disk as JPEGs."""
    target_actions: Tensor
    """(M, A) ids of the wanted actions: a chunk from each step on."""
    executed: Tensor
    """(M, A) ids of what the game did."""
    episode_start: Tensor
    """(M,) index of the first step of the episode, or of the part of it behind the last dropped step or under the
    same instruction: no window reaches over a gap or into another instruction."""
    text_index: Tensor
    """(M,) row of `texts`: an episode's, or one of several where its instruction changes."""
    thought: Tensor
    """(M,) row of `thoughts`."""
    texts: Tensor
    """(E, W) instruction ids; as many rows of an episode as it has instructions one after another."""
    thoughts: Tensor
    """(U, K) ids; row 0 is empty."""
    cumulative_weights: dict[str, Tensor]
    """By split ("train", "validation") and by split and game ("train/voxel"): cumulated weight of steps, float64."""
    frame_stride: int
    context_frames: int
    no_text: Tensor
    """(W,) ids of the empty instruction."""
    end: int
    """The id that closes an action."""
    is_target: Tensor
    """(M,) bool: the step's action is learned; others are context alone."""

    @property
    def device(self) -> torch.device:
        return self.target_actions.device

    def games(self, split: str) -> tuple[str, ...]:
        """The games that windows of a split may come from, by their specs' names."""
        names = [name for name in self.cumulative_weights if name.startswith(f"{split}/")]
        return tuple(name.partition("/")[2] for name in names if self.steps(name))

    def is_drawn(self, split: str) -> Tensor:
        """(M,) bool: steps of a split that are sampled at all."""
        weights = self.cumulative_weights[split]
        return torch.diff(weights, prepend=weights.new_zeros(1)) > 0

    def steps(self, split: str) -> int:
        """Number of steps that windows of a split may end on: one pass over the data."""
        return int(self.is_drawn(split).sum())

    def draw_steps(self, split: str, size: int, generator: torch.Generator) -> Tensor:
        """(B,) indices of steps, sampled by weight with replacement."""
        total = self.cumulative_weights[split]
        chance = torch.rand(size, generator=generator, device=self.device, dtype=torch.float64)
        index = torch.searchsorted(total, chance * total[-1], right=True)
        return index.clamp(max=len(total) - 1)

    def draw_windows(
        self,
        split: str,
        size: int,
        config: DataConfig,
        generator: torch.Generator,
        *,
        training: bool,
    ) -> WindowDraw:
        """Sample windows; in training some are truncated and some see earlier actions, else none, as in play."""
        device, count = self.device, config.window_frames
        last = self.draw_steps(split, size, generator)
        offset = torch.randint(
            1, self.frame_stride + 1, (size,), generator=generator, device=device
        )
        chance = torch.rand(4, size, generator=generator, device=device)
        length = torch.full((size,), count, device=device)
        masked = torch.ones(size, dtype=torch.bool, device=device)
        if training:
            truncated = 1 + (chance[1] * count).long().clamp(max=count - 1)
            length = torch.where(chance[0] < config.truncate_prob, truncated, length)
            length = length.masked_fill(chance[3] < config.single_frame_prob, 1)
            masked = chance[2] < config.mask_actions_prob
        position = torch.randint(
            0, self.context_frames, (size,), generator=generator, device=device
        )
        return WindowDraw(last, offset, length, masked, position)

    def sample(
        self,
        split: str,
        size: int,
        config: DataConfig,
        generator: torch.Generator,
        rows: slice = slice(None),
    ) -> Batch:
        """Sample a training batch and read `rows` of it; which windows are drawn does not depend on `rows`."""
        draw = self.draw_windows(split, size, config, generator, training=True)
        return self.build_windows(draw[rows], config.window_frames)

    def build_windows(self, draw: WindowDraw, count: int) -> Batch:
        """Windows of `count` frames ending on steps `draw.last`; the frame before lies `draw.offset` steps back,
        then every `frame_stride`.

        An episode's first frame stands in block 0, as in play; other windows begin in block `draw.position_offset`.
        """
        last = draw.last
        # steps back from the last but one frame: (count,), ..., stride, 0, -stride (the last, replaced below)
        back = torch.arange(count - 2, -2, -1, device=self.device) * self.frame_stride
        steps = last[:, None] - draw.offset[:, None] - back[None]  # (B, count)
        steps[:, -1] = last
        first = self.episode_start[last][:, None]
        kept = torch.arange(count - 1, -1, -1, device=self.device)[None] < draw.length[:, None]
        present = (steps >= first) & kept
        steps = torch.maximum(steps, first)
        labels, executed = self.target_actions[steps], self.executed[steps]  # (B, count, A)
        same = (labels == executed).all(2)
        newest = torch.arange(count, device=self.device) == count - 1
        # A frame whose action later frames see holds the executed one, and is a target only where both are the same.
        is_label = draw.actions_masked[:, None] | newest[None]
        return Batch(
            self.read_frames(steps),
            present,
            self.texts[self.text_index[last]],
            torch.where(is_label[:, :, None], labels, executed),
            (is_label | same) & self.is_target[steps],
            self.thoughts[self.thought[last]],
            draw.actions_masked,
            torch.where(present[:, 0], draw.position_offset, 0),
        )

    def swapped_instructions(
        self, split: str, last: Tensor, generator: torch.Generator
    ) -> Tensor | None:
        """(B, W) ids of other words than those of steps `last` (B,), from the same split.

        None where all its steps have the same instruction.
        """
        drawn = torch.unique(self.text_index[self.is_drawn(split)])
        words, word_index = torch.unique(self.texts[drawn], dim=0, return_inverse=True)
        if len(words) < 2:
            return None
        index = word_index[torch.searchsorted(drawn, self.text_index[last])]
        shift = torch.randint(1, len(words), index.shape, generator=generator, device=self.device)
        out: Tensor = words[(index + shift) % len(words)]
        return out

    def read_frames(self, steps: Tensor) -> Tensor:
        """The frames of steps (…): (…, H, W, 3) uint8 on the device.

        From main memory they are copied to a GPU through pinned memory, asynchronously.
        """
        if isinstance(self.frames, Tensor) and self.frames.device == self.device:
            return self.frames[steps]
        indices = steps.flatten().cpu()
        size, on_gpu = (len(indices), *self.frames.shape[1:]), self.device.type == "cuda"
        frames = torch.empty(size, dtype=torch.uint8, pin_memory=on_gpu)
        if isinstance(self.frames, Tensor):
            torch.index_select(self.frames, 0, indices, out=frames)
        else:
            frames.copy_(torch.from_numpy(self.frames.read(indices.numpy())))
        return frames.to(self.device, non_blocking=True).view(*steps.shape, *size[1:])

    def action_changed(self, last: Tensor) -> Tensor:
        """(B,) bool: the wanted action differs from the step before (an episode's first step does not count)."""
        before = torch.maximum(last - 1, self.episode_start[last])
        action = self.first_action(self.target_actions[last])
        return (action != self.first_action(self.target_actions[before])).any(1)

    def first_action(self, ids: Tensor) -> Tensor:
        """The first action of chunks (…, A): ids up to the first END, 0 behind it."""
        ends = (ids == self.end).long()
        out: Tensor = ids * (ends.cumsum(-1) == ends)
        return out


def step_generator(seed: int, step: int, device: torch.device) -> torch.Generator:
    """Random numbers of one training step, from the run's seed and the step alone."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + step) % (1 << 63))
