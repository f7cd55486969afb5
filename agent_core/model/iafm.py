"""How do text, pictures and actions become one sequence? The Interactive Agent Foundation Model, at our sizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.model.attention_mask import attention_bias, places, sight
from agent_core.model.batch import Batch, Layout
from agent_core.model.conv_stem import VisionTower, normalise
from agent_core.model.decoder import Decoder
from agent_core.model.mae import PatchDecoder, PixelDecoder
from agent_core.model.packing import packed, take
from agent_core.model.vit import FrameMemory, ViTower

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
    patches: Tensor
    """(B, N, P, D), of the vision tower."""
    visual_tokens: int
    """V, per frame."""


class IAFM(nn.Module):
    """Vision tower, one causal transformer, pixel decoder; output weights are tied to the token embedding.

    Compact models: learned slot embeddings say which token of its segment a token is, `output_bias` how common it is.
    The paper's: E = ViTower, l = `visual_in`, F = OPT's decoder with its absolute positions.
    """

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        rows = max(vocabulary_size, config.vocabulary_rows)
        self.vision = ViTower(config) if config.is_paper else VisionTower(config)
        self.pixels = PatchDecoder(config) if config.is_paper else PixelDecoder(config)
        self.decoder = Decoder(config)
        self.token = nn.Embedding(rows, width)
        if config.is_paper:
            self.visual_in = nn.Linear(width, width)
            nn.init.normal_(self.token.weight, std=0.02)
        else:
            self.text_slot = nn.Parameter(torch.randn(config.text_slots, width) * _SLOT)
            self.visual_slot = nn.Parameter(torch.randn(config.visual_tokens, width) * _SLOT)
            self.action_slot = nn.Parameter(torch.randn(config.action_slots, width) * _SLOT)
            self.thought_slot = nn.Parameter(torch.randn(config.thought_slots, width) * _SLOT)
            self.output_bias = nn.Parameter(torch.zeros(rows))
            nn.init.normal_(self.token.weight, std=_SLOT / config.embedding_scale)
        self.token_scale = config.embedding_scale
        self.carries_glance = config.glance and not config.is_paper
        """Whether action tokens carry the whole-picture token."""

    def forward(
        self, batch: Batch, pictures: Tensor | None = None, hidden: Tensor | None = None
    ) -> Outputs:
        """Hidden states of all windows; padding (a slot without a token) holds those of some token.

        The decoder computes what is there: short windows share a row.
        `pictures` (B * N, 3, H, W) replaces the batch's frames (jittered); `hidden` (F, P) bool hides patches of the
        first F of them.
        """
        size, count = batch.present.shape
        if pictures is None:
            pictures = normalise(batch.frames)
        looked = self.vision(pictures, hidden, batch.present)
        visual = looked.tokens.unflatten(0, (size, count))  # (B, N, V, D)
        layout = Layout(
            batch.text.shape[1],
            count,
            visual.shape[2],
            batch.actions.shape[2],
            batch.thought.shape[1],
        )
        pressed = self.embed_action(batch.actions, self.glance(visual))
        blocks = torch.cat([self.embed_visual(visual), pressed], 2)
        x = torch.cat(
            [self.embed_text(batch.text), blocks.flatten(1, 2), self.embed_thought(batch.thought)],
            1,
        )
        paper = self.config.is_paper
        seen = sight(layout, self.config.memory_frames, x.device, causal_pictures=paper)
        valid = _valid(batch, layout, looked.visible)
        table = None if paper else self.decoder.time_bias
        rows = packed(valid)
        bias = attention_bias(table, seen, batch.hidden, rows)
        where = take(places(layout, self._in_play(), batch), rows.slots)
        states = take(self.decoder(take(x, rows.slots), bias, where), rows.back)
        middle = layout.text + layout.frames * layout.block
        body = states[:, layout.text : middle].view(size, layout.frames, layout.block, -1)
        return Outputs(
            states[:, : layout.text],
            body[:, :, layout.visual :],
            states[:, middle:],
            looked.patches.unflatten(0, (size, count)),
            layout.visual,
        )

    def _in_play(self) -> Layout:
        c = self.config
        return Layout(c.text_slots, c.memory_frames, c.visual_tokens, c.action_slots, 0)

    def look(self, frames: Tensor, memory: FrameMemory | None = None) -> Tensor:
        """One new picture per session (F, H, W, 3) uint8 -> visual tokens (F, V, D).

        `memory` is of earlier pictures, where time is attended to.
        """
        if isinstance(self.vision, ViTower):
            return self.vision.look(normalise(frames).to(self.token.weight.dtype), memory)
        return self.vision.look(frames)

    def glance(self, visual: Tensor) -> Tensor:
        """The whole-picture token (…, D) that action tokens carry, of visual tokens (…, V, D); zeros where none."""
        last = visual[..., -1, :]
        return last if self.carries_glance else torch.zeros_like(last)

    def embed_token(self, ids: Tensor) -> Tensor:
        """Ids (…) -> (…, D), scaled up from the output matrix they are tied to."""
        out: Tensor = self.token(ids)
        return out if self.token_scale == 1 else out * self.token_scale

    def embed_visual(self, visual: Tensor) -> Tensor:
        """Visual tokens (…, V, D) as the decoder takes them (the paper's l)."""
        out: Tensor = self.visual_in(visual) if self.config.is_paper else visual + self.visual_slot
        return out

    def embed_text(self, ids: Tensor) -> Tensor:
        """(B, W) -> (B, W, D)."""
        x = self.embed_token(ids)
        return x if self.config.is_paper else x + self.text_slot[: ids.shape[1]]

    def embed_action(self, ids: Tensor, glance: Tensor, first: Tensor | None = None) -> Tensor:
        """(…, A) and the whole-picture token (…, D) of the same frame -> (…, A, D).

        The ids stand from slot 0 on, or at slots `first` (…, A). Every action token carries the whole picture: among
        dozens of tokens attention would find it late (measured: a task of coloured squares stayed at chance for 500
        steps without this, and a plain CNN solves it in 700).
        """
        x = self.embed_token(ids)
        if self.config.is_paper:
            return x
        slot = self.action_slot[: ids.shape[-1]] if first is None else self.action_slot[first]
        out: Tensor = x + slot
        return out + glance[..., None, :] if self.carries_glance else out

    def embed_thought(self, ids: Tensor, first: int = 0) -> Tensor:
        """(B, K) -> (B, K, D), the ids standing from slot `first` on."""
        x = self.embed_token(ids)
        if self.config.is_paper:
            return x
        out: Tensor = x + self.thought_slot[first : first + ids.shape[1]]
        return out

    def logits(self, hidden: Tensor, first: int = 0, end: int | None = None) -> Tensor:
        """Scores of the ids from `first` up to `end`: (…, D) -> (…, ids)."""
        bias = None if self.config.is_paper else self.output_bias[first:end]
        return nn.functional.linear(hidden, self.token.weight[first:end], bias)


def _valid(batch: Batch, layout: Layout, visible: Tensor | None) -> Tensor:
    """(B, L) bool: slots that hold a token."""
    size = len(batch)
    pictures = batch.present[:, :, None].expand(-1, -1, layout.visual)
    if visible is not None:
        pictures = pictures & visible.view(pictures.shape)
    actions = (batch.actions != 0) & batch.present[:, :, None]
    blocks = torch.cat([pictures, actions], 2).reshape(size, -1)
    return torch.cat([batch.text != 0, blocks, batch.thought != 0], 1)
