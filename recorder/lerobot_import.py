"""How do LeRobotDatasets v3.0 of others become captures here? Robots' demonstrations above all.

Pictures come to the game's frame size and are encoded anew; the task's sentence becomes the instruction; the last step
of an episode not known to have failed gets the control that means `episode.end`, where the game has one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from games import Action, ActionError, Frame, Game, GameSpec
from recorder import dataset_layout as layout
from recorder.capture import CaptureWriter
from recorder.layout import CaptureError, CaptureInfo
from recorder.opening import open_episodes
from recorder.video import VideoSlice

CHUNK = 64
"""Pictures decoded at a time."""
LARGEST = 4096
"""Height and width beyond which a dataset's pictures are refused."""


@dataclass(frozen=True)
class _Source:
    """What `meta/` says of a dataset."""

    root: Path
    fps: int
    camera: str
    shape: tuple[int, int, int]
    tasks: dict[int, str]
    rows: list[dict[str, Any]]
    """One per episode: `meta/episodes`."""


def import_lerobot(
    root: Path,
    out: Path,
    game: Game,
    *,
    camera: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write each episode of the dataset at `root` as a capture of `game` under `out`; returns how many are new.

    `camera` names the picture column where there are several. Episodes that `out` already holds are passed over, so
    that a broken import is gone on with. Raises `CaptureError` in one line for what is no such dataset or does not fit.
    """
    source = _open(root, camera)
    spec = game.spec.model_copy(update={"step_hz": float(source.fps)})
    have = _imported(out, root.name)
    new = [row for row in source.rows if row["episode_index"] not in have]
    for done, row in enumerate(new, start=1):
        _import(source, row, spec, game, out)
        if progress:
            progress(done, len(new))
    return len(new)


def _imported(out: Path, name: str) -> set[int | None]:
    try:
        found = open_episodes(out)
    except CaptureError:
        return set()
    return {e.info.seed for e in found if e.info.author == name and e.manifest.status == "closed"}


def _open(root: Path, camera: str) -> _Source:
    try:
        info = json.loads((root / layout.INFO).read_text(encoding="utf-8"))
        if info["codebase_version"] != layout.VERSION:
            raise CaptureError(
                f"{root}: LeRobot {info['codebase_version']}, this reads {layout.VERSION}; "
                "lerobot's own converter brings older ones up to date"
            )
        if "action" not in info["features"]:
            raise CaptureError(f"{root} has no column 'action'")
        camera = _camera(root, info["features"], camera)
        height, width, depth = info["features"][camera]["shape"]
        if depth != 3 or not (0 < height <= LARGEST and 0 < width <= LARGEST):
            raise CaptureError(f"{root}: {camera} is {height} x {width} x {depth}")
        tasks = _tasks(root)
        rows = _episode_rows(root)
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        if isinstance(error, CaptureError):
            raise
        line = (str(error).splitlines() or [""])[0]
        raise CaptureError(
            f"{root} is no LeRobot dataset: {type(error).__name__}: {line}"
        ) from None
    return _Source(root, round(info["fps"]), camera, (height, width, 3), tasks, rows)


def _camera(root: Path, features: dict[str, Any], wanted: str) -> str:
    videos = [name for name, feature in features.items() if feature["dtype"] == "video"]
    if wanted and wanted not in videos:
        raise CaptureError(f"{root} has no video {wanted!r}; it has {', '.join(videos) or 'none'}")
    if not wanted and len(videos) != 1:
        raise CaptureError(f"{root} has {len(videos)} videos ({', '.join(videos)}): name one")
    return wanted or videos[0]


def _tasks(root: Path) -> dict[int, str]:
    """Sentences by number; the sentence is the table's index, whatever that is called."""
    table = pq.read_table(root / layout.TASKS)
    sentences = next(name for name in table.column_names if name != "task_index")
    return dict(
        zip(table["task_index"].to_pylist(), map(str, table[sentences].to_pylist()), strict=True)
    )


def _episode_rows(root: Path) -> list[dict[str, Any]]:
    files = sorted((root / "meta/episodes").glob("chunk-*/file-*.parquet"))
    rows: list[dict[str, Any]] = []
    for file in files:
        names = [n for n in pq.read_schema(file).names if not n.startswith("stats/")]
        rows += pq.read_table(file, columns=names).to_pylist()
    if not rows:
        raise CaptureError(f"{root} has no episodes")
    return sorted(rows, key=lambda row: int(row["episode_index"]))


def _import(source: _Source, row: dict[str, Any], spec: GameSpec, game: Game, out: Path) -> None:
    steps = _steps(source, row)
    sentence = source.tasks.get(int(steps["task_index"][0]), "")
    success = bool(steps["next.success"][-1]) if "next.success" in steps else None
    actions = _actions(
        steps["action"], spec, game, f"{source.root}, episode {row['episode_index']}"
    )
    if success is not False:
        actions[-1] |= {c.name: 1 for c in spec.controls if c.meaning == "episode.end"}
    about = CaptureInfo(
        instruction=sentence,
        task=spec.name,
        seed=int(row["episode_index"]),
        author=source.root.name,
        success=success,
    )
    with CaptureWriter.create(out, spec, about) as capture:
        for frame, action in zip(_frames(source, row, len(actions), spec), actions, strict=True):
            capture.step(frame, action)
        capture.close(success=success)


def _steps(source: _Source, row: dict[str, Any]) -> dict[str, list[Any]]:
    """The episode's rows of its data file, by column."""
    path = source.root / layout.DATA_PATH.format(
        chunk_index=int(row["data/chunk_index"]), file_index=int(row["data/file_index"])
    )
    wanted = ["action", "task_index", "next.success"]
    try:
        names = [name for name in wanted if name in pq.read_schema(path).names]
        filters = [("episode_index", "=", int(row["episode_index"]))]
        table = pq.read_table(path, columns=names, filters=filters)
    except (OSError, pa.ArrowException) as error:
        raise CaptureError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if table.num_rows != int(row["length"]):
        raise CaptureError(f"{path}: {table.num_rows} steps of {row['length']}")
    columns: dict[str, list[Any]] = table.to_pydict()
    return columns


def _actions(
    vectors: Sequence[Sequence[float]], spec: GameSpec, game: Game, where: str
) -> list[Action]:
    names = [c.name for c in spec.controls if c.meaning != "episode.end"]
    read = game.from_vector or (lambda vector: dict(zip(names, vector, strict=True)))
    try:
        return [spec.legal(read(list(vector))) for vector in vectors]
    except (ActionError, ValueError, IndexError) as error:
        width = len(vectors[0])
        raise CaptureError(
            f"{where}: an action of {width} numbers is none of {spec.id}: {error}"
        ) from None


def _frames(source: _Source, row: dict[str, Any], count: int, spec: GameSpec) -> Iterator[Frame]:
    key = f"videos/{source.camera}"
    path = source.root / layout.VIDEO_PATH.format(
        video_key=source.camera,
        chunk_index=int(row[f"{key}/chunk_index"]),
        file_index=int(row[f"{key}/file_index"]),
    )
    first = round(float(row[f"{key}/from_timestamp"]) * source.fps)
    video = VideoSlice(path, source.fps, source.shape, first)
    size = (spec.frame.width, spec.frame.height)
    for start in range(0, count, CHUNK):
        for picture in video.read(range(start, min(start + CHUNK, count))):
            fitted: NDArray[np.uint8] = np.asarray(
                cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8
            )
            yield fitted
