"""Foreign LeRobotDataset: the task, action rows and frames of its episodes, versions 3.0 and 2.x.

Version 3.0 has many episodes in each file; 2.x has a file per episode. Frames are a video, or PNG and JPEG files
inside the data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from games import Frame, did_you_mean
from recorder.format.manifest import CaptureError
from recorder.format.video_index import video_index
from recorder.formats.import_job import content_hash
from recorder.formats.lerobot.damage import damage_of
from recorder.formats.lerobot.image import decoded_image, image_bytes
from recorder.formats.lerobot.layout import file_path
from recorder.formats.lerobot.metadata import EpisodeEntry, read_metadata
from recorder.formats.lerobot.placement import Placement, check_placement, place_episodes
from recorder.formats.lerobot.rows import MAX_WIDTH, EpisodeRows, image_cells
from recorder.formats.lerobot.schema import SCALARS

SUCCESS = "next.success"
_KINDS = ("float", "int", "uint", "bool")


@dataclass(frozen=True)
class EpisodeActions:
    """One episode's actions (T, W), its task in words, whether it succeeded (None: not known), and its rows' hash."""

    actions: NDArray[np.float64]
    task: str
    success: bool | None
    timestamps: NDArray[np.float64]
    """Seconds since the start of the episode (T,)."""
    rows_hash: str


class ForeignDataset:
    """A dataset on disk; raises `CaptureError` with one line where it is none, or of a version that is not read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        metadata = read_metadata(root)
        self.info, self.episodes, self.skipped = (
            metadata.info,
            metadata.episodes,
            metadata.skipped,
        )
        self._tasks = metadata.tasks
        self._placements: dict[str, dict[int, Placement]] = {}

    @property
    def cameras(self) -> list[str]:
        return [k for k, f in self.info.features.items() if f.get("dtype") in ("video", "image")]

    def camera(self, wanted: str = "") -> str:
        """The camera by this name, or the only one; raises `CaptureError` where that is none or several."""
        if not wanted and len(self.cameras) != 1:
            names = ", ".join(self.cameras) or "none"
            raise CaptureError(f"{self.root} has {len(self.cameras)} cameras ({names}): name one")
        return self._known("camera", wanted or self.cameras[0], self.cameras)

    def column(self, wanted: str) -> str:
        """A column by its name; raises `CaptureError` where there is none."""
        columns = [name for name in self.info.features if name not in self.cameras]
        return self._known("column", wanted, columns)

    def _known(self, what: str, name: str, known: Sequence[str]) -> str:
        if name not in known:
            hint = did_you_mean(name, known) or f"; it has {', '.join(known) or 'none'}"
            raise CaptureError(f"{self.root} has no {what} {name!r}{hint}")
        return name

    def width(self, column: str) -> int | None:
        """The numbers a step in a column, as `meta/info.json` has it; None where it does not say."""
        shape = self.info.features[column].get("shape")
        if isinstance(shape, list) and all(isinstance(n, int) and n > 0 for n in shape):
            return math.prod(shape) if len(shape) <= 4 else None
        return None

    def number_names(self, column: str) -> list[str]:
        """The names of a column's numbers; empty where `meta/info.json` has none, or not one for each."""
        names = list(_texts(self.info.features[column].get("names")))
        return names if len(names) == self.width(column) else []

    def steps(self, entry: EpisodeEntry, action: str) -> EpisodeActions:
        """The actions, task, success and times of an episode."""
        rows = EpisodeRows(
            self._data_file(entry),
            entry.number,
            entry.length,
            [action, "task_index"],
            self._numbers,
        )
        task = self._tasks.get(rows.first("task_index"))
        if task is None:
            raise CaptureError(f"its task {rows.first('task_index')} has no sentence")
        counted = np.arange(entry.length)
        if "frame_index" in rows.columns and not np.array_equal(
            rows.matrix("frame_index")[:, 0], counted
        ):
            raise CaptureError("its frame_index does not count from 0 without a gap")
        has_times = "timestamp" in rows.columns
        return EpisodeActions(
            actions=rows.matrix(action),
            task=task,
            success=rows.any(SUCCESS) if SUCCESS in rows.columns else None,
            timestamps=rows.matrix("timestamp")[:, 0] if has_times else counted / self.info.rate,
            rows_hash=rows.content_hash(tuple(SCALARS)),
        )

    def content_hash(self, entry: EpisodeEntry, steps: EpisodeActions, camera: str) -> str:
        """SHA-256 of an episode's content: its rows, its task and its frames, still compressed.

        Its name and number are no part of it, nor is what else lies in its files: a dataset may grow.
        """
        if self._has_images(camera):
            cells = image_cells(self._data_file(entry), entry.number, camera)
            frames = content_hash(*(content_hash(image_bytes(cell)) for cell in cells))
        else:
            placement = self._placement(entry, camera)
            frames = video_index(placement.path).content_hash(placement.first, placement.length)
        return content_hash(steps.rows_hash, steps.task, frames)

    def frames(self, entry: EpisodeEntry, steps: EpisodeActions, camera: str) -> Iterator[Frame]:
        """The frames of an episode in order, each (H, W, 3) uint8 RGB in the dataset's size.

        Raises `CaptureError` before the first where it is not certain that they are those of the episode's steps.
        """
        if self._has_images(camera):
            return map(decoded_image, image_cells(self._data_file(entry), entry.number, camera))
        placement = self._placement(entry, camera)
        index = video_index(placement.path)
        check_placement(placement, index, steps.timestamps, self.info.rate)
        return index.frames(placement.first, placement.length)

    def _has_images(self, camera: str) -> bool:
        return bool(self.info.features[camera]["dtype"] == "image")

    @cached_property
    def _numbers(self) -> list[str]:
        """The columns of numbers that are read where a data file has them."""
        known = [
            name
            for name, feature in self.info.features.items()
            if str(feature.get("dtype")).startswith(_KINDS)
            and 0 < (self.width(name) or 0) <= MAX_WIDTH
        ]
        return [*known, *SCALARS, SUCCESS]

    def _placement(self, entry: EpisodeEntry, camera: str) -> Placement:
        """The place of an episode's frames; raises `CaptureError` where its line in `meta/episodes` has none."""
        if camera not in self._placements:
            spans = []
            for other in self.episodes:
                with suppress(CaptureError):
                    spans.append((other.number, *self._video(other, camera), other.length))
            self._placements[camera] = place_episodes(spans)
        placement = self._placements[camera].get(entry.number)
        if placement is None:
            self._video(entry, camera)
            raise CaptureError(f"no place in the videos of {camera}")
        return placement

    def _video(self, entry: EpisodeEntry, camera: str) -> tuple[Path, float]:
        """The video of an episode, and the second it begins at."""
        start = 0.0
        if not self.info.is_old:
            with damage_of(f"from_timestamp of {camera}"):
                start = float(entry.row[f"videos/{camera}/from_timestamp"])
            if not 0 <= start < math.inf:
                raise CaptureError(f"from_timestamp of {camera} is {start}")
        fields = {"video_key": camera, **self._fields(entry, f"videos/{camera}")}
        return self._file(self.info.video_path, fields), start

    def _data_file(self, entry: EpisodeEntry) -> Path:
        return self._file(self.info.data_path, self._fields(entry, "data"))

    def _file(self, template: str, fields: Mapping[str, int | str]) -> Path:
        with damage_of(self.root):
            return file_path(self.root, template, fields)

    def _fields(self, entry: EpisodeEntry, of: str) -> dict[str, int | str]:
        """What a path template may name of an episode."""
        episode = entry.number
        fields: dict[str, int | str] = {
            "episode_index": episode,
            "episode_chunk": episode // self.info.chunk_size,
        }
        for name in ("chunk_index", "file_index"):
            value = entry.row.get(f"{of}/{name}")
            if isinstance(value, int) and value >= 0:
                fields[name] = value
        return fields


def _texts(names: Any) -> Iterator[str]:
    """The texts in a list, or a mapping of lists."""
    if isinstance(names, str):
        yield names
    elif isinstance(names, (list, dict)):
        for part in names.values() if isinstance(names, dict) else names:
            yield from _texts(part)
