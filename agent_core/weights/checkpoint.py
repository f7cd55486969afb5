"""Checkpoint folder: weights in model.safetensors (half precision) and a header in config.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from torch import nn

from agent_core.config import ModelConfig
from agent_core.errors import CheckpointError, HubError
from agent_core.model.iafm import IAFM
from agent_core.tokens.vocabulary import Vocabulary
from agent_core.weights.hub import fetch
from games import GameSpec
from games.validation_error import first_error
from recorder.format.atomic import current_or_old, replaced_folder

HeaderT = TypeVar("HeaderT", bound=BaseModel)

FORMAT = 1
LEGACY_DEFAULTS = {
    "activation": "relu",
    "global_token": False,
    "embedding_scale": 1.0,
    "action_chunk": 1,
    "text_conditioning": False,
    "stem_strides": (2, 2, 2),
}
"""Settings of headers that were written before these settings existed."""
WEIGHTS, HEADER = "model.safetensors", "config.json"
HEADER_BYTES = 16 << 20
"""A larger header is refused unread; the tokenizer of the largest preset takes 4 MB."""
_CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
DEFAULT_CHECKPOINT = _CHECKPOINTS / "voxel-tiny"
"""The package's checkpoint for games that have none of their own there."""
_SHIPPED = {"voxel": "voxel-tiny", "brawl": "brawl-tiny", "bleeding-edge": "brawl-tiny"}


class Header(BaseModel):
    """Everything but the weights. `metadata` says how it was trained (steps, losses, date)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    model: ModelConfig
    specs: tuple[GameSpec, ...]
    tokenizer: dict[str, Any]
    meanings: tuple[str, ...]
    metadata: dict[str, Any] = {}


def has_shipped(game: str) -> bool:
    """Whether the package has a checkpoint that was trained for a game, by the name of its spec."""
    return game in _SHIPPED and (_CHECKPOINTS / _SHIPPED[game]).is_dir()


def shipped_checkpoint(game: str) -> Path:
    """The package's checkpoint for a game; the default where it has none of its own."""
    return _CHECKPOINTS / _SHIPPED[game] if has_shipped(game) else DEFAULT_CHECKPOINT


class HasVocabulary(Protocol):
    """A header with a vocabulary, such as a checkpoint's or a baseline's."""

    @property
    def tokenizer(self) -> dict[str, Any]: ...
    @property
    def meanings(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Checkpoint:
    """A model ready for inference (fp32, evaluation mode) and its header."""

    model: IAFM
    header: Header
    vocabulary: Vocabulary
    path: Path


def make_header(
    model: ModelConfig,
    specs: tuple[GameSpec, ...],
    vocabulary: Vocabulary,
    metadata: dict[str, Any],
) -> Header:
    """The header of a model that plays these games."""
    return Header(
        model=model,
        specs=specs,
        tokenizer=json.loads(vocabulary.tokenizer_json),
        meanings=vocabulary.action_meanings,
        metadata=metadata,
    )


def save(path: Path, weights: dict[str, torch.Tensor], header: BaseModel) -> None:
    """Write a checkpoint folder in one step: a reader sees the old or the new one, never a part.

    Raises `CheckpointError` where a weight does not fit into half precision; what was there stays.
    """
    if (name := first_overflowing(weights)) is not None:
        raise CheckpointError(
            f"{path} is not written: {name} holds numbers beyond half precision "
            f"({torch.finfo(torch.float16).max:.0f}); train again with a lower train.lr"
        )
    half = {name: w.detach().to("cpu", torch.float16).contiguous() for name, w in weights.items()}
    with replaced_folder(path) as draft:
        safetensors.torch.save_file(half, draft / WEIGHTS)
        (draft / HEADER).write_text(header.model_dump_json(indent=1), encoding="utf-8")
        shutil.copymode(draft / HEADER, draft / WEIGHTS)  # safetensors makes them the owner's alone


def first_overflowing(weights: Mapping[str, torch.Tensor]) -> str | None:
    """The name of the first tensor that overflows half precision (beyond 65,504) or is not finite, if any."""
    overflowing = (name for name, w in weights.items() if not bool(torch.isfinite(w.half()).all()))
    return next(overflowing, None)


def load(path: Path | str, device: str | torch.device = "cpu") -> Checkpoint:
    """Load a checkpoint folder or `hub:owner/name` for inference; raises `CheckpointError` with one line."""
    folder = resolve(path)
    raw = read_header(folder / HEADER)
    if isinstance(raw.get("model"), dict):
        raw["model"] = {**LEGACY_DEFAULTS, **raw["model"]}
    header = parse_header(Header, raw, folder / HEADER)
    vocabulary = vocabulary_of(header, folder / HEADER)
    with torch.device("meta"):  # nothing is allocated by the sizes that a header claims
        model = IAFM(header.model, vocabulary.size)
    load_weights(model, folder)
    model.vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Checkpoint(model.to(device).eval().requires_grad_(False), header, vocabulary, folder)


def resolve(path: Path | str) -> Path:
    """The local folder of a path or `hub:owner/name`; raises `CheckpointError` where there is none."""
    try:
        folder = current_or_old(fetch(str(path), (WEIGHTS, HEADER)))
    except HubError as error:
        raise CheckpointError(str(error)) from None
    if not folder.is_dir():
        raise CheckpointError(f"no checkpoint folder {folder}; train one with `iafm train`")
    return folder


def vocabulary_of(header: HasVocabulary, path: Path) -> Vocabulary:
    """The vocabulary of a header; raises `CheckpointError` where its tokenizer cannot be read."""
    try:
        vocabulary = Vocabulary(json.dumps(header.tokenizer), header.meanings)
        vocabulary.text_size  # noqa: B018, parses the tokenizer
    except Exception as error:  # the tokenizers package raises nothing narrower
        raise CheckpointError(f"{path} holds no tokenizer: {error}") from None
    return vocabulary


def load_weights(model: nn.Module, folder: Path) -> None:
    """Load the folder's weights as float32 into a model on the meta device; raises `CheckpointError` unless all fit."""
    try:
        weights = safetensors.torch.load_file(folder / WEIGHTS)
    except (FileNotFoundError, OSError):
        raise CheckpointError(f"{folder} has no readable {WEIGHTS}") from None
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged: {error}") from None
    if integers := [name for name, w in weights.items() if not w.is_floating_point()]:
        dtype = str(weights[integers[0]].dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{folder / WEIGHTS}: {integers[0]} is {dtype}, expected a floating-point type"
        )
    try:
        model.load_state_dict({name: w.float() for name, w in weights.items()}, assign=True)
    except RuntimeError as error:
        mismatch = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise CheckpointError(f"{folder / WEIGHTS} does not fit {HEADER}: {mismatch}") from None
    if not all(bool(torch.isfinite(w).all()) for w in weights.values()):
        raise CheckpointError(f"{folder / WEIGHTS} holds numbers that are not finite")


def read_header(path: Path) -> dict[str, Any]:
    """A header as plain JSON, in the format that this version reads; raises `CheckpointError`."""
    if path.is_file() and path.stat().st_size > HEADER_BYTES:
        raise CheckpointError(
            f"{path} is larger than {HEADER_BYTES >> 20} MB: not a checkpoint header"
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} is no checkpoint: it has no {HEADER}") from None
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path} is no JSON: {error}") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        version = raw.get("format") if isinstance(raw, dict) else None
        raise CheckpointError(f"{path}: format {version!r}, this version reads {FORMAT}")
    return raw


def parse_header(header_type: type[HeaderT], raw: dict[str, Any], path: Path) -> HeaderT:
    """Plain JSON as a header of a type; raises `CheckpointError` with the first validation error."""
    try:
        return header_type.model_validate(raw)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_error(error)}") from None
