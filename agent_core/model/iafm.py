"""How do text, pictures and actions become one sequence? The Interactive Agent Foundation Model, at our sizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.model.attention_mask import attention_bias, build_masks, position_ids
from agent_core.model.batch import Batch, Layout
from agent_core.model.conv_stem import VisionTower, normalize_pixels
from agent_core.model.decoder import Decoder
from agent_core.model.mae import CompactMaeDecoder, MaeDecoder
from agent_core.model.packing import gather_rows, pack_sequences
from agent_core.model.vit import TemporalKVCache, ViTower

_EMBEDDING_STD = 0.5
"""Size of embeddings beside the visual tokens' 1: much smaller, and places in the picture are learned late."""


@dataclass
class ModelOutput:
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
        rows = max(vocabulary_size, config.padded_vocab_size)
        self.vision = ViTower(config) if config.is_vit_opt else VisionTower(config)
        self.mae_decoder = MaeDecoder(config) if config.is_vit_opt else CompactMaeDecoder(config)
        self.decoder = Decoder(config)
        self.token = nn.Embedding(rows, width)
        if config.is_vit_opt:
            self.visual_in = nn.Linear(width, width)
            nn.init.normal_(self.token.weight, std=0.02)
        else:
            self.text_slot = nn.Parameter(
                torch.randn(config.max_text_tokens, width) * _EMBEDDING_STD
            )
            self.visual_slot = nn.Parameter(
                torch.randn(config.visual_tokens, width) * _EMBEDDING_STD
            )
            self.action_slot = nn.Parameter(
                torch.randn(config.max_action_tokens, width) * _EMBEDDING_STD
            )
            self.thought_slot = nn.Parameter(
                torch.randn(config.max_thought_tokens, width) * _EMBEDDING_STD
            )
            self.output_bias = nn.Parameter(torch.zeros(rows))
            nn.init.normal_(self.token.weight, std=_EMBEDDING_STD / config.embedding_scale)
        self.token_scale = config.embedding_scale
        self.conditions_on_global = config.global_token and not config.is_vit_opt
        """Whether action tokens carry the whole-picture token."""

    def forward(
        self, batch: Batch, pictures: Tensor | None = None, patch_mask: Tensor | None = None
    ) -> ModelOutput:
        """Hidden states of all windows; padding (a slot without a token) holds those of some token.

        The decoder computes what is there: short windows share a row.
        `pictures` (B * N, 3, H, W) replaces the batch's frames (jittered); `hidden` (F, P) bool hides patches of the
        first F of them.
        """
        size, count = batch.frame_mask.shape
        if pictures is None:
            pictures = normalize_pixels(batch.frames)
        vision = self.vision(pictures, patch_mask, batch.frame_mask)
        visual = vision.tokens.unflatten(0, (size, count))  # (B, N, V, D)
        layout = Layout(
            batch.instruction_ids.shape[1],
            count,
            visual.shape[2],
            batch.actions.shape[2],
            batch.thought_ids.shape[1],
        )
        actions = self.embed_action(batch.actions, self.global_token(visual))
        blocks = torch.cat([self.embed_visual(visual), actions], 2)
        x = torch.cat(
            [
                self.embed_text(batch.instruction_ids),
                blocks.flatten(1, 2),
                self.embed_thought(batch.thought_ids),
            ],
            1,
        )
        paper = self.config.is_vit_opt
        masks = build_masks(layout, self.config.context_frames, x.device, causal_pictures=paper)
        valid = _token_mask(batch, layout, vision.visible)
        table = None if paper else self.decoder.time_bias
        packed = pack_sequences(valid)
        bias = attention_bias(table, masks, batch.actions_masked, packed)
        token_positions = gather_rows(
            position_ids(layout, self._play_layout(), batch), packed.gather_index
        )
        states = gather_rows(
            self.decoder(gather_rows(x, packed.gather_index), bias, token_positions),
            packed.scatter_index,
        )
        middle = layout.text + layout.frames * layout.frame_length
        body = states[:, layout.text : middle].view(size, layout.frames, layout.frame_length, -1)
        return ModelOutput(
            states[:, : layout.text],
            body[:, :, layout.visual :],
            states[:, middle:],
            vision.patches.unflatten(0, (size, count)),
            layout.visual,
        )

    def _play_layout(self) -> Layout:
        c = self.config
        return Layout(c.max_text_tokens, c.context_frames, c.visual_tokens, c.max_action_tokens, 0)

    def encode_frame(self, frames: Tensor, temporal_kv: TemporalKVCache | None = None) -> Tensor:
        """One new picture per session (F, H, W, 3) uint8 -> visual tokens (F, V, D).

        `memory` is of earlier pictures, where time is attended to.
        """
        if isinstance(self.vision, ViTower):
            return self.vision.encode_frame(
                normalize_pixels(frames).to(self.token.weight.dtype), temporal_kv
            )
        return self.vision.encode_frame(frames)

    def global_token(self, visual: Tensor) -> Tensor:
        """The whole-picture token (…, D) that action tokens carry, of visual tokens (…, V, D); zeros where none."""
        last = visual[..., -1, :]
        return last if self.conditions_on_global else torch.zeros_like(last)

    def embed_token(self, ids: Tensor) -> Tensor:
        """Ids (…) -> (…, D), scaled up from the output matrix they are tied to."""
        out: Tensor = self.token(ids)
        return out if self.token_scale == 1 else out * self.token_scale

    def embed_visual(self, visual: Tensor) -> Tensor:
        """Visual tokens (…, V, D) as the decoder takes them (the paper's l)."""
        out: Tensor = (
            self.visual_in(visual) if self.config.is_vit_opt else visual + self.visual_slot
        )
        return out

    def embed_text(self, ids: Tensor) -> Tensor:
        """(B, W) -> (B, W, D)."""
        x = self.embed_token(ids)
        return x if self.config.is_vit_opt else x + self.text_slot[: ids.shape[1]]

    def embed_action(
        self, ids: Tensor, global_token: Tensor, offset: Tensor | None = None
    ) -> Tensor:
        """(…, A) and the whole-picture token (…, D) of the same frame -> (…, A, D).

        The ids stand from slot 0 on, or at slots `first` (…, A). Every action token carries the whole picture: among
        dozens of tokens attention would find it late (measured: a task of coloured squares stayed at chance for 500
        steps without this, and a plain CNN solves it in 700).
        """
        x = self.embed_token(ids)
        if self.config.is_vit_opt:
            return x
        slot = self.action_slot[: ids.shape[-1]] if offset is None else self.action_slot[offset]
        out: Tensor = x + slot
        return out + global_token[..., None, :] if self.conditions_on_global else out

    def embed_thought(self, ids: Tensor, offset: int = 0) -> Tensor:
        """(B, K) -> (B, K, D), the ids standing from slot `first` on."""
        x = self.embed_token(ids)
        if self.config.is_vit_opt:
            return x
        out: Tensor = x + self.thought_slot[offset : offset + ids.shape[1]]
        return out

    def logits(self, hidden: Tensor, first: int = 0, end: int | None = None) -> Tensor:
        """Scores of the ids from `first` up to `end`: (…, D) -> (…, ids)."""
        bias = None if self.config.is_vit_opt else self.output_bias[first:end]
        return nn.functional.linear(hidden, self.token.weight[first:end], bias)


def _token_mask(batch: Batch, layout: Layout, visible: Tensor | None) -> Tensor:
    """(B, L) bool: slots that hold a token."""
    size = len(batch)
    pictures = batch.frame_mask[:, :, None].expand(-1, -1, layout.visual)
    if visible is not None:
        pictures = pictures & visible.view(pictures.shape)
    actions = (batch.actions != 0) & batch.frame_mask[:, :, None]
    blocks = torch.cat([pictures, actions], 2).reshape(size, -1)
    return torch.cat([batch.instruction_ids != 0, blocks, batch.thought_ids != 0], 1)
