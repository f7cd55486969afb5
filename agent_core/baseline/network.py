"""CNN+GRU: the baseline network that behaviour cloning of the same episodes is compared with.

The instruction's tokens go through a small GRU, every frame is cut into cells of 8 x 8 pixels by one convolution. What
was read is added to the cells, before two residual blocks mix them (early fusion): where words say which of the things
in a picture counts, a network that meets them behind the picture's last layer learns it late or never. Both go into a
GRU over consecutive frames, and one linear layer has independent logits for every component of an action: whether a
button is down, which of its bins a camera's yaw takes. Earlier actions are not an input. It has 3.0 M parameters at
72 x 128 pixels, 1.5 M at 56 x 56.
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

from agent_core.errors import CheckpointError
from agent_core.model.conv_stem import normalize_pixels
from agent_core.tokens.vocabulary import Vocabulary
from agent_core.weights.checkpoint import (
    FORMAT,
    HEADER,
    load_weights,
    parse_header,
    read_header,
    resolve,
    vocabulary_of,
)
from games import GameSpec

CELL = 8
"""Side of a cell, in pixels."""
BLOCKS = 2
"""Residual blocks behind the words."""
KIND = "cnn-gru"
_Width = Annotated[int, Field(ge=1, le=8192)]


class Sizes(BaseModel):
    """Frame size, instruction length and widths of the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame_height: int = Field(ge=16, le=4096)
    frame_width: int = Field(ge=16, le=4096)
    max_text_tokens: int = Field(ge=4, le=4096)
    channels: _Width = 64
    """Of the cells."""
    frame_dim: _Width = 256
    """Width of a frame's embedding."""
    text_dim: _Width = 64
    """Width of an instruction's embedding."""
    hidden_dim: _Width = 256
    """Width of the recurrent state."""


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
    """Independent classifiers of one action: one per button and per component of any other control.

    Class 0 of each is "nothing". A zero ("look.yaw:+0") is class 0 too: two classes would share its probability.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.class_of_id: dict[str, list[str]] = {}
        """By name ("jump", "look.yaw"): the meanings of classes 0, 1, …; that of class 0 is empty."""
        head_and_class = []
        for meaning in vocabulary.action_meanings:
            classes = self.class_of_id.setdefault(head_of(meaning), [""])
            if not _is_zero(meaning):
                classes.append(meaning)
            head = list(self.class_of_id).index(head_of(meaning))
            head_and_class.append((head, 0 if _is_zero(meaning) else len(classes) - 1))
        others = vocabulary.size - len(head_and_class)  # text and markers: a head that is dropped
        self.head_and_class = torch.tensor([(len(self.class_of_id), 0)] * others + head_and_class)
        """(ids, 2): the head an id belongs to, and its class there."""
        self.sizes = [len(classes) for classes in self.class_of_id.values()]

    def targets(self, labels: Tensor) -> Tensor:
        """Actions as ids (…, A) become one class per head (…, P)."""
        head, chosen = self.head_and_class.to(labels.device)[labels].unbind(-1)
        out = labels.new_zeros(*labels.shape[:-1], len(self.sizes) + 1)
        return out.scatter_(-1, head, chosen)[..., :-1]

    def nll(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Negative log-likelihood (…,) of whole actions, in nats: logits (…, sum of sizes), targets (…, P)."""
        heads = zip(torch.split(logits.float(), self.sizes, -1), targets.unbind(-1), strict=True)
        nats = [F.cross_entropy(x.movedim(-1, 1), t, reduction="none") for x, t in heads]
        return torch.stack(nats).sum(0)

    def argmax(self, logits: Tensor) -> Tensor:
        """The likeliest class of every head (…, P)."""
        return torch.stack([x.argmax(-1) for x in torch.split(logits, self.sizes, -1)], -1)


def head_of(meaning: str) -> str:
    """The name of the head that a meaning is a class of: "look.yaw" for "look.yaw:+9", "jump" for "jump"."""
    return meaning.partition(":")[0].partition("=")[0]


def _is_zero(meaning: str) -> bool:
    _, colon, number = meaning.partition(":")
    return bool(colon) and abs(float(number)) < 1e-9


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), over cells and their neighbours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(F.relu(x))))
        return out


class CnnGru(nn.Module):
    """Frames and an instruction in, logits of every head out."""

    def __init__(self, sizes: Sizes, text_size: int, outputs: int) -> None:
        super().__init__()
        channels = sizes.channels
        self.cells = nn.Sequential(
            nn.Conv2d(3, channels, CELL, CELL),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1),
        )
        self.text_to_cells = nn.Linear(sizes.text_dim, channels)
        self.blocks = nn.Sequential(*(Residual(channels) for _ in range(BLOCKS)))
        rows, columns = sizes.frame_height // CELL, sizes.frame_width // CELL
        self.pool = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(channels * rows * columns, sizes.frame_dim),
            nn.LayerNorm(sizes.frame_dim),
        )
        self.frame_dim = sizes.frame_dim
        self.embedding = nn.Embedding(text_size, sizes.text_dim)
        self.text_gru = nn.GRU(sizes.text_dim, sizes.text_dim, batch_first=True)
        self.text_norm = nn.LayerNorm(sizes.text_dim)  # without it frames dominate the instruction
        self.gru = nn.GRU(sizes.frame_dim + sizes.text_dim, sizes.hidden_dim, batch_first=True)
        self.head = nn.Linear(sizes.hidden_dim, outputs)

    def forward(
        self,
        frames: Tensor,
        text: Tensor,
        hidden: Tensor | None = None,
        present: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, N, outputs) of consecutive frames (B, N, H, W, 3) uint8, and the state (1, B, D) after them.

        `text` (B, W) ids, padded with 0; `hidden` (1, B, D) is the state before, None at an episode's beginning.
        Only frames that are `present` (B, N) are encoded, all of them where None.
        """
        device = frames.device.type
        if present is None:
            present = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
        with torch.autocast(device, enabled=False):  # small recurrent steps gain nothing from it
            words = self._encode_text(text)[:, None].expand(-1, frames.shape[1], -1)
        images = words.new_zeros(*present.shape, self.frame_dim)
        images[present] = self._encode_frames(frames[present], words[present])
        with torch.autocast(device, enabled=False):
            states, hidden = self.gru(torch.cat([images, words], -1), hidden)
            return self.head(states), hidden

    def _encode_frames(self, frames: Tensor, words: Tensor) -> Tensor:
        """(M, frame_dim) of frames (M, H, W, 3), each with its instruction's embedding (M, text_dim)."""
        device = frames.device.type
        half = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if half else torch.float32
        cells = self.cells(normalize_pixels(frames, dtype))
        cells = cells + self.text_to_cells(words)[:, :, None, None]
        return F.relu(self.pool(self.blocks(cells))).float()

    def _encode_text(self, text: Tensor) -> Tensor:
        """(B, text_dim): the text GRU's state after each instruction's last token."""
        states, _ = self.text_gru(self.embedding(text))
        last = (text != 0).sum(1) - 1
        out: Tensor = self.text_norm(states[torch.arange(len(text), device=text.device), last])
        return out


def to_channels_last(model: CnnGru) -> None:
    """Lay the convolutions' weights out as processors compute them fastest."""
    for part in (model.cells, model.blocks):
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Baseline:
    """Weights ready for inference (float32, evaluation mode), header, vocabulary and heads."""

    model: CnnGru
    header: Header
    vocabulary: Vocabulary
    heads: ActionHeads


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


def load(path: Path | str) -> Baseline:
    """Read a folder that `iafm train --baseline` wrote; raises `CheckpointError` with one line."""
    folder = resolve(path)
    raw = read_header(folder / HEADER)
    if raw.get("kind") != KIND:
        raise CheckpointError(f"{folder} holds no CNN+GRU; train one with `iafm train --baseline`")
    header = parse_header(Header, raw, folder / HEADER)
    vocabulary = vocabulary_of(header, folder / HEADER)
    heads = ActionHeads(vocabulary)
    with torch.device("meta"):
        model = CnnGru(header.sizes, vocabulary.text_size, sum(heads.sizes))
    load_weights(model, folder)
    to_channels_last(model)
    return Baseline(model.eval().requires_grad_(False), header, vocabulary, heads)
