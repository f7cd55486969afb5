"""How do text, pictures and actions become one sequence? The Interactive Agent Foundation Model, at our sizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.model.decoder import Decoder
from agent_core.model.mae import PixelDecoder
from agent_core.model.vision import VisionTower, normalise
from agent_core.sequence import Batch, Layout, attention_bias, sight

_SLOT = 0.5
"""Size of embeddings beside the visual tokens' 1: much smaller, and places in the picture are learned late."""


@dataclass
class Outputs:
    """Hidden states by segment, and what the pixel decoder needs."""

    text: Tensor
    """(B, W, D)."""
    actions: Tensor
    """(B, N, A, D)."""
    thought: Tensor
    """(B, K, D)."""
    visual: Tensor
    """(B, N, V, D), before the decoder."""


class IAFM(nn.Module):
    """Vision tower, one causal transformer, pixel decoder; output weights are tied to the token embedding."""

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.vision = VisionTower(config)
        self.pixels = PixelDecoder(config)
        self.decoder = Decoder(config)
        self.token = nn.Embedding(vocabulary_size, width)
        self.text_slot = nn.Parameter(torch.randn(config.text_slots, width) * _SLOT)
        self.visual_slot = nn.Parameter(torch.randn(config.visual_tokens, width) * _SLOT)
        self.action_slot = nn.Parameter(torch.randn(config.action_slots, width) * _SLOT)
        self.thought_slot = nn.Parameter(torch.randn(config.thought_slots, width) * _SLOT)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary_size))
        nn.init.normal_(self.token.weight, std=_SLOT / config.embedding_scale)
        self.token_scale = config.embedding_scale

    def forward(self, batch: Batch, pictures: Tensor | None = None) -> Outputs:
        """Hidden states of all windows; `pictures` (B * N, 3, H, W) replaces the batch's frames (jittered, masked)."""
        size, count = batch.present.shape
        if pictures is None:
            pictures = normalise(batch.frames)
        visual = self.vision(pictures).unflatten(0, (size, count))  # (B, N, V, D)
        layout = Layout(
            batch.text.shape[1],
            count,
            visual.shape[2],
            batch.actions.shape[2],
            batch.thought.shape[1],
        )
        glance = self.glance(visual)
        pressed = self.embed_action(batch.actions, glance=glance)
        blocks = torch.cat([visual + self.visual_slot, pressed], 2)
        x = torch.cat(
            [self.embed_text(batch.text), blocks.flatten(1, 2), self.embed_thought(batch.thought)],
            1,
        )
        seen = sight(layout, self.config.memory_frames, x.device)
        bias = attention_bias(self.decoder.time_bias, seen, batch.hidden, _valid(batch, layout))
        hidden = self.decoder(x, bias)
        middle = layout.text + layout.frames * layout.block
        body = hidden[:, layout.text : middle].unflatten(1, (layout.frames, layout.block))
        return Outputs(
            hidden[:, : layout.text], body[:, :, layout.visual :], hidden[:, middle:], visual
        )

    def glance(self, visual: Tensor) -> Tensor:
        """The whole-picture token (…, D) of visual tokens (…, V, D); zeros where the model has none."""
        return visual[..., -1, :] if self.config.glance else torch.zeros_like(visual[..., -1, :])

    def embed_token(self, ids: Tensor) -> Tensor:
        """Ids (…) -> (…, D), scaled up from the output matrix they are tied to."""
        out: Tensor = self.token(ids) * self.token_scale
        return out

    def embed_text(self, ids: Tensor) -> Tensor:
        """(B, W) -> (B, W, D)."""
        out: Tensor = self.embed_token(ids) + self.text_slot[: ids.shape[1]]
        return out

    def embed_action(self, ids: Tensor, glance: Tensor) -> Tensor:
        """(…, A) and the whole-picture token (…, D) of the same frame -> (…, A, D).

        Every action token carries the whole picture: among dozens of tokens attention would find it late (measured: a
        task of coloured squares stayed at chance for 500 steps without this, and a plain CNN solves it in 700).
        """
        out: Tensor = (
            self.embed_token(ids) + self.action_slot[: ids.shape[-1]] + glance[..., None, :]
        )
        return out

    def embed_thought(self, ids: Tensor, first: int = 0) -> Tensor:
        """(B, K) -> (B, K, D), the ids standing from slot `first` on."""
        out: Tensor = self.embed_token(ids) + self.thought_slot[first : first + ids.shape[1]]
        return out

    def logits(self, hidden: Tensor, first: int = 0) -> Tensor:
        """Scores of the ids from `first` on: (…, D) -> (…, vocabulary - first)."""
        return nn.functional.linear(hidden, self.token.weight[first:], self.output_bias[first:])


def _valid(batch: Batch, layout: Layout) -> Tensor:
    """(B, L) bool: slots that hold a token."""
    size = len(batch)
    pictures = batch.present[:, :, None].expand(-1, -1, layout.visual)
    actions = (batch.actions != 0) & batch.present[:, :, None]
    blocks = torch.cat([pictures, actions], 2).reshape(size, -1)
    return torch.cat([batch.text != 0, blocks, batch.thought != 0], 1)
