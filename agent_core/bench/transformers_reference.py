"""Reference for speed comparisons: CLIP and OPT from `transformers`, joined as the paper joins them.

It is not a policy: weights are random, and only the number of tokens that it generates counts.
"""

from __future__ import annotations

import importlib
from collections import deque
from typing import Any

import torch
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.errors import TransformersReferenceError
from agent_core.model.conv_stem import normalize_pixels
from games import Frame


class TransformersReference:
    """A sliding window of T frames: the text, then visual tokens and action tokens of each frame."""

    def __init__(
        self, config: ModelConfig, precision: str, cached_embeddings: bool, device: torch.device
    ) -> None:
        try:
            library: Any = importlib.import_module("transformers")
        except ImportError:
            raise TransformersReferenceError(
                "the comparison needs transformers: pip install transformers"
            ) from None
        if not (config.is_vit_opt and config.visual_tokens == 1 + config.patch_grid[0] ** 2):
            raise TransformersReferenceError(
                "the comparison runs with the paper's sizes alone: --preset paper"
            )
        library.logging.set_verbosity_error()
        dtype = getattr(torch, precision)
        vision = library.CLIPVisionConfig(
            hidden_size=config.width, intermediate_size=4 * config.width, num_hidden_layers=config.layers,
            num_attention_heads=config.heads, image_size=config.frame_height, patch_size=config.patch,
        )  # fmt: skip
        decoder = library.OPTConfig(
            vocab_size=config.padded_vocab_size, hidden_size=config.width, num_hidden_layers=config.layers,
            ffn_dim=4 * config.width, num_attention_heads=config.heads, word_embed_proj_dim=config.width,
            max_position_embeddings=config.positions + 64,
        )  # fmt: skip
        self._clip = library.CLIPVisionModel(vision).eval().to(device, dtype)
        self._opt = library.OPTForCausalLM(decoder).eval().to(device, dtype)
        self._visual_in = nn.Linear(config.width, config.width).to(device, dtype)
        self._device, self._dtype, self._cached = device, dtype, cached_embeddings
        # of each frame of the window: visual tokens (1, 197, D) if they are cached, else pixels (1, 3, H, W)
        self._window: deque[Tensor] = deque(maxlen=config.context_frames)
        self._actions: deque[Tensor] = deque(maxlen=config.context_frames - 1)
        self._text = torch.zeros(1, 0, config.width, device=device, dtype=dtype)

    @torch.inference_mode()
    def reset(self, text: list[int]) -> None:
        """Start an episode with an instruction, as token ids."""
        self._window.clear()
        self._actions.clear()
        self._text = self._embed_ids(text)

    @torch.inference_mode()
    def act(self, frame: Frame, executed: list[int], start: int) -> None:
        """One frame: embed the window, and generate as many tokens as the action `executed` and its END have."""
        pixels = normalize_pixels(torch.from_numpy(frame)[None].to(self._device)).to(self._dtype)
        self._window.append(self._encode(pixels) if self._cached else pixels)
        embeddings = self._embed_window(start)
        count = len(executed) + 1
        self._opt.generate(
            inputs_embeds=embeddings, max_new_tokens=count, min_new_tokens=count, do_sample=False, use_cache=True,
            attention_mask=embeddings.new_ones(embeddings.shape[:2], dtype=torch.long), pad_token_id=1,
        )  # fmt: skip
        self._actions.append(self._embed_ids([start, *executed, start + 1]))

    def _embed_window(self, start: int) -> Tensor:
        """Text, visual and action tokens of the window, then START: (1, length, D)."""
        visual = list(self._window)
        if not self._cached:
            visual = list(torch.split(self._encode(torch.cat(visual)), 1))
        segments = [self._text]
        for of_frame, of_action in zip(visual[:-1], self._actions, strict=False):
            segments += [of_frame, of_action]
        return torch.cat([*segments, visual[-1], self._embed_ids([start])], 1)

    def _encode(self, pixels: Tensor) -> Tensor:
        """Pixels (F, 3, H, W) -> visual tokens (F, 197, D)."""
        out: Tensor = self._visual_in(self._clip(pixels).last_hidden_state)
        return out

    def _embed_ids(self, ids: list[int]) -> Tensor:
        """Token ids -> embeddings (1, length, D)."""
        out: Tensor = self._opt.get_input_embeddings()(torch.tensor([ids], device=self._device))
        return out
