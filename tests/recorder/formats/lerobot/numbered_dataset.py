"""Datasets whose pictures and actions carry their number, so that every imported step proves itself.

A number is eight bits: eight black or white blocks of a picture, eight buttons of an action.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from av.video.stream import VideoStream
from numpy.typing import NDArray

from games import Button, Frame, FrameSize, Game, GameSpec
from recorder import Episode, ImportReport, import_lerobot, open_episodes

SPEC = GameSpec(
    id="bits-v0",
    title="Eight bits",
    frame=FrameSize(height=16, width=32),
    step_hz=10,
    controls=tuple(Button(name=f"bit{i}") for i in range(8)),
)
GAME = Game(spec=SPEC)
KEY = "observation.images.top"
TICKS = 90_000
"""Per second, in the files."""
Times = Callable[[int], float]

needs_null_lists = pytest.mark.skipif(
    int(pa.__version__.partition(".")[0]) < 26,
    reason="before version 26 pyarrow stores no null among lists of a fixed size",
)
"""For tests whose file holds such a null."""


def bits(number: int) -> list[int]:
    return [number >> i & 1 for i in range(8)]


def picture(number: int) -> Frame:
    blocks = np.kron(np.array(bits(number), np.uint8).reshape(2, 4), np.ones((8, 8), np.uint8))
    return np.repeat(255 * blocks[:, :, None], 3, 2)


def number_in(frame: NDArray[Any]) -> int:
    lit = frame[:, :, 0].reshape(2, 8, 4, 8).mean((1, 3)).reshape(-1) > 128
    return int(sum(1 << i for i in range(8) if lit[i]))


def film(path: Path, numbers: Sequence[int], times: Times, **options: Any) -> None:
    """Pictures with these numbers, picture i at `times(i)` seconds; options are x264's, and `movie` the file's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options.pop("movie", {})) as container:
        stream = container.add_stream("libx264", rate=Fraction(30))
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 16, 32, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "20", "g": "8", **options}
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.thread_count = 1
        for i, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = round(times(i) * TICKS), Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@dataclass
class NumberedDataset:
    """A dataset to be written, version 3.0 with all episodes in one video, or 2.1; picture n belongs to step n."""

    root: Path
    lengths: Sequence[int]
    rate: float = 10.0
    version: str = "v3.0"
    times: Times | None = None
    """Seconds of each picture of a video; evenly spaced where None."""
    starts: Callable[[int], float] | None = None
    """`from_timestamp` of the episode that begins with picture n; n / rate where None."""
    video: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    """Number of the first picture."""

    def write(self) -> Path:
        (self.root / "meta").mkdir(parents=True)
        self.write_info()
        if self.version == "v3.0":
            self._write_v3()
        else:
            self._write_v2()
        return self.root

    @property
    def firsts(self) -> list[int]:
        return [0, *np.cumsum(self.lengths).tolist()][:-1]

    def rows(self, episode: int) -> dict[str, Any]:
        """The columns of an episode's rows."""
        first, length = self.firsts[episode], self.lengths[episode]
        actions = [bits(self.seed + first + i) for i in range(length)]
        return {
            "action": pa.array(actions, pa.list_(pa.float32(), 8)),
            "timestamp": pa.array(np.arange(length) / self.rate, pa.float32()),
            "frame_index": np.arange(length),
            "episode_index": np.full(length, episode),
            "index": np.arange(length) + first,
            "task_index": np.full(length, episode % 2),
        }

    def write_info(self) -> None:
        features = {
            KEY: {"dtype": "video", "shape": [16, 32, 3], "names": None},
            "action": {"dtype": "float32", "shape": [8], "names": [f"b{i}" for i in range(8)]},
        }
        content = {
            "codebase_version": self.version,
            "fps": self.rate,
            "chunks_size": 1000,
            "features": features,
            **self.info,
        }
        (self.root / "meta/info.json").write_text(json.dumps(content))

    def _film(self, path: Path, first: int, length: int) -> None:
        numbers = range(self.seed + first, self.seed + first + length)
        film(path, numbers, self.times or (lambda i: i / self.rate), **self.video)

    def _write_v3(self) -> None:
        (self.root / "meta/episodes/chunk-000").mkdir(parents=True)
        (self.root / "data/chunk-000").mkdir(parents=True)
        tables = [pa.table(self.rows(episode)) for episode in range(len(self.lengths))]
        pq.write_table(pa.concat_tables(tables), self.root / "data/chunk-000/file-000.parquet")
        tasks = {"task_index": [0, 1], "__index_level_0__": ["task 0", "task 1"]}
        pq.write_table(pa.table(tasks), self.root / "meta/tasks.parquet")
        starts = self.starts or (lambda first: first / self.rate)
        rows: dict[str, Any] = {
            "episode_index": range(len(self.lengths)),
            "length": self.lengths,
            f"videos/{KEY}/from_timestamp": [starts(first) for first in self.firsts],
        }
        for of in ("data", f"videos/{KEY}"):
            rows |= {
                f"{of}/{name}": [0] * len(self.lengths) for name in ("chunk_index", "file_index")
            }
        table = pa.table({name: list(values) for name, values in rows.items()})
        pq.write_table(table, self.root / "meta/episodes/chunk-000/file-000.parquet")
        self._film(self.root / f"videos/{KEY}/chunk-000/file-000.mp4", 0, sum(self.lengths))

    def _write_v2(self) -> None:
        (self.root / "data/chunk-000").mkdir(parents=True)
        tasks = [{"task_index": i, "task": f"task {i}"} for i in range(2)]
        episodes = [{"episode_index": i, "length": n} for i, n in enumerate(self.lengths)]
        for name, lines in (("tasks", tasks), ("episodes", episodes)):
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (self.root / f"meta/{name}.jsonl").write_text(text)
        for episode, (first, length) in enumerate(zip(self.firsts, self.lengths, strict=True)):
            data = self.root / f"data/chunk-000/episode_{episode:06d}.parquet"
            pq.write_table(pa.table(self.rows(episode)), data)
            self._film(
                self.root / f"videos/chunk-000/{KEY}/episode_{episode:06d}.mp4", first, length
            )


def rewrite(path: Path, change: Callable[[dict[str, list[Any]]], object]) -> None:
    """Change the columns of a Parquet file."""
    table = pq.read_table(path)
    columns = table.to_pydict()
    change(columns)
    pq.write_table(pa.table(columns, schema=table.schema), path)


def bring(source: Path, out: Path, game: Game = GAME, **options: Any) -> ImportReport:
    return import_lerobot(source, out, game, disk_needed=0, **options)


def by_number(out: Path) -> dict[int, Episode]:
    """The imported episodes, by their number in the dataset."""
    return {e.header.seed or 0: e for e in open_episodes(out)}


def numbers(episode: Episode) -> list[int]:
    """The numbers in the frames of an episode; fails where one stands beside another's action."""
    in_frames = [number_in(frame) for frame in episode.frames()]
    in_actions = [sum(action[f"bit{i}"] << i for i in range(8)) for action in episode.actions]
    assert in_frames == in_actions
    return in_frames
