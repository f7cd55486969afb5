"""Tests of checkpoints: round trip, interrupted writes, and one-line errors for damaged folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file

from agent_core.config import ModelConfig
from agent_core.errors import CheckpointError
from agent_core.model import IAFM
from agent_core.tokens.vocabulary import build_vocabulary
from agent_core.weights.checkpoint import (
    DEFAULT_CHECKPOINT,
    HEADER,
    HEADER_BYTES,
    LEGACY_DEFAULTS,
    WEIGHTS,
    load,
    make_header,
    save,
)
from games.voxel.spec import SPEC

CONFIG = ModelConfig(width=32, layers=1, heads=2, stem_widths=(8, 8, 16))
VOCABULARY = build_vocabulary([SPEC], ["chop a tree"], 300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(tmp_path / "one", CONFIG)


def saved(folder: Path, config: ModelConfig) -> Path:
    torch.manual_seed(0)
    weights = IAFM(config, VOCABULARY.size).state_dict()
    save(folder, weights, make_header(config, (SPEC,), VOCABULARY, {"steps": 7}))
    return folder


@pytest.mark.parametrize("text_conditioning", [False, True])
def test_it_comes_back_as_it_was(tmp_path: Path, text_conditioning: bool) -> None:
    config = CONFIG.model_copy(update={"text_conditioning": text_conditioning})
    loaded = load(saved(tmp_path / "one", config))
    assert loaded.header.model == config
    assert loaded.header.specs == (SPEC,)
    assert loaded.header.metadata == {"steps": 7}
    assert loaded.vocabulary.action_meanings == VOCABULARY.action_meanings
    assert loaded.vocabulary.encode_text("chop a tree") == VOCABULARY.encode_text("chop a tree")
    torch.manual_seed(0)
    for name, weight in IAFM(config, VOCABULARY.size).state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], weight.half().float())
    assert not any(weight.requires_grad for weight in loaded.model.parameters())


def test_a_header_from_before_some_settings_means_what_it_did(tmp_path: Path) -> None:
    changes = {"stem_strides": (2, 2, 2), "stem_blocks": (0, 0, 1), "text_conditioning": False}
    config = CONFIG.model_copy(update=changes)
    weights = IAFM(config, VOCABULARY.size).state_dict()
    save(tmp_path / "old", weights, make_header(config, (SPEC,), VOCABULARY, {}))
    header = tmp_path / "old" / HEADER
    raw = json.loads(header.read_text())
    for name in LEGACY_DEFAULTS:
        del raw["model"][name]
    header.write_text(json.dumps(raw))
    assert load(tmp_path / "old").header.model == config


def test_saving_again_leaves_one_folder(folder: Path) -> None:
    before = (folder / WEIGHTS).read_bytes()
    loaded = load(folder)
    save(folder, loaded.model.state_dict(), loaded.header)
    assert (folder / WEIGHTS).read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("end", [OSError(28, "No space left on device"), Killed()])
def test_what_was_saved_stays_where_writing_ends_half_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    before, loaded = bytes_of(folder), load(folder)

    def half(_: object, path: Path) -> None:
        path.write_bytes(before[WEIGHTS][:1000])
        raise end

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    with pytest.raises(type(end)):
        save(folder, {k: w + 1 for k, w in loaded.model.state_dict().items()}, loaded.header)
    assert bytes_of(folder) == before
    assert torch.equal(load(folder).model.token.weight, loaded.model.token.weight)


def test_a_kill_between_the_two_renames_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, loaded = bytes_of(folder), load(folder)
    weights, rename = loaded.model.state_dict(), Path.replace

    def killed(path: Path, target: Path) -> Path:
        if path.name.endswith(".draft"):
            raise Killed
        return rename(path, target)

    for _ in range(2):  # the second time there is no folder to move away
        monkeypatch.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            save(folder, {name: weight + 1 for name, weight in weights.items()}, loaded.header)
        monkeypatch.undo()
        assert not folder.exists()
        assert bytes_of(load(folder).path) == before
    save(folder, {name: weight + 1 for name, weight in weights.items()}, loaded.header)
    assert [path.name for path in folder.parent.iterdir()] == ["one"]
    assert bytes_of(folder) != before


@pytest.mark.parametrize("value", [70_000.0, torch.nan])
def test_weights_that_could_not_be_loaded_are_not_saved(folder: Path, value: float) -> None:
    before, loaded = bytes_of(folder), load(folder)
    weights = loaded.model.state_dict()
    weights["output_bias"][3] = value
    with pytest.raises(CheckpointError, match="output_bias holds numbers beyond half precision"):
        save(folder, weights, loaded.header)
    assert bytes_of(folder) == before


def test_others_may_read_it_where_the_umask_lets_them(folder: Path) -> None:
    ordinary = folder / "ordinary"
    ordinary.touch()
    assert (folder / WEIGHTS).stat().st_mode == ordinary.stat().st_mode


def _header(**changes: Any) -> Callable[[Path], None]:
    """Changes fields of the header."""

    def spoil(folder: Path) -> None:
        header = json.loads((folder / HEADER).read_text())
        for name, value in changes.items():
            header[name] = {**header[name], **value} if name == "model" else value
        (folder / HEADER).write_text(json.dumps(header))

    return spoil


def _not_finite(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["output_bias"][3] = torch.nan
    save_file(weights, folder / WEIGHTS)


def _integer_weights(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["output_bias"] = weights["output_bias"].to(torch.int32)
    save_file(weights, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / HEADER).unlink(), "it has no config.json"),
        (lambda folder: (folder / HEADER).write_text("{"), "is no JSON"),
        (lambda folder: (folder / HEADER).write_bytes(b" " * (HEADER_BYTES + 1)), "larger than"),
        (lambda folder: (folder / WEIGHTS).unlink(), "no readable model.safetensors"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"\x00" * 40), "is damaged"),
        (_header(format=2), "format 2, this version reads 1"),
        (_header(tokenizer={"model": "none"}), "holds no tokenizer"),
        (_header(model={"width": 64}), "does not fit"),
        (_header(model={"width": 8192, "layers": 20}), "does not fit"),  # 16 G weights if allocated
        (_header(model={"heads": 0}), "greater than or equal to 1 at model.heads"),
        (_header(model={"pooled_grid": [0, 4]}), "greater than or equal to 1"),
        (_header(extra=1), "extra"),
        (_not_finite, "not finite"),
        (_integer_weights, "output_bias is int32"),
        (lambda folder: (folder / HEADER).write_text("[" * 200_000), "is no JSON"),
        (_header(model={"preset": ["tiny"]}), "at model.preset"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_the_shipped_one_loads_and_is_small() -> None:
    loaded = load(DEFAULT_CHECKPOINT)
    assert SPEC.id in {spec.id for spec in loaded.header.specs}
    assert sum(path.stat().st_size for path in DEFAULT_CHECKPOINT.iterdir()) < 10_000_000
