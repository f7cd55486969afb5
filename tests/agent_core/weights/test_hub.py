"""Tests of hub download and upload, with a local folder in place of the hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import huggingface_hub
import pytest

from agent_core.__main__ import main
from agent_core.errors import CheckpointError
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, load


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub whose repositories are folders of `tmp_path`; signatures are those of the real library."""
    api = create_autospec(huggingface_hub.HfApi, instance=True)

    def create_repo(name: str, *, private: bool, exist_ok: bool) -> None:
        (tmp_path / name).mkdir(parents=True, exist_ok=exist_ok)

    def create_commit(name: str, operations: list[Any], *, commit_message: str) -> None:
        assert commit_message
        for added in operations:
            with added.as_file() as file:
                (tmp_path / name / added.path_in_repo).write_bytes(file.read())

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        folder = tmp_path / (f"{name}@{revision}" if revision else name)
        if not folder.is_dir():
            raise OSError(f"404 Client Error.\n\nRepository Not Found for {name}\nlong explanation")
        return str(folder)

    api.create_repo.side_effect = create_repo
    api.file_exists.side_effect = lambda name, file: (tmp_path / name / file).exists()
    api.create_commit.side_effect = create_commit
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
    real = create_autospec(huggingface_hub.snapshot_download, side_effect=download)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", real)
    return tmp_path


def test_a_pushed_checkpoint_loads_from_the_hub(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(DEFAULT_CHECKPOINT), "hub:someone/voxel-tiny"]) == 0
    assert capsys.readouterr().out.strip().endswith("someone/voxel-tiny")
    card = (hub / "someone" / "voxel-tiny" / "README.md").read_text()
    assert "iafm serve --checkpoint hub:someone/voxel-tiny" in card
    assert load("hub:someone/voxel-tiny").header == load(DEFAULT_CHECKPOINT).header
    (hub / "someone" / "voxel-tiny" / "README.md").write_text("my own words")
    assert main(["push", str(DEFAULT_CHECKPOINT), "hub:someone/voxel-tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["url"].endswith("someone/voxel-tiny")
    assert (hub / "someone" / "voxel-tiny" / "README.md").read_text() == "my own words"


def test_a_revision_is_another_checkpoint(hub: Path) -> None:
    shutil.copytree(DEFAULT_CHECKPOINT, hub / "someone" / "voxel-tiny@v1")
    assert load("hub:someone/voxel-tiny@v1").header == load(DEFAULT_CHECKPOINT).header
    with pytest.raises(CheckpointError, match="could not be downloaded"):
        load("hub:someone/voxel-tiny@v2")
    with pytest.raises(CheckpointError, match="could not be downloaded"):
        load("hub:someone/voxel-tiny")


def test_what_goes_wrong_is_one_line(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        CheckpointError, match=r"404 Client Error. Repository Not Found for no/body$"
    ):
        load("hub:no/body")
    assert main(["push", str(DEFAULT_CHECKPOINT), "someone/voxel-tiny"]) == 2
    assert "is written hub:owner/name" in capsys.readouterr().err
    assert main(["push", str(DEFAULT_CHECKPOINT), "hub:someone/voxel-tiny@v1"]) == 2
    assert "without @v1" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="is written hub:owner/name"):
        load("hub:nobody")
