"""Foreign LeRobotDataset: the tasks, action rows and frames of its episodes, versions 3.0 and 2.x.

Version 3.0 has many episodes in each file and their locations in `meta/episodes`; 2.x has a file per episode. Frames
are a video, or PNG and JPEG files inside the data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from games import Frame, did_you_mean
from recorder.format.manifest import CaptureError
from recorder.format.video import VideoSlice, reading
from recorder.formats.lerobot.schema import DATA_PATH, INFO, TASKS, VIDEO_PATH

EPISODE_FILES = "meta/episodes/*/*.parquet"
OLD_TASKS, OLD_EPISODES = "meta/tasks.jsonl", "meta/episodes.jsonl"
OLD_DATA_PATH = "data/chunk-{chunk:03d}/episode_{number:06d}.parquet"
OLD_VIDEO_PATH = "videos/chunk-{chunk:03d}/{video_key}/episode_{number:06d}.mp4"
SUCCESS = "next.success"
CHUNK = 64
"""Frames of a video that are decoded at a time."""
MAX_SIDE = 4096
"""Largest height and width of frames that are read."""


@dataclass(frozen=True)
class EpisodeLocation:
    """Files of one episode: its data, and per camera the video and the second it begins at."""

    number: int
    length: int
    data: Path
    videos: dict[str, tuple[Path, float]]


@dataclass(frozen=True)
class EpisodeActions:
    """One episode's actions (T, W), its task in words, and whether it succeeded (None: not known)."""

    actions: NDArray[np.float32]
    task: str
    success: bool | None


class ForeignDataset:
    """A dataset on disk, whose videos are decoded `chunk` frames at a time.

    Raises `CaptureError` with one line where it is none, or of a version that is not read.
    """

    def __init__(self, root: Path, chunk: int = CHUNK) -> None:
        self.root, self._chunk = root, chunk
        try:
            info = json.loads((root / INFO).read_text(encoding="utf-8"))
            self.version, self.rate = str(info["codebase_version"]), float(info["fps"])
            self.features: dict[str, Any] = dict(info["features"])
            if not self.version.startswith(("v2.", "v3.")):
                raise CaptureError(
                    f"{root}: LeRobot {self.version}, this reads v3.0, v2.1 and v2.0"
                )
            old = self.version.startswith("v2.")
            self._tasks = _old_tasks(root) if old else _tasks(root)
            self.episodes = self._old_locations(info) if old else self._locations()
            if not self.episodes:
                raise CaptureError(f"{root} has no episodes")
        except CaptureError:
            raise
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            line = (str(error).splitlines() or [""])[0]
            raise CaptureError(
                f"{root} is no LeRobot dataset: {type(error).__name__}: {line}"
            ) from None
        if not 0 < self.rate <= 240:
            raise CaptureError(f"{root}: {self.rate:g} frames a second")

    @property
    def cameras(self) -> list[str]:
        return [k for k, f in self.features.items() if f.get("dtype") in ("video", "image")]

    def camera(self, wanted: str = "") -> str:
        """The camera by this name, or the only one; raises `CaptureError` where that is none or several."""
        if not wanted and len(self.cameras) != 1:
            names = ", ".join(self.cameras) or "none"
            raise CaptureError(f"{self.root} has {len(self.cameras)} cameras ({names}): name one")
        return self._known("camera", wanted or self.cameras[0], self.cameras)

    def column(self, wanted: str) -> str:
        """A column by its name; raises `CaptureError` where there is none."""
        return self._known("column", wanted, [n for n in self.features if n not in self.cameras])

    def _known(self, what: str, name: str, known: Sequence[str]) -> str:
        if name not in known:
            hint = did_you_mean(name, known) or f"; it has {', '.join(known) or 'none'}"
            raise CaptureError(f"{self.root} has no {what} {name!r}{hint}")
        return name

    def steps(self, location: EpisodeLocation, action: str) -> EpisodeActions:
        """The actions, task and success of an episode."""
        table = self._rows(location, [action, "task_index"], [SUCCESS])
        try:
            rows = np.array(table[action].to_pylist(), np.float32).reshape(location.length, -1)
            task = self._tasks[table["task_index"][0].as_py()]
        except (ValueError, KeyError, TypeError):
            name = f"{location.data}, episode {location.number}"
            raise CaptureError(
                f"{name}: no {location.length} rows of {action!r} with a known task"
            ) from None
        successes = table[SUCCESS].to_pylist() if SUCCESS in table.column_names else []
        return EpisodeActions(rows, task, bool(np.any(successes)) if successes else None)

    def frames(self, location: EpisodeLocation, camera: str) -> Iterator[Frame]:
        """The frames of an episode in order, each (H, W, 3) uint8 RGB in the dataset's size."""
        if self.features[camera]["dtype"] == "image":
            for cell in self._rows(location, [camera])[camera].to_pylist():
                yield _decoded(cell, location)
            return
        path, second = location.videos[camera]
        with reading(path) as container:
            codec = container.streams.video[0].codec_context
            shape = (codec.height, codec.width, 3)
        if max(shape) > MAX_SIDE:
            raise CaptureError(f"{path}: frames of {shape[0]} x {shape[1]}, larger than {MAX_SIDE}")
        rate = max(1, round(self.rate))
        video = VideoSlice(path, rate, shape, round(second * rate))
        for start in range(0, location.length, self._chunk):
            yield from video.read(range(start, min(start + self._chunk, location.length)))

    def _rows(
        self, location: EpisodeLocation, needed: Sequence[str], optional: Sequence[str] = ()
    ) -> pa.Table:
        """Columns of an episode's rows in the data file; `optional` ones only where the dataset has them."""
        try:
            table = _read(
                location.data, (*needed, *(name for name in optional if name in self.features))
            )
        except FileNotFoundError:
            raise CaptureError(f"{self.root} has no {location.data}") from None
        except (OSError, KeyError, pa.ArrowException) as error:
            line = str(error).splitlines()[0]
            raise CaptureError(f"{location.data} cannot be read: {line}") from None
        rows = table.filter(pc.equal(table["episode_index"], location.number))
        if len(rows) != location.length:
            raise CaptureError(
                f"{location.data}: {len(rows)} of the {location.length} rows of episode {location.number}"
            )
        return rows

    def _locations(self) -> list[EpisodeLocation]:
        videos = [k for k in self.cameras if self.features[k]["dtype"] == "video"]
        locations = []
        for path in sorted(self.root.glob(EPISODE_FILES)):
            names = [n for n in pq.read_schema(path).names if not n.startswith("stats/")]
            for row in pq.read_table(path, columns=names).to_pylist():
                chunk = _chunk(row, "data")
                camera_videos = {
                    key: (
                        self.root
                        / VIDEO_PATH.format(video_key=key, **_chunk(row, f"videos/{key}")),
                        float(row[f"videos/{key}/from_timestamp"]),
                    )
                    for key in videos
                }
                data = self.root / DATA_PATH.format(**chunk)
                locations.append(
                    EpisodeLocation(row["episode_index"], row["length"], data, camera_videos)
                )
        return sorted(locations, key=lambda location: location.number)

    def _old_locations(self, info: dict[str, Any]) -> list[EpisodeLocation]:
        videos = [k for k in self.cameras if self.features[k]["dtype"] == "video"]
        locations = []
        for line in _lines(self.root / OLD_EPISODES):
            number = int(line["episode_index"])
            file_names = {"number": number, "chunk": number // int(info["chunks_size"])}
            camera_videos = {
                key: (self.root / OLD_VIDEO_PATH.format(video_key=key, **file_names), 0.0)
                for key in videos
            }
            data = self.root / OLD_DATA_PATH.format(**file_names)
            locations.append(EpisodeLocation(number, int(line["length"]), data, camera_videos))
        return locations


def _tasks(root: Path) -> dict[int, str]:
    """Sentences by task index; LeRobot has them as the table's index, under a name that changed over time."""
    table = pq.read_table(root / TASKS)
    known = [n for n in ("__index_level_0__", "task") if n in table.column_names]
    if not known:
        raise CaptureError(f"{root / TASKS} has no sentences of tasks, only {table.column_names}")
    words = known[0]
    return dict(zip(table["task_index"].to_pylist(), table[words].to_pylist(), strict=True))


def _old_tasks(root: Path) -> dict[int, str]:
    return {int(line["task_index"]): str(line["task"]) for line in _lines(root / OLD_TASKS)}


def _lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _chunk(row: dict[str, Any], of: str) -> dict[str, int]:
    return {key: int(row[f"{of}/{key}"]) for key in ("chunk_index", "file_index")}


@lru_cache(maxsize=2)
def _read(path: Path, columns: tuple[str, ...]) -> pa.Table:
    return pq.read_table(path, columns=[*columns, "episode_index"])


def _decoded(cell: dict[str, Any], location: EpisodeLocation) -> Frame:
    """A frame that is stored as the bytes of a PNG or JPEG file."""
    decoded = cv2.imdecode(np.frombuffer(cell["bytes"] or b"\0", np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise CaptureError(
            f"{location.data}: a frame of episode {location.number} cannot be decoded"
        )
    return np.ascontiguousarray(decoded[:, :, ::-1])
