"""What would it cost with off-the-shelf parts? CLIP and OPT from `transformers`, joined as the paper joins them.

A measuring rod, not a policy: weights are random, and the tokens it writes are counted, not read.
"""

from __future__ import annotations

import importlib
from collections import deque
from typing import Any

import torch
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.model.conv_stem import normalize_pixels
from games import Frame


class TransformersReferenceError(RuntimeError):
    """The route cannot be taken here; the message says what is missing."""


class TransformersReference:
    """A sliding window of T frames: text, then per frame its visual tokens and the action after it."""

    def __init__(
        self, config: ModelConfig, precision: str, cached_pictures: bool, device: torch.device
    ) -> None:
        try:
            library: Any = importlib.import_module("transformers")
        except ImportError:
            raise TransformersReferenceError(
                "the comparison needs transformers: pip install transformers"
            ) from None
        if not (config.is_vit_opt and config.visual_tokens == 1 + config.patch_grid[0] ** 2):
            raise TransformersReferenceError(
                "the plain route has the paper's sizes alone: --preset paper"
            )
        library.logging.set_verbosity_error()
        dtype = getattr(torch, precision)
        see = library.CLIPVisionConfig(
            hidden_size=config.width, intermediate_size=4 * config.width, num_hidden_layers=config.layers,
            num_attention_heads=config.heads, image_size=config.frame_height, patch_size=config.patch,
        )  # fmt: skip
        tell = library.OPTConfig(
            vocab_size=config.padded_vocab_size, hidden_size=config.width, num_hidden_layers=config.layers,
            ffn_dim=4 * config.width, num_attention_heads=config.heads, word_embed_proj_dim=config.width,
            max_position_embeddings=config.positions + 64,
        )  # fmt: skip
        self._clip = library.CLIPVisionModel(see).eval().to(device, dtype)
        self._opt = library.OPTForCausalLM(tell).eval().to(device, dtype)
        self._enter = nn.Linear(config.width, config.width).to(device, dtype)
        self._device, self._dtype, self._cached = device, dtype, cached_pictures
        self._frames: deque[Tensor] = deque(maxlen=config.context_frames)
        self._actions: deque[Tensor] = deque(maxlen=config.context_frames - 1)
        self._text = torch.zeros(1, 0, config.width, device=device, dtype=dtype)

    @torch.inference_mode()
    def begin(self, text: list[int]) -> None:
        """A new episode with this instruction, as ids."""
        self._frames.clear()
        self._actions.clear()
        self._text = self._words(text)

    @torch.inference_mode()
    def act(self, frame: Frame, done: list[int], start: int) -> None:
        """One frame: build the window, write as many tokens as the action `done` and its end take."""
        picture = normalize_pixels(torch.from_numpy(frame)[None].to(self._device)).to(self._dtype)
        self._frames.append(self._see(picture) if self._cached else picture)
        seen = list(self._frames)
        if not self._cached:
            seen = list(torch.split(self._see(torch.cat(seen)), 1))
        parts = [self._text]
        for visual, action in zip(seen[:-1], self._actions, strict=False):
            parts += [visual, action]
        parts += [seen[-1], self._words([start])]
        window = torch.cat(parts, 1)
        count = len(done) + 1
        self._opt.generate(
            inputs_embeds=window, max_new_tokens=count, min_new_tokens=count, do_sample=False, use_cache=True,
            attention_mask=window.new_ones(window.shape[:2], dtype=torch.long), pad_token_id=1,
        )  # fmt: skip
        self._actions.append(self._words([start, *done, start + 1]))

    def _see(self, pictures: Tensor) -> Tensor:
        """(F, 3, H, W) -> (F, 197, D)."""
        out: Tensor = self._enter(self._clip(pictures).last_hidden_state)
        return out

    def _words(self, ids: list[int]) -> Tensor:
        """Ids -> (1, length, D)."""
        out: Tensor = self._opt.get_input_embeddings()(torch.tensor([ids], device=self._device))
        return out
