"""Foreign LeRobotDataset: versions 3.0 and 2.1, with videos and with single images."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from av.video.stream import VideoStream
from numpy.typing import NDArray

from games import Frame, Game
from games.registry import load
from recorder import (
    ActionColumns,
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    Episode,
    ImportReport,
    import_lerobot,
    open_episodes,
    validate,
)

TABLE, CALVIN = load("language-table"), load("calvin")
KEY = "observation.images.rgb"
FPS = 10
LENGTHS = (7, 5)
TASKS = ("push the red star to the blue cube", "separate the blocks")
PANDAS = {"index_columns": ["__index_level_0__"], "columns": [], "column_indexes": []}


def frame_of(episode: int, step: int, size: tuple[int, int] = (72, 128)) -> Frame:
    """Brighter with every step; the left half has the episode's red."""
    out = np.full((*size, 3), 20 + 15 * step, np.uint8)
    out[:, : size[1] // 2, 0] = 60 * episode
    return out


def actions(width: int, number: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(number)
    return rng.uniform(-0.1, 0.1, (sum(LENGTHS), width)).astype(np.float32)


def encode(path: Path, frames: Sequence[Frame], codec: str = "libx264") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"g": "2", "crf": "10"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def info(root: Path, version: str, width: int, **changes: Any) -> None:
    features = {
        KEY: {"dtype": "video", "shape": [72, 128, 3], "names": ["height", "width", "channels"]},
        "action": {"dtype": "float32", "shape": [width], "names": {"motors": ["x", "y"]}},
        "task_index": {"dtype": "int64", "shape": [1], "names": None},
        "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    }
    content = {"codebase_version": version, "fps": FPS, "chunks_size": 1000, "robot_type": "xarm"}
    (root / "meta").mkdir(parents=True, exist_ok=True)
    text = json.dumps(content | {"features": features | changes})
    (root / "meta/info.json").write_text(text)


def columns_of(rows: NDArray[np.float32], begin: int = 0) -> dict[str, Any]:
    """The columns of a data file: both episodes' rows, or one's."""
    which = np.repeat(range(len(LENGTHS)), LENGTHS)[begin : begin + len(rows)]
    steps = np.concatenate([range(n) for n in LENGTHS])[begin : begin + len(rows)]
    return {
        "action": pa.array(rows.tolist(), pa.list_(pa.float32(), rows.shape[1])),
        "timestamp": pa.array(steps / FPS, pa.float32()),
        "frame_index": steps,
        "episode_index": which,
        "index": np.arange(len(rows)) + begin,
        "task_index": which,
    }


def v3(root: Path, rows: NDArray[np.float32], codec: str = "libx264", **more: Any) -> Path:
    info(root, "v3.0", rows.shape[1], **more.pop("features", {}))
    (root / "data/chunk-000").mkdir(parents=True)
    pq.write_table(pa.table(columns_of(rows) | more), root / "data/chunk-000/file-000.parquet")
    tasks = pa.table({"task_index": [0, 1], "__index_level_0__": list(TASKS)})
    tasks = tasks.replace_schema_metadata({"pandas": json.dumps(PANDAS)})
    pq.write_table(tasks, root / "meta/tasks.parquet")
    first = [0, *np.cumsum(LENGTHS).tolist()]
    episodes = {
        "episode_index": range(2),
        "tasks": [[task] for task in TASKS],
        "length": LENGTHS,
        "dataset_from_index": first[:2],
        "dataset_to_index": first[1:],
        "stats/action/max": [[1.0]] * 2,
    }
    for key in ("data", f"videos/{KEY}", "meta/episodes"):
        episodes |= {f"{key}/chunk_index": [0, 0], f"{key}/file_index": [0, 0]}
    episodes |= {
        f"videos/{KEY}/from_timestamp": [f / FPS for f in first[:2]],
        f"videos/{KEY}/to_timestamp": [f / FPS for f in first[1:]],
    }
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    columns = {name: list(values) for name, values in episodes.items()}
    pq.write_table(pa.table(columns), root / "meta/episodes/chunk-000/file-000.parquet")
    frames = [frame_of(e, i) for e, length in enumerate(LENGTHS) for i in range(length)]
    encode(root / f"videos/{KEY}/chunk-000/file-000.mp4", frames, codec)
    return root


def v2(root: Path, rows: NDArray[np.float32]) -> Path:
    info(root, "v2.1", rows.shape[1])
    lines = [{"task_index": i, "task": task} for i, task in enumerate(TASKS)]
    (root / "meta/tasks.jsonl").write_text("\n".join(map(json.dumps, lines)))
    lines = [{"episode_index": i, "tasks": [], "length": n} for i, n in enumerate(LENGTHS)]
    (root / "meta/episodes.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (root / "data/chunk-000").mkdir(parents=True)
    for episode, (begin, length) in enumerate(zip((0, LENGTHS[0]), LENGTHS, strict=True)):
        table = pa.table(columns_of(rows[begin : begin + length], begin))
        pq.write_table(table, root / f"data/chunk-000/episode_{episode:06d}.parquet")
        frames = [frame_of(episode, i) for i in range(length)]
        encode(root / f"videos/chunk-000/{KEY}/episode_{episode:06d}.mp4", frames)
    return root


def bring(
    source: Path, game: Game, out: Path, indices: tuple[int, ...] = (), **options: Any
) -> ImportReport:
    return import_lerobot(source, out, game, columns=ActionColumns("action", indices), **options)


def by_seed(out: Path) -> list[Episode]:
    return sorted(open_episodes(out), key=lambda e: e.header.seed or 0)


@pytest.mark.parametrize(
    "write", [v3, partial(v3, codec="libsvtav1"), v2], ids=["v3", "v3-av1", "v2"]
)
def test_every_form_becomes_the_same_episodes(
    tmp_path: Path, write: Callable[[Path, NDArray[np.float32]], Path]
) -> None:
    rows, calls = actions(2), list[tuple[int, ...]]()
    source = write(tmp_path / "lt", rows)
    done = bring(source, TABLE, tmp_path / "out", progress=lambda *n: calls.append(n))
    assert (done.added, done.clipped, calls) == (2, 0.0, [(1, 2), (2, 2)])
    begin = 0
    for number, episode in enumerate(by_seed(tmp_path / "out")):
        assert validate(episode) == []
        assert episode.header.instruction == TASKS[number]
        assert episode.spec.step_hz == FPS
        assert [a["TERMINAL"] for a in episode.actions] == [0] * (len(episode) - 1) + [1]
        wanted = rows[begin : begin + len(episode)]
        imported = np.array([[a["x"], a["y"]] for a in episode.actions])
        assert np.abs(imported - wanted).max() <= 0.005 + 1e-6  # half a bin
        begin += len(episode)
        middle = episode.frames().astype(int)[:, 90, [40, 280]]  # (T, left and right, colour)
        assert np.abs(middle[:, 1] - (20 + 15 * np.arange(len(episode)))[:, None]).max() < 8
        assert np.abs(middle[:, 0, 0] - 60 * number).max() < 12
    assert bring(source, TABLE, tmp_path / "out").added == 0


def test_the_caller_says_which_numbers_are_the_games(tmp_path: Path) -> None:
    rows = actions(9, 3) * 20  # up to +-2: beyond CALVIN's range
    rows[:, 8] = [1, -1] * 6
    source = v3(tmp_path / "calvin", rows)
    done = bring(source, CALVIN, tmp_path / "out", (5, 0, 1, 2, 3, 4, 8))
    beyond = np.abs(rows[:, [5, 0, 1, 2, 3, 4]]) > 1
    assert done.clipped == pytest.approx(beyond.any(1).mean(), abs=1e-4)
    first = by_seed(tmp_path / "out")[0]
    assert [a["gripper"] for a in first.actions] == [0, 1, 0, 1, 0, 1, 0]
    imported = np.array([[a["x"], a["y"], a["yaw"]] for a in first.actions])
    assert np.abs(imported - np.clip(rows[:7, [5, 0, 4]], -1, 1)).max() <= 0.05 + 1e-6


def test_pictures_may_lie_in_the_data_and_failures_stay_failures(tmp_path: Path) -> None:
    frames = [frame_of(e, i, (20, 30)) for e, n in enumerate(LENGTHS) for i in range(n)]
    cells = [
        {"bytes": cv2.imencode(".png", p[:, :, ::-1])[1].tobytes(), "path": ""} for p in frames
    ]
    features = {
        "image": {"dtype": "image", "shape": [20, 30, 3]},
        "next.success": {"dtype": "bool", "shape": [1]},
    }
    succeeded = pa.array([False] * 6 + [True] + [False] * 5)
    more = {"image": pa.array(cells), "next.success": succeeded}
    source = v3(tmp_path / "lt", actions(2), features=features, **more)
    bring(source, TABLE, tmp_path / "out", camera="image")
    good, bad = by_seed(tmp_path / "out")
    assert (good.header.success, bad.header.success) == (True, False)
    assert (good.actions[-1]["TERMINAL"], bad.actions[-1]["TERMINAL"]) == (1, 0)
    left, right = good.frames()[3, 90, [40, 280]].astype(int)
    assert abs(right[1] - (20 + 15 * 3)) < 6
    assert left[0] < 10 < left[2]  # red and blue are not swapped


def test_an_episode_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    source = v3(tmp_path / "lt", actions(2))
    encode(source / f"videos/{KEY}/chunk-000/file-000.mp4", [frame_of(0, i) for i in range(10)])
    with pytest.raises(CaptureError, match=r"lt, episode 1: file-000\.mp4 has 10 pictures"):
        bring(source, TABLE, tmp_path / "out", strict=True)
    (intact,) = open_episodes(tmp_path / "out")
    assert (len(intact), intact.manifest.status) == (7, "closed")


def test_a_capture_left_open_by_a_crash_does_not_count(tmp_path: Path) -> None:
    source, out = v3(tmp_path / "lt", actions(2)), tmp_path / "out"
    capture_info = CaptureInfo(seed=0, author="lt")
    with CaptureWriter.create(out, TABLE.spec, capture_info, disk_needed=0) as left_open:
        left_open.step(np.zeros(TABLE.spec.frame.shape, np.uint8), {})
        assert bring(source, TABLE, out).added == 2
        assert bring(source, TABLE, out).added == 0
    with pytest.raises(CaptureError, match="captures need a folder of their own"):
        bring(source, TABLE, source)


@pytest.mark.parametrize(
    ("indices", "options", "line"),
    [
        ((0, 2), {}, "'action' of 2 numbers, counted from 0, has no 2"),
        ((0,), {}, "2 numbers a step, of which 1 are used; language-table-v0 reads 2"),
        ((), {"camera": "observation.images.rgp"}, "did you mean 'observation.images.rgb'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    tmp_path: Path, indices: tuple[int, ...], options: dict[str, str], line: str
) -> None:
    source = v3(tmp_path / "lt", actions(2))
    with pytest.raises(CaptureError, match=line) as caught:
        bring(source, TABLE, tmp_path / "out", indices, **options)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").glob("*"))


def test_damage_is_said(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="is no LeRobot dataset"):
        bring(tmp_path / "nothing", TABLE, tmp_path / "out")
    source = v3(tmp_path / "lt", actions(2))
    with pytest.raises(CaptureError, match="no column 'actoin'; did you mean 'action'"):
        import_lerobot(source, tmp_path / "out", TABLE, columns=ActionColumns("actoin"))
    (source / f"videos/{KEY}/chunk-000/file-000.mp4").unlink()
    with pytest.raises(CaptureError, match=r"file-000\.mp4 cannot be read: No such file"):
        bring(source, TABLE, tmp_path / "out", strict=True)
    info(source, "v3.0", 2, other={"dtype": "video", "shape": [72, 128, 3]})
    with pytest.raises(CaptureError, match=r"has 2 cameras \(.*rgb, other\): name one"):
        bring(source, TABLE, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))
