"""What would a practitioner write instead? A plain CNN+GRU that clones the same play; reports name it beside the IAFM.

Every frame goes through strided convolutions and a linear layer, the instruction's word pieces through a small GRU.
Both go into a GRU over consecutive frames, and one linear layer scores every choice on its own: whether a button is
down, which of its bins a camera's yaw takes. Earlier actions are not seen. 1.4 M parameters at 72 x 128 pixels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from agent_core.model.conv_stem import normalize_pixels
from agent_core.tokens.vocabulary import Vocabulary
from agent_core.weights.checkpoint import (
    FORMAT,
    HEADER,
    CheckpointError,
    load_weights,
    parse_header,
    read_header,
    resolve,
    vocabulary_of,
)
from games import GameSpec
from recorder.format.atomic import current_or_old

CONVOLUTIONS = ((8, 4), (4, 2), (3, 2), (3, 1))
"""Pixels of the kernel's side and the stride, of each: large steps first (as Mnih et al. 2015) show 2.5 times as many
frames in a minute as halvings do, and learn more in it."""
KIND = "cnn-gru"
_Width = Annotated[int, Field(ge=1, le=8192)]


class Sizes(BaseModel):
    """Pixels, word pieces and widths of the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame_height: int = Field(ge=16, le=4096)
    frame_width: int = Field(ge=16, le=4096)
    max_text_tokens: int = Field(ge=4, le=4096)
    channels: tuple[_Width, _Width, _Width, _Width] = (32, 64, 64, 64)
    """Of the convolutions."""
    frame_dim: _Width = 256
    """Numbers that a frame becomes."""
    text_dim: _Width = 64
    """Numbers that an instruction becomes."""
    hidden_dim: _Width = 256
    """Numbers of memory."""


class Header(BaseModel):
    """Everything but the weights, as `agent_core.weights.checkpoint.Header` has it for the IAFM."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    kind: Literal["cnn-gru"] = "cnn-gru"
    sizes: Sizes
    specs: tuple[GameSpec, ...]
    tokenizer: dict[str, Any]
    meanings: tuple[str, ...]
    metadata: dict[str, Any] = {}


class ActionHeads:
    """What is decided at every step, each on its own: one choice per button and per part of any other control.

    Class 0 of each is "nothing". A zero ("look.yaw:+0") is nothing too: two classes would share its chances.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.class_of_id: dict[str, list[str]] = {}
        """By name ("jump", "look.yaw"): the meanings of classes 0, 1, …; that of class 0 is empty."""
        places = []
        for meaning in vocabulary.action_meanings:
            known = self.class_of_id.setdefault(head_of(meaning), [""])
            if not _is_zero(meaning):
                known.append(meaning)
            head = list(self.class_of_id).index(head_of(meaning))
            places.append((head, 0 if _is_zero(meaning) else len(known) - 1))
        before = [(len(self.class_of_id), 0)] * (vocabulary.size - len(places))  # text and markers
        self.places = torch.tensor(before + places)
        """(ids, 2): the choice an id belongs to, and its class there."""
        self.sizes = [len(classes) for classes in self.class_of_id.values()]

    def targets(self, labels: Tensor) -> Tensor:
        """Actions as ids (…, A) become one class per choice (…, P)."""
        head, chosen = self.places.to(labels.device)[labels].unbind(-1)
        out = labels.new_zeros(*labels.shape[:-1], len(self.sizes) + 1)
        return out.scatter_(-1, head, chosen)[..., :-1]

    def nll(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Minus the log-probability (…,) of whole actions, by scores (…, sum of widths) and targets (…, P)."""
        of_each = zip(torch.split(scores.float(), self.sizes, -1), targets.unbind(-1), strict=True)
        lost = [F.cross_entropy(s.movedim(-1, 1), t, reduction="none") for s, t in of_each]
        return torch.stack(lost).sum(0)

    def argmax(self, scores: Tensor) -> Tensor:
        """The best class of every choice (…, P)."""
        return torch.stack([s.argmax(-1) for s in torch.split(scores, self.sizes, -1)], -1)


def head_of(meaning: str) -> str:
    """The choice that a meaning is an outcome of: "look.yaw" for "look.yaw:+9", "jump" for "jump"."""
    return meaning.partition(":")[0].partition("=")[0]


def _is_zero(meaning: str) -> bool:
    _, colon, number = meaning.partition(":")
    return bool(colon) and abs(float(number)) < 1e-9


class CnnGru(nn.Module):
    """Frames and an instruction in, scores of every choice out."""

    def __init__(self, sizes: Sizes, text_size: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for (kernel, stride), width in zip(CONVOLUTIONS, sizes.channels, strict=True):
            convolution = nn.Conv2d(before, width, kernel, stride, kernel // 2)
            nn.init.kaiming_normal_(convolution.weight)
            layers += [convolution, nn.ReLU(inplace=True)]
            before = width
        frame_encoder = nn.Sequential(*layers, nn.Flatten())
        numbers = frame_encoder(torch.zeros(1, 3, sizes.frame_height, sizes.frame_width)).shape[1]
        self.eye = nn.Sequential(
            frame_encoder, nn.Linear(numbers, sizes.frame_dim), nn.LayerNorm(sizes.frame_dim)
        )
        self.embedding = nn.Embedding(text_size, sizes.text_dim)
        self.text_gru = nn.GRU(sizes.text_dim, sizes.text_dim, batch_first=True)
        self.text_norm = nn.LayerNorm(sizes.text_dim)  # without it the picture drowns the words
        self.gru = nn.GRU(sizes.frame_dim + sizes.text_dim, sizes.hidden_dim, batch_first=True)
        self.head = nn.Linear(sizes.hidden_dim, outputs)

    def forward(
        self, frames: Tensor, text: Tensor, before: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores (B, N, outputs) of consecutive frames (B, N, H, W, 3) uint8, and memory (1, B, D) after them.

        `text` (B, W) ids, padded with 0; `before` is the memory so far, none at an episode's beginning.
        """
        device = frames.device.type
        half = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if half else torch.float32
        seen = F.relu(self.eye(normalize_pixels(frames, dtype))).view(*frames.shape[:2], -1)
        with torch.autocast(device, enabled=False):  # small recurrent steps gain nothing from it
            read = self._read(text)[:, None].expand(-1, frames.shape[1], -1)
            kept, after = self.gru(torch.cat([seen.float(), read], -1), before)
            return self.head(kept), after

    def _read(self, text: Tensor) -> Tensor:
        """(B, R): what the instructions come to after their last piece."""
        each, _ = self.text_gru(self.embedding(text))
        last = (text != 0).sum(1) - 1
        found: Tensor = self.text_norm(each[torch.arange(len(text), device=text.device), last])
        return found


@dataclass(frozen=True)
class Baseline:
    """Weights ready for play (fp32, evaluation mode) and what they mean."""

    model: CnnGru
    header: Header
    vocabulary: Vocabulary
    choices: ActionHeads


def make_header(
    sizes: Sizes, specs: tuple[GameSpec, ...], vocabulary: Vocabulary, metadata: dict[str, Any]
) -> Header:
    return Header(
        sizes=sizes,
        specs=specs,
        tokenizer=json.loads(vocabulary.tokenizer_json),
        meanings=vocabulary.action_meanings,
        metadata=metadata,
    )


def is_baseline(folder: Path) -> bool:
    """Whether a checkpoint folder is a CNN+GRU's."""
    header = current_or_old(folder) / HEADER
    return header.exists() and read_header(header).get("kind") == KIND


def load(path: Path | str) -> Baseline:
    """Read a folder that `iafm train --baseline` wrote; raises `CheckpointError` with one line."""
    folder = resolve(path)
    raw = read_header(folder / HEADER)
    if raw.get("kind") != KIND:
        raise CheckpointError(f"{folder} holds no CNN+GRU; train one with `iafm train --baseline`")
    header = parse_header(Header, raw, folder / HEADER)
    vocabulary = vocabulary_of(header, folder / HEADER)
    choices = ActionHeads(vocabulary)
    with torch.device("meta"):
        model = CnnGru(header.sizes, vocabulary.text_size, sum(choices.sizes))
    load_weights(model, folder)
    model.eye.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Baseline(model.eval().requires_grad_(False), header, vocabulary, choices)
