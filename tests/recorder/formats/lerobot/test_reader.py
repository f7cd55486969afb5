"""Reader of exported datasets: damage costs the episode that it is in, and frames are counted, not computed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from games import Button, GameSpec
from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    Episode,
    EpisodeSet,
    export_lerobot,
    open_episodes,
)
from recorder.formats.lerobot.reader import open_dataset
from tests.recorder.formats.lerobot.numbered_dataset import (
    SPEC,
    bits,
    needs_null_lists,
    numbers,
    picture,
)

ROWS = "meta/episodes/chunk-000/file-000.parquet"
LINES = "meta/iafm/episodes.jsonl"
DATA = "data/chunk-000/file-000.parquet"
START = "videos/observation.images.main/from_timestamp"
LENGTHS = (7, 5, 9)


def exported(root: Path, lengths: tuple[int, ...] = LENGTHS, spec: GameSpec = SPEC) -> Path:
    """Episodes of a game with eight buttons, or one; step and picture n carry their number."""
    n = 0
    for length in lengths:
        with CaptureWriter.create(root / "captures", spec, CaptureInfo(), disk_needed=0) as capture:
            for _ in range(length):
                action = {f"bit{i}": bit for i, bit in enumerate(bits(n)) if len(spec.controls) > i}
                capture.step(picture(n), action)
                n += 1
            capture.close()
    captures = list(open_episodes(root / "captures"))
    captures.sort(key=lambda episode: numbers(episode)[0] if len(spec.controls) == 8 else 0)
    export_lerobot(EpisodeSet(captures), root / "dataset")
    return root / "dataset"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("original"))


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A dataset of three episodes, to be damaged."""
    return Path(shutil.copytree(original, tmp_path / "dataset"))


def change_column(path: Path, name: str, change: Callable[[list[Any]], object]) -> None:
    table = pq.read_table(path)
    values = table[name].to_pylist()
    change(values)
    i = table.column_names.index(name)
    changed = table.set_column(
        i, table.schema.field(i), pa.array(values, table.schema.field(i).type)
    )
    pq.write_table(changed, path)


def change_line(path: Path, number: int, change: Callable[[dict[str, Any]], object]) -> None:
    lines = path.read_text().splitlines()
    line = json.loads(lines[number])
    change(line)
    lines[number] = json.dumps(line)
    path.write_text("".join(text + "\n" for text in lines))


def firsts(episodes: list[Episode]) -> list[int]:
    return [numbers(episode)[0] for episode in episodes]


@pytest.mark.parametrize("damaged", [0, 1, 2])
@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.clear(),
        lambda line: line.update(words={"99": {"chat": "x"}}),
        lambda line: line.update(rewards={"-1": 1}),
        lambda line: line.update(rewards={"0": float("nan")}),
        lambda line: line["manifest"].update(steps=3),
    ],
    ids=["empty", "words", "negative", "nan", "steps"],
)
def test_a_damaged_line_costs_its_own_episode(
    root: Path, damaged: int, change: Callable[[dict[str, Any]], object]
) -> None:
    change_line(root / LINES, damaged, change)
    episodes = open_episodes(root)
    assert firsts(list(episodes)) == [n for i, n in enumerate((0, 7, 12)) if i != damaged]
    (part,) = episodes.skipped
    assert part.source == f"dataset, episode {damaged}"
    assert part.why.startswith(f"its line in {LINES} cannot be read")


def test_a_torn_line_costs_its_own_episode(root: Path) -> None:
    content = (root / LINES).read_bytes().splitlines(keepends=True)
    (root / LINES).write_bytes(content[0] + b"\xff{\n" + content[2])
    episodes = open_episodes(root)
    assert (firsts(list(episodes)), len(episodes.skipped)) == ([0, 12], 1)
    (root / LINES).write_bytes(content[0] + content[2])
    with pytest.raises(
        CaptureError, match="3 episodes, 2 in meta/iafm"
    ):  # which is lost is not known
        open_episodes(root)


@pytest.mark.parametrize("damaged", [0, 1, 2])
@pytest.mark.parametrize(
    "column", ["length", "dataset_from_index", "dataset_to_index", "data/file_index", START]
)
def test_a_null_in_a_row_costs_its_own_episode(root: Path, damaged: int, column: str) -> None:
    change_column(root / ROWS, column, lambda values: values.__setitem__(damaged, None))
    episodes = open_episodes(root)
    assert firsts(list(episodes)) == [n for i, n in enumerate((0, 7, 12)) if i != damaged]
    assert [part.source for part in episodes.skipped] == [f"dataset, episode {damaged}"]


@pytest.mark.parametrize("drift", [0.001, -0.001, 0.049])
def test_a_drift_of_the_times_changes_no_frame(root: Path, drift: float) -> None:
    change_column(
        root / ROWS,
        START,
        lambda values: values.__setitem__(slice(None), [v + drift for v in values]),
    )
    episodes = open_episodes(root)
    assert firsts(list(episodes)) == [0, 7, 12]
    assert episodes.skipped == ()


def test_a_time_of_another_frame_is_refused(root: Path) -> None:
    change_column(root / ROWS, START, lambda values: values.__setitem__(1, 0.8))
    episodes = open_episodes(root)
    assert firsts(list(episodes)) == [0, 12]
    assert episodes.skipped[0].why == (
        "it begins at 0.8000 s of its video, but after 7 frames at 10 a second"
    )


@pytest.mark.parametrize("row", [0, 6, 7, 9, 20])
@pytest.mark.parametrize("column", [pytest.param("action", marks=needs_null_lists), "index"])
def test_a_null_in_the_data_costs_its_own_episode(root: Path, row: int, column: str) -> None:
    change_column(root / DATA, column, lambda values: values.__setitem__(row, None))
    episodes = open_episodes(root)
    damaged = int(np.searchsorted((7, 12), row, "right"))
    for i, episode in enumerate(episodes):
        if i != damaged:
            assert numbers(episode)[0] == (0, 7, 12)[i]
        elif (column, row) != ("index", 0):  # the first number follows from the others
            with pytest.raises(CaptureError, match=r"not finite|does not have the rows"):
                _ = episode.actions


def test_one_button_is_a_plain_column(tmp_path: Path) -> None:
    spec = GameSpec(
        id="one-v0", title="One", frame=SPEC.frame, step_hz=10, controls=(Button(name="bit0"),)
    )
    root = exported(tmp_path, (6,), spec)
    (episode,) = open_episodes(root)
    assert [action["bit0"] for action in episode.actions] == [0, 1] * 3


@pytest.mark.parametrize("path", ["meta/info.json", "meta/iafm/spec.json", ROWS])
def test_a_damaged_file_is_said_in_one_line(root: Path, path: str) -> None:
    (root / path).write_bytes(b"PAR1 {")
    with pytest.raises(CaptureError, match="cannot be read") as caught:
        open_dataset(root)
    assert "\n" not in str(caught.value)
