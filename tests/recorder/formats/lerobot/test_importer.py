"""LeRobotDataset import: a dataset v3.0 that was written elsewhere becomes captures."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from games.registry import load
from recorder import CaptureError, import_lerobot, open_episodes

CAMERA, FPS, LENGTHS = "observation.images.top", 10, (6, 9)
SENTENCES = ("push the red star to the left", "open the drawer")


def foreign(root: Path, width: int, *, cameras: tuple[str, ...] = (CAMERA,)) -> Path:
    """Two episodes in one data file and one video, as lerobot v3.0 lays them out; actions count up by tenths."""
    for folder in ("meta/episodes/chunk-000", "data/chunk-000"):
        (root / folder).mkdir(parents=True)
    features: dict[str, Any] = {
        name: {"dtype": "video", "shape": [40, 64, 3], "names": None} for name in cameras
    }
    features["action"] = {"dtype": "float32", "shape": [width], "names": None}
    info = {"codebase_version": "v3.0", "fps": FPS, "robot_type": "arm", "features": features}
    (root / "meta/info.json").write_text(json.dumps(info))
    tasks = {"task_index": [0, 1], "__index_level_0__": list(SENTENCES)}
    pq.write_table(pa.table(tasks), root / "meta/tasks.parquet")
    rows, steps, first = [], [], 0
    for episode, length in enumerate(LENGTHS):
        row: dict[str, Any] = {
            "episode_index": episode,
            "length": length,
            "data/chunk_index": 0,
            "data/file_index": 0,
        }
        for name in cameras:
            row |= {f"videos/{name}/chunk_index": 0, f"videos/{name}/file_index": 0}
            row[f"videos/{name}/from_timestamp"] = first / FPS
        rows.append(row)
        for t in range(length):
            action = [0.1 * (t % 3 - 1)] * width
            steps.append(
                {
                    "episode_index": episode,
                    "frame_index": t,
                    "task_index": episode,
                    "action": action,
                }
            )
        first += length
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    pq.write_table(pa.Table.from_pylist(steps), root / "data/chunk-000/file-000.parquet")
    for name in cameras:
        (root / f"videos/{name}/chunk-000").mkdir(parents=True)
        film(root / f"videos/{name}/chunk-000/file-000.mp4", sum(LENGTHS))
    return root


def film(path: Path, count: int) -> None:
    """Frame t is a grey of 10 t."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 40, "yuv420p"
        for t in range(count):
            video_frame = av.VideoFrame.from_ndarray(
                np.full((40, 64, 3), 10 * t, np.uint8), format="rgb24"
            )
            video_frame.pts, video_frame.time_base = t, Fraction(1, FPS)
            container.mux(stream.encode(video_frame))
        container.mux(stream.encode(None))


def test_pictures_words_and_actions_arrive(tmp_path: Path) -> None:
    source, out = foreign(tmp_path / "table", 2), tmp_path / "out"
    assert import_lerobot(source, out, load("language-table")).added == 2
    second = next(e for e in open_episodes(out) if e.header.seed == 1)
    assert second.header.instruction == SENTENCES[1]
    assert second.spec.step_hz == FPS
    assert [a["x"] for a in second.actions[:3]] == pytest.approx([-0.1, 0.0, 0.1])
    assert [a["TERMINAL"] for a in second.actions] == [0] * 8 + [1]
    greys = second.frames().mean((1, 2, 3))
    assert second.frames().shape == (9, 180, 320, 3)
    assert greys == pytest.approx(10 * np.arange(6, 15), abs=4)
    assert import_lerobot(source, out, load("language-table")).added == 0


def test_calvins_gripper_closes_below_zero(tmp_path: Path) -> None:
    import_lerobot(foreign(tmp_path / "calvin", 7), tmp_path / "out", load("calvin"))
    episode = open_episodes(tmp_path / "out")[0]
    assert [a["gripper"] for a in episode.actions[:3]] == [1, 0, 0]
    assert episode.actions[2]["yaw"] == pytest.approx(0.1)


def test_what_does_not_fit_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        CaptureError, match=r"episode 0: an action of 3 numbers is none of calvin-v0"
    ):
        import_lerobot(foreign(tmp_path / "narrow", 3), tmp_path / "out", load("calvin"))
    two = foreign(tmp_path / "two", 2, cameras=("observation.images.a", "observation.images.b"))
    with pytest.raises(CaptureError, match=r"has 2 cameras \(.*a, .*b\): name one"):
        import_lerobot(two, tmp_path / "out", load("language-table"))
    (two / "meta/info.json").write_text('{"codebase_version": "v1.6", "fps": 9, "features": {}}')
    with pytest.raises(CaptureError, match=r"LeRobot v1\.6, this reads v3\.0"):
        import_lerobot(two, tmp_path / "out", load("language-table"))
    (two / "meta/info.json").write_text("{}")
    with pytest.raises(CaptureError, match="is no LeRobot dataset: KeyError"):
        import_lerobot(two, tmp_path / "out", load("language-table"))
