"""Matches of several paths, ours and foreign ones."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from agent_core.recording.matches import is_foreign, open_matches
from games.voxel import SPEC
from recorder import CaptureInfo, CaptureWriter


def record(root: Path) -> None:
    with CaptureWriter.create(root, SPEC, CaptureInfo(instruction="dig"), disk_needed=0) as capture:
        capture.step(np.zeros(SPEC.frame.shape, np.uint8), {})


def test_ours_are_read_where_they_are(tmp_path: Path) -> None:
    for name in ("a", "b"):
        record(tmp_path / name)
    assert not is_foreign(tmp_path / "a")
    assert not is_foreign(tmp_path)
    matches = open_matches([tmp_path / "a", tmp_path / "b"], tmp_path / "imported")
    assert len(matches) == 2
    assert not (tmp_path / "imported").exists()


def test_what_others_recorded_is_imported(tmp_path: Path) -> None:
    """Two steps as VPT's contractors have them."""
    source = tmp_path / "vpt"
    source.mkdir()
    with av.open(str(source / "one.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for n in range(3):
            picture = np.full((360, 640, 3), 40 * n, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    mouse = {"dx": 0.0, "dy": 0.0, "buttons": [], "newButtons": [], "x": 640.0, "y": 360.0}
    row = {
        "mouse": mouse,
        "keyboard": {"keys": ["key.keyboard.w"]},
        "isGuiOpen": False,
        "hotbar": 0,
    }
    lines = [json.dumps({**row, "tick": n, "milli": 50 * n}) for n in range(3)]
    (source / "one.jsonl").write_text("\n".join(lines))
    assert is_foreign(source)
    (episode,) = open_matches([source], tmp_path / "imported")
    assert episode.spec.id == "minecraft-v0"
    assert episode.folder.is_relative_to(tmp_path / "imported" / "0")


def test_what_cannot_be_imported_is_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "vpt"
    source.mkdir()
    (source / "torn.mp4").write_bytes(b"no video")
    (source / "torn.jsonl").write_text('{"no": "row"}')
    record(tmp_path / "ours")
    matches = open_matches([source, tmp_path / "ours"], tmp_path / "imported")
    assert len(matches) == 1
    assert {each.source for each in matches.skipped} == {"torn, line 1", "torn"}
    lines = [f"skipped {each.source}: {each.why}" for each in matches.skipped]
    assert caplog.messages == lines
