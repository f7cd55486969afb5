"""How does a model outlive its process? A folder: model.safetensors (half precision) and config.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from agent_core.config import ModelConfig
from agent_core.model.iafm import IAFM
from agent_core.tokens.vocabulary import Vocabulary
from agent_core.weights.hub import HubError, fetched
from games import GameSpec
from games.validation_error import first_error

Kind = TypeVar("Kind", bound=BaseModel)

FORMAT = 1
LEGACY_DEFAULTS = {
    "activation": "relu",
    "global_token": False,
    "embedding_scale": 1.0,
    "action_chunk": 1,
    "stem_strides": (2, 2, 2),
}
"""What a header means that was written before these settings existed."""
WEIGHTS, HEADER = "model.safetensors", "config.json"
HEADER_BYTES = 16 << 20
"""A larger header is refused unread; the tokenizer of the largest preset takes 4 MB."""
DEFAULT_CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "voxel-tiny"
"""The checkpoint that comes with the package."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read; the message names the file and what is wrong with it."""


class Header(BaseModel):
    """Everything but the weights. `facts` tells how it was trained (steps, losses, date)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    model: ModelConfig
    specs: tuple[GameSpec, ...]
    tokenizer: dict[str, Any]
    meanings: tuple[str, ...]
    metadata: dict[str, Any] = {}


class HasVocabulary(Protocol):
    """A header that says which ids its weights read and write."""

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
    draft = path.with_name(path.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    half = {name: w.detach().to("cpu", torch.float16).contiguous() for name, w in weights.items()}
    save_file(half, draft / WEIGHTS)
    (draft / HEADER).write_text(header.model_dump_json(indent=1), encoding="utf-8")
    shutil.copymode(draft / HEADER, draft / WEIGHTS)  # safetensors' files are their owner's alone
    replace_folder(draft, path)


def first_overflowing(weights: Mapping[str, torch.Tensor]) -> str | None:
    """The first of these that a checkpoint cannot hold: half precision ends at 65,504."""
    held = (name for name, w in weights.items() if not bool(torch.isfinite(w.half()).all()))
    return next(held, None)


def load(path: Path | str, device: str | torch.device = "cpu") -> Checkpoint:
    """Read a checkpoint folder or `hub:owner/name`; raises `CheckpointError` with one line."""
    folder = resolve(path)
    raw = read_header(folder / HEADER)
    if isinstance(raw.get("model"), dict):
        raw["model"] = {**LEGACY_DEFAULTS, **raw["model"]}
    header = validated(Header, raw, folder / HEADER)
    vocabulary = vocabulary_of(header, folder / HEADER)
    with torch.device("meta"):  # a header's sizes allocate nothing, the weights' file does
        model = IAFM(header.model, vocabulary.size)
    load_weights(model, folder)
    model.vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Checkpoint(model.to(device).eval().requires_grad_(False), header, vocabulary, folder)


def resolve(path: Path | str) -> Path:
    """The folder at a path or `hub:owner/name`; raises `CheckpointError` where there is none."""
    try:
        folder = current_or_old(fetched(str(path), (WEIGHTS, HEADER)))
    except HubError as error:
        raise CheckpointError(str(error)) from None
    if not folder.is_dir():
        raise CheckpointError(f"no checkpoint folder {folder}; train one with `iafm train`")
    return folder


def current_or_old(folder: Path) -> Path:
    """The folder, or its predecessor where a kill met its replacing."""
    old = _predecessor(folder)
    return old if old.is_dir() and not folder.exists() else folder


def vocabulary_of(header: HasVocabulary, path: Path) -> Vocabulary:
    """A header's vocabulary, proven to be readable; raises `CheckpointError`."""
    try:
        vocabulary = Vocabulary(json.dumps(header.tokenizer), header.meanings)
        vocabulary.text_size  # noqa: B018, reads the tokenizer
    except Exception as error:  # the tokenizers package raises nothing narrower
        raise CheckpointError(f"{path} holds no tokenizer: {error}") from None
    return vocabulary


def load_weights(model: nn.Module, folder: Path) -> None:
    """Give a model (on the meta device) the folder's weights as float32; raises `CheckpointError` unless all fit."""
    try:
        weights = load_file(folder / WEIGHTS)
    except (FileNotFoundError, OSError):
        raise CheckpointError(f"{folder} has no readable {WEIGHTS}") from None
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged: {error}") from None
    if whole := [name for name, w in weights.items() if not w.is_floating_point()]:
        kind = str(weights[whole[0]].dtype).removeprefix("torch.")
        raise CheckpointError(f"{folder / WEIGHTS}: {whole[0]} is {kind}, weights are fractions")
    try:
        model.load_state_dict({name: w.float() for name, w in weights.items()}, assign=True)
    except RuntimeError as error:
        what = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise CheckpointError(f"{folder / WEIGHTS} does not fit {HEADER}: {what}") from None
    if not all(bool(torch.isfinite(w).all()) for w in weights.values()):
        raise CheckpointError(f"{folder / WEIGHTS} holds numbers that are not finite")


def replace_folder(draft: Path, path: Path) -> None:
    """Put `draft` in the place of `path`; what was there is gone only after the new one stands."""
    old = _predecessor(path)
    if path.exists():  # else the predecessor is all there is, until the draft stands
        shutil.rmtree(old, ignore_errors=True)
        path.replace(old)
    draft.replace(path)
    shutil.rmtree(old, ignore_errors=True)


def _predecessor(path: Path) -> Path:
    return path.with_name(path.name + ".old")


def read_header(path: Path) -> dict[str, Any]:
    """A header as plain JSON, of the format this version reads; raises `CheckpointError`."""
    if path.is_file() and path.stat().st_size > HEADER_BYTES:
        raise CheckpointError(f"{path} is larger than {HEADER_BYTES >> 20} MB: no header of ours")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} is no checkpoint: it has no {HEADER}") from None
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path} is no JSON: {error}") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        found = raw.get("format") if isinstance(raw, dict) else None
        raise CheckpointError(f"{path}: format {found!r}, this version reads {FORMAT}")
    return raw


def validated(kind: type[Kind], raw: dict[str, Any], path: Path) -> Kind:
    """Plain JSON as a header; raises `CheckpointError` with the first thing that is wrong."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_error(error)}") from None
