"""Do checkpoints travel to a hub and back as they are? A folder on this disk stands for the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub
import pytest

from agent_core.__main__ import main
from agent_core.checkpoint import SHIPPED, CheckpointError, load


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Repositories are folders of `tmp_path`; a missing one is an error, as there."""

    class Api:
        def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
            (tmp_path / name).mkdir(parents=True, exist_ok=exist_ok)

        def upload_folder(
            self, *, repo_id: str, folder_path: str, allow_patterns: list[str]
        ) -> None:
            for name in allow_patterns:
                shutil.copy(Path(folder_path) / name, tmp_path / repo_id / name)

        def upload_file(self, *, repo_id: str, path_or_fileobj: bytes, path_in_repo: str) -> None:
            (tmp_path / repo_id / path_in_repo).write_bytes(path_or_fileobj)

    def download(name: str, allow_patterns: list[str]) -> str:
        if not (tmp_path / name).is_dir():
            raise OSError(f"404: {name}\nlong explanation")
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return tmp_path


def test_a_pushed_checkpoint_loads_from_the_hub(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(SHIPPED), "hub:someone/voxel-tiny"]) == 0
    assert capsys.readouterr().out.strip().endswith("someone/voxel-tiny")
    card = (hub / "someone" / "voxel-tiny" / "README.md").read_text()
    assert "iafm serve --checkpoint hub:someone/voxel-tiny" in card
    assert load("hub:someone/voxel-tiny").header == load(SHIPPED).header


def test_what_goes_wrong_is_one_line(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointError, match=r"could not be downloaded: 404: no/body$"):
        load("hub:no/body")
    assert main(["push", str(SHIPPED), "someone/voxel-tiny"]) == 2
    assert "is written hub:owner/name" in capsys.readouterr().err
