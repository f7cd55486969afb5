"""Interactive Agent Foundation Model: text, frames and actions as one causal sequence (arXiv 2402.05929, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agent_core.config import ModelConfig
from agent_core.model.attention_mask import attention_bias, build_masks, position_ids
from agent_core.model.batch import Batch, Layout
from agent_core.model.conv_stem import VisionOutput, VisionTower, normalize_pixels
from agent_core.model.decoder import Decoder
from agent_core.model.mae import CompactMaeDecoder, MaeDecoder
from agent_core.model.packing import gather_rows, pack_sequences
from agent_core.model.text_conditioning import TextConditioning
from agent_core.model.vit import TemporalKVCache, ViTower

_EMBEDDING_STD = 0.5
"""Standard deviation of embeddings (visual tokens: 1). Much smaller, and positions in a frame are learned late."""


@dataclass
class ModelOutput:
    """Hidden states of the decoder by segment, and the input of the MAE decoder."""

    text: Tensor
    """(B, W, D)."""
    actions: Tensor
    """(B, N, A, D)."""
    thought: Tensor
    """(B, K, D)."""
    patches: Tensor
    """(B, N, P, D), of the vision tower, for the MAE decoder."""
    visual_tokens: int
    """V, visual tokens of a frame."""


class IAFM(nn.Module):
    """Vision tower, decoder and MAE decoder; output weights are tied to the token embedding.

    Compact models: learned slot embeddings for a token's offset in its segment, and an `output_bias` of the logits.
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
        self.text_conditioning: TextConditioning | None = None
        if config.text_conditioning:
            channels = config.stem_widths[config.conditioned_stage]
            self.text_conditioning = TextConditioning(width, channels)
        self.token_scale = config.embedding_scale
        self.conditions_on_global = config.global_token and not config.is_vit_opt
        """Whether action tokens are conditioned on the global token of their frame."""

    def forward(
        self, batch: Batch, pixels: Tensor | None = None, patch_mask: Tensor | None = None
    ) -> ModelOutput:
        """Hidden states of tokens that predict another; all others get those of some other token.

        `pixels` (B * N, 3, H, W) replaces the batch's normalized frames (color jitter); `patch_mask` (F, P) bool masks
        patches of the first F of them. Short windows share a packed row and its instruction, so the decoder computes
        little padding and an instruction of several windows about once.
        """
        batch_size, num_frames = batch.frame_mask.shape
        if pixels is None:
            pixels = normalize_pixels(batch.frames)
        vision = self._encode_windows(batch, pixels, patch_mask)
        visual = torch.unflatten(vision.tokens, 0, (batch_size, num_frames))  # (B, N, V, D)
        layout = Layout(
            batch.instruction_ids.shape[1],
            num_frames,
            visual.shape[2],
            batch.actions.shape[2],
            batch.thought_ids.shape[1],
        )
        x = self._embed_windows(batch, visual)  # (B, L, D)
        hidden = self._decode_packed(x, vision.visible, batch, layout)  # (B, L, D)
        frames_end = layout.text + layout.num_frames * layout.frame_length
        of_frames = hidden[:, layout.text : frames_end]
        of_frames = of_frames.view(batch_size, num_frames, layout.frame_length, -1)
        return ModelOutput(
            hidden[:, : layout.text],
            of_frames[:, :, layout.visual :],
            hidden[:, frames_end:],
            torch.unflatten(vision.patches, 0, (batch_size, num_frames)),
            layout.visual,
        )

    def _encode_windows(
        self, batch: Batch, pixels: Tensor, patch_mask: Tensor | None
    ) -> VisionOutput:
        """Vision tower over pixels (B * N, 3, H, W), each frame conditioned by its window's instruction."""
        encoded: VisionOutput
        if self.text_conditioning is None:
            encoded = self.vision(pixels, patch_mask, batch.frame_mask)
            return encoded
        conditioning = self.condition_on_text(batch.instruction_ids)  # (B, C)
        by_frame = conditioning.repeat_interleave(batch.frame_mask.shape[1], 0)
        encoded = self.vision(pixels, patch_mask, batch.frame_mask, by_frame)
        return encoded

    def condition_on_text(self, ids: Tensor) -> Tensor:
        """Instruction ids (B, W) -> conditioning of their frames (B, C), in models that have it."""
        assert self.text_conditioning is not None
        out: Tensor = self.text_conditioning(self.embed_text(ids), ids != 0)
        return out

    def _embed_windows(self, batch: Batch, visual: Tensor) -> Tensor:
        """Embedded tokens (B, L, D) of windows, in the order of `Layout`; `visual` (B, N, V, D)."""
        actions = self.embed_action(batch.actions, self.global_token(visual))  # (B, N, A, D)
        by_frame = torch.cat([self.embed_visual(visual), actions], 2)  # (B, N, V + A, D)
        text, thought = (
            self.embed_text(batch.instruction_ids),
            self.embed_thought(batch.thought_ids),
        )
        return torch.cat([text, by_frame.flatten(1, 2), thought], 1)

    def _decode_packed(
        self, x: Tensor, visible: Tensor | None, batch: Batch, layout: Layout
    ) -> Tensor:
        """Decoder over windows (B, L, D) -> hidden states (B, L, D) of predicting tokens; no other is computed."""
        is_vit_opt = self.config.is_vit_opt
        masks = build_masks(layout, self.config.context_frames, x.device, causal_visual=is_vit_opt)
        time_bias = None if is_vit_opt else self.decoder.time_bias
        rows = pack_sequences(*_token_masks(batch, layout, visible), batch.instruction_ids)
        bias = attention_bias(time_bias, masks, batch.actions_masked, rows)  # (R, heads or 1, K, K)
        positions = gather_rows(position_ids(layout, self._play_layout(), batch), rows.gather_index)
        packed = gather_rows(x, rows.gather_index)  # (R, K, D)
        hidden = self.decoder(packed, bias, positions, rows.last_n)  # (R, last_n, D)
        return gather_rows(hidden, rows.scatter_index)

    def _play_layout(self) -> Layout:
        """Segment lengths of the KV cache, which position ids follow."""
        c = self.config
        return Layout(c.max_text_tokens, c.context_frames, c.visual_tokens, c.max_action_tokens, 0)

    def encode_frame(
        self,
        frames: Tensor,
        temporal_kv: TemporalKVCache | None = None,
        conditioning: Tensor | None = None,
    ) -> Tensor:
        """One new frame per session (F, H, W, 3) uint8 -> visual tokens (F, V, D).

        `temporal_kv` caches earlier frames, in models with temporal attention; `conditioning` (F, C or 2 C) is that of
        each session's instruction, in models with text conditioning.
        """
        if isinstance(self.vision, ViTower):
            pixels = normalize_pixels(frames).to(self.token.weight.dtype)
            return self.vision.encode_frame(pixels, temporal_kv)
        return self.vision.encode_frame(frames, conditioning)

    def global_token(self, visual: Tensor) -> Tensor:
        """Global token (…, D) that actions are conditioned on, of visual tokens (…, V, D); zeros if they are not."""
        last = visual[..., -1, :]
        return last if self.conditions_on_global else torch.zeros_like(last)

    def embed_token(self, ids: Tensor) -> Tensor:
        """Ids (…) -> embeddings (…, D), scaled up from the output matrix they are tied to."""
        out: Tensor = self.token(ids)
        return out if self.token_scale == 1 else out * self.token_scale

    def embed_visual(self, visual: Tensor) -> Tensor:
        """Visual tokens (…, V, D) -> embeddings (…, V, D) (the paper's l)."""
        out: Tensor = (
            self.visual_in(visual) if self.config.is_vit_opt else visual + self.visual_slot
        )
        return out

    def embed_text(self, ids: Tensor) -> Tensor:
        """Instruction ids (B, W) -> embeddings (B, W, D)."""
        x = self.embed_token(ids)
        return x if self.config.is_vit_opt else x + self.text_slot[: ids.shape[1]]

    def embed_action(
        self, ids: Tensor, global_token: Tensor, offset: Tensor | None = None
    ) -> Tensor:
        """Action ids (…, A) and the global token (…, D) of their frame -> embeddings (…, A, D).

        The ids have offsets 0 … A-1 in their frame's action, or `offset` (…, A). The global token is added to every
        action token, because attention among dozens of tokens learns to find it late (measured: a task of coloured
        squares stayed at chance for 500 steps without this; a plain CNN solves it in 700).
        """
        x = self.embed_token(ids)
        if self.config.is_vit_opt:
            return x
        slot = self.action_slot[: ids.shape[-1]] if offset is None else self.action_slot[offset]
        out: Tensor = x + slot
        return out + global_token[..., None, :] if self.conditions_on_global else out

    def embed_thought(self, ids: Tensor, offset: int = 0) -> Tensor:
        """Thought ids (B, K) -> embeddings (B, K, D); the first id has `offset` in its thought."""
        x = self.embed_token(ids)
        if self.config.is_vit_opt:
            return x
        out: Tensor = x + self.thought_slot[offset : offset + ids.shape[1]]
        return out

    def logits(self, hidden: Tensor, first: int = 0, end: int | None = None) -> Tensor:
        """Hidden states (…, D) -> logits (…, ids) of the ids from `first` up to `end`."""
        bias = None if self.config.is_vit_opt else self.output_bias[first:end]
        return nn.functional.linear(hidden, self.token.weight[first:end], bias)


def _token_masks(batch: Batch, layout: Layout, visible: Tensor | None) -> tuple[Tensor, Tensor]:
    """Which tokens are computed and which of them predict another, (B, L) bool each.

    Not computed are padding, tokens of masked patches (`visible` (B * N, V)), and the last token of a thought or action
    that no later frame attends to.
    """
    visual = batch.frame_mask[:, :, None].expand(-1, -1, layout.visual)  # (B, N, V)
    is_seen = visual if visible is None else visual & visible.view(visual.shape)
    actions = (batch.actions != 0) & batch.frame_mask[:, :, None]  # (B, N, A)
    predicting = actions & _continues(batch.actions)
    attended = actions & ~batch.actions_masked[:, None, None]
    attended[:, -1] = False

    def sequence(text: Tensor, visual: Tensor, actions: Tensor, thought: Tensor) -> Tensor:
        return torch.cat([text, torch.cat([visual, actions], 2).flatten(1), thought], 1)

    text, thought = batch.instruction_ids, batch.thought_ids
    computed = sequence(text != 0, is_seen, predicting | attended, _continues(thought))
    none = torch.zeros_like(visual)
    return computed, sequence(_continues(text), none, predicting, _continues(thought))


def _continues(ids: Tensor) -> Tensor:
    """Which tokens (…, S) another one follows."""
    return nn.functional.pad(ids[..., 1:] != 0, (0, 1))
