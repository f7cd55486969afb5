"""Metadata of a foreign dataset: both layouts, byte order marks, and damage of its list of episodes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recorder import CaptureError
from recorder.formats.lerobot.metadata import read_metadata
from tests.recorder.formats.lerobot.numbered_dataset import (
    NumberedDataset,
    bring,
    by_number,
    numbers,
    rewrite,
)

BOM = b"\xef\xbb\xbf"
META = "meta/episodes/chunk-000/file-000.parquet"


def old(root: Path, lengths: tuple[int, ...] = (7, 5, 9)) -> Path:
    return NumberedDataset(root, lengths, version="v2.1").write()


@pytest.fixture(scope="module")
def old_meta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return old(tmp_path_factory.mktemp("old") / "set", (1, 1, 1)) / "meta"


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    source = old(tmp_path / "set")
    for path in (source / "meta").iterdir():
        path.write_bytes(BOM + path.read_bytes().replace(b"\n", b"\r\n"))
    assert bring(source, tmp_path / "out").added == 3
    assert by_number(tmp_path / "out")[1].header.instruction == "task 1"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"episode_index": 1, "len', "JSONDecodeError"),
        (b'{"episode_index": 1, "length": null}', "length is None"),
        (b'{"episode_index": 1, "length": 0}', "episode 1 of 0 steps"),
        (b'{"episode_index": 1, "length": 99999999999}', "episode 1 of 99999999999 steps"),
        (b'{"episode_index": -1, "length": 5}', "episode -1 of 5 steps"),
        (b'{"episode_index": 0, "length": 5}', "episode 0 is listed twice"),
        (b'{"length": 5}', "episode_index"),
        (b"[1, 5]", "no JSON object"),
        (b'{"episode_index": 1, "tasks": ["\xff"], "length": 5}', "UnicodeDecodeError"),
        (b"[" * 100_000, "RecursionError|JSONDecodeError"),
    ],
    ids=range(10),
)
def test_a_damaged_line_costs_its_own_episode(
    tmp_path: Path, old_meta: Path, line: bytes, why: str
) -> None:
    source = tmp_path / "set"
    shutil.copytree(old_meta, source / "meta")
    lines = (source / "meta/episodes.jsonl").read_bytes().splitlines()
    lines[1] = line
    (source / "meta/episodes.jsonl").write_bytes(b"\n".join(lines))
    metadata = read_metadata(source)
    (part,) = metadata.skipped
    assert part.source == "meta/episodes.jsonl, line 2"
    assert any(text in part.why for text in why.split("|"))
    assert [entry.number for entry in metadata.episodes] == [0, 2]


def test_a_torn_line_is_named_and_the_others_are_imported(tmp_path: Path) -> None:
    source = old(tmp_path / "set")
    lines = (source / "meta/episodes.jsonl").read_text().splitlines()
    lines[1] = lines[1][:20]
    (source / "meta/episodes.jsonl").write_text("\n".join(lines))
    report = bring(source, tmp_path / "out")
    assert [part.source for part in report.skipped] == ["set, meta/episodes.jsonl, line 2"]
    assert {n: numbers(e)[0] for n, e in by_number(tmp_path / "out").items()} == {0: 0, 2: 12}
    with pytest.raises(CaptureError, match="line 2"):
        bring(source, tmp_path / "strict", strict=True)


def test_a_torn_task_costs_its_episodes(tmp_path: Path) -> None:
    source = old(tmp_path / "set")
    (source / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "zero"}\n{"task_ind')
    report = bring(source, tmp_path / "out")
    assert [part.source for part in report.skipped] == [
        "set, meta/tasks.jsonl, line 2",
        "set, episode 1",
    ]
    assert report.skipped[1].why == "its task 1 has no sentence"
    assert {e.header.instruction for e in by_number(tmp_path / "out").values()} == {"zero"}


@pytest.mark.parametrize("layout", ["index", "column", "folder", "lines"])
def test_tasks_in_every_layout(tmp_path: Path, layout: str) -> None:
    source = NumberedDataset(tmp_path / "set", (7, 5)).write()
    tasks = ["zero", "one"]
    (source / "meta/tasks.parquet").unlink()
    name = "__index_level_0__" if layout == "index" else "task"
    table = pa.table({"task_index": [0, 1], name: tasks})
    if layout == "lines":
        lines = [json.dumps({"task_index": i, "task": task}) for i, task in enumerate(tasks)]
        (source / "meta/tasks.jsonl").write_text("\n".join(lines))
    elif layout == "folder":
        (source / "meta/tasks/chunk-000").mkdir(parents=True)
        pq.write_table(table, source / "meta/tasks/chunk-000/file-000.parquet")
    else:
        pq.write_table(table, source / "meta/tasks.parquet")
    assert bring(source, tmp_path / "out").added == 2
    instructions = {n: e.header.instruction for n, e in by_number(tmp_path / "out").items()}
    assert instructions == {0: "zero", 1: "one"}


def test_a_list_of_episodes_in_several_files(tmp_path: Path) -> None:
    source = NumberedDataset(tmp_path / "set", (7, 5, 9)).write()
    table = pq.read_table(source / META)
    (source / "meta/episodes/chunk-001").mkdir()
    pq.write_table(table.slice(2), source / "meta/episodes/chunk-001/file-000.parquet")
    pq.write_table(table.slice(0, 2), source / META)
    assert bring(source, tmp_path / "out").added == 3
    assert numbers(by_number(tmp_path / "out")[2]) == list(range(12, 21))
    (source / "meta/episodes/chunk-001/file-000.parquet").write_bytes(b"PAR1")
    report = bring(source, tmp_path / "again")
    assert (report.added, [part.source for part in report.skipped]) == (
        2,
        ["set, meta/episodes/chunk-001/file-000.parquet"],
    )


def test_a_null_row_costs_its_own_episode(tmp_path: Path) -> None:
    source = NumberedDataset(tmp_path / "set", (7, 5, 9)).write()
    rewrite(source / META, lambda columns: columns["length"].__setitem__(2, None))
    report = bring(source, tmp_path / "out")
    assert [part.source for part in report.skipped] == [f"set, {META}, row 2"]
    assert report.added == 2


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"fps": 0}, "0 frames a second"),
        ({"fps": float("nan")}, "nan frames a second"),
        ({"fps": "many"}, r"info\.json cannot be read: ValueError"),
        ({"codebase_version": "v1.6"}, r"LeRobot v1\.6, this reads v3\.0"),
        ({"features": 3}, r"info\.json cannot be read: AttributeError"),
        ({"features": {"a": 3}}, r"info\.json cannot be read: TypeError"),
        ({"chunks_size": -1}, "chunks of -1 episodes"),
    ],
    ids=str,
)
def test_a_wrong_info_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], line: str
) -> None:
    dataset = NumberedDataset(tmp_path / "set", (2,), info=change)
    with pytest.raises(CaptureError, match=line) as caught:
        read_metadata(dataset.write())
    assert "\n" not in str(caught.value)


def test_what_is_no_dataset_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"is no LeRobot dataset: it has no meta/info\.json"):
        read_metadata(tmp_path)
    source = NumberedDataset(tmp_path / "set", (2,)).write()
    (source / "meta/tasks.parquet").unlink()
    with pytest.raises(CaptureError, match=r"has neither meta/tasks\.parquet nor meta"):
        read_metadata(source)
    source = old(tmp_path / "old")
    (source / "meta/episodes.jsonl").write_text("{\n")
    with pytest.raises(CaptureError, match=r"has no episodes: meta/episodes\.jsonl, line 1: JSON"):
        read_metadata(source)
    (source / "meta/episodes.jsonl").unlink()
    with pytest.raises(CaptureError, match=r"meta/episodes\.jsonl is missing"):
        read_metadata(source)
    (source / "meta/info.json").write_text("{")
    with pytest.raises(CaptureError, match=r"info\.json cannot be read: JSONDecodeError"):
        read_metadata(source)
