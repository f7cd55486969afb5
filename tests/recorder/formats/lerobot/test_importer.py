"""LeRobotDataset import: each episode once, what is damaged skipped and named, and a full disk leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from games import Button, Frame, Game, GameSpec
from games.registry import load
from games.resize import resize_frame
from recorder import (
    ActionColumns,
    CaptureError,
    DiskFullError,
    ImportReport,
    import_lerobot,
    open_episodes,
    recover,
    validate,
)
from recorder.formats.lerobot import importer
from tests.recorder.formats.lerobot.numbered_dataset import (
    GAME,
    KEY,
    SPEC,
    NumberedDataset,
    bring,
    by_number,
    film,
    needs_null_lists,
    numbers,
    picture,
    rewrite,
)

ROOT = Path(__file__).parents[4]
LENGTHS = (7, 5, 9)
META = "meta/episodes/chunk-000/file-000.parquet"
DATA = "data/chunk-000/file-000.parquet"


def expected(dataset: NumberedDataset) -> list[list[int]]:
    starts = [dataset.seed + first for first in dataset.firsts]
    return [list(range(n, n + k)) for n, k in zip(starts, dataset.lengths, strict=True)]


def imported(out: Path) -> list[list[int]]:
    return sorted(numbers(episode) for episode in open_episodes(out))


def skipped(report: ImportReport) -> dict[str, str]:
    return {part.source: part.why for part in report.skipped}


def test_a_repeated_import_adds_nothing(tmp_path: Path) -> None:
    dataset, calls = NumberedDataset(tmp_path / "set", LENGTHS), list[tuple[int, ...]]()
    out = tmp_path / "out"
    report = bring(dataset.write(), out, progress=lambda *done: calls.append(done))
    assert report == ImportReport(added=3)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert bring(dataset.root, out) == ImportReport(added=0, held=3)
    assert imported(out) == expected(dataset)
    episode = by_number(out)[1]
    assert (episode.header.instruction, episode.spec.step_hz) == ("task 1", 10)
    assert validate(episode) == []
    assert not (out / ".importing").exists()


def test_equal_names_are_no_identity(tmp_path: Path) -> None:
    first = NumberedDataset(tmp_path / "a/set", LENGTHS)
    second = NumberedDataset(tmp_path / "b/set", LENGTHS, seed=100)
    out = tmp_path / "out"
    assert bring(first.write(), out).added == 3
    assert bring(second.write(), out).added == 3
    shutil.copytree(first.root, tmp_path / "copy")
    assert bring(tmp_path / "copy", out) == ImportReport(added=0, held=3)
    assert imported(out) == expected(first) + expected(second)


def test_a_dataset_may_grow(tmp_path: Path) -> None:
    """Newer versions append episodes to the files of the older ones."""
    out = tmp_path / "out"
    bring(NumberedDataset(tmp_path / "before/set", (8, 8)).write(), out)
    grown = NumberedDataset(tmp_path / "after/set", (8, 8, 5))
    assert bring(grown.write(), out) == ImportReport(added=1, held=2)
    assert imported(out) == expected(grown)


def test_other_options_do_not_double_an_episode(tmp_path: Path) -> None:
    features = {name: {"dtype": "video", "shape": [16, 32, 3]} for name in ("a", KEY)}
    features["action"] = {"dtype": "float32", "shape": [8]}
    source = NumberedDataset(tmp_path / "set", (7,), info={"features": features}).write()
    rewritten = pq.read_table(source / META)
    for column in [n for n in rewritten.column_names if n.startswith("videos/")]:
        name = column.replace(KEY, "a")
        rewritten = rewritten.append_column(name, rewritten[column])
    pq.write_table(rewritten, source / META)
    film(source / "videos/a/chunk-000/file-000.mp4", range(7), lambda i: i / 10, crf="30")
    out = tmp_path / "out"
    assert bring(source, out, camera=KEY).added == 1
    report = bring(source, out, camera="a")
    assert (report.added, report.held) == (0, 0)
    assert "with other options (bits-v0, camera observation.images.top" in report.skipped[0].why
    backwards = ActionColumns("action", (7, 6, 5, 4, 3, 2, 1, 0))
    report = bring(source, out, camera=KEY, columns=backwards)
    assert (report.added, len(report.skipped)) == (0, 1)
    assert len(open_episodes(out)) == 1


@pytest.mark.parametrize("where", ["between", "within"])
def test_an_interrupted_import_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    dataset, out = NumberedDataset(tmp_path / "set", LENGTHS), tmp_path / "out"
    dataset.write()
    calls = []

    def interrupt(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return arguments[0]

    if where == "within":
        monkeypatch.setattr(importer, "resize_frame", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bring(dataset.root, out, progress=interrupt if where == "between" else None)
    monkeypatch.undo()
    left = len(open_episodes(out)) if where == "between" else 0
    assert left == (2 if where == "between" else 0)
    assert bring(dataset.root, out) == ImportReport(added=3 - left, held=left)
    assert imported(out) == expected(dataset)


@pytest.mark.slow
def test_a_killed_import_is_repeated(tmp_path: Path) -> None:
    dataset, out = NumberedDataset(tmp_path / "set", LENGTHS), tmp_path / "out"
    dataset.write()
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from recorder.formats.lerobot import importer\n"
        "from tests.recorder.formats.lerobot.numbered_dataset import bring\n"
        "frames = []\n"
        "def killed(frame, *size):\n"
        "    frames.append(0)\n"
        "    if len(frames) == 10: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return frame\n"
        "importer.resize_frame = killed\n"
        "bring(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", code, str(dataset.root), str(out)]
    done = subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == -signal.SIGKILL
    assert list((out / ".importing").glob("*/*/manifest.json"))
    assert recover(out) == []
    assert bring(dataset.root, out) == ImportReport(added=2, held=1)
    assert imported(out) == expected(dataset)
    assert not (out / ".importing").exists()


def test_a_full_disk_stops_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, out = NumberedDataset(tmp_path / "set", (7, 45)), tmp_path / "out"
    dataset.write()
    free = iter([1 << 40] * 4)
    usage = lambda path: SimpleNamespace(free=next(free, 0))  # noqa: E731
    monkeypatch.setattr("recorder.capture.writer.shutil.disk_usage", usage)
    with pytest.raises(DiskFullError, match="make room first"):
        bring(dataset.root, out)
    monkeypatch.undo()
    assert imported(out) == expected(dataset)[:1]
    assert not (out / ".importing").exists()
    with pytest.raises(DiskFullError):
        import_lerobot(dataset.root, out, GAME, disk_needed=1 << 60)
    assert bring(dataset.root, out) == ImportReport(added=1, held=1)
    assert imported(out) == expected(dataset)


def _null_action(source: Path) -> None:
    rewrite(source / DATA, lambda columns: columns["action"].__setitem__(9, None))


def _first_number(value: float | None) -> Callable[[Path], None]:
    def damage(source: Path) -> None:
        rewrite(source / DATA, lambda columns: columns["action"].__setitem__(9, [value] + [0] * 7))

    return damage


def _unknown_task(source: Path) -> None:
    def change(columns: dict[str, list[Any]]) -> None:
        columns["task_index"][7:12] = [7] * 5

    rewrite(source / DATA, change)


def _null_row(source: Path) -> None:
    def change(columns: dict[str, list[Any]]) -> None:
        for values in columns.values():
            values[9] = None

    rewrite(source / DATA, change)


def _null_time(source: Path) -> None:
    rewrite(source / DATA, lambda columns: columns["timestamp"].__setitem__(9, None))


def _infinite_place(source: Path) -> None:
    rewrite(source / META, lambda c: c[f"videos/{KEY}/from_timestamp"].__setitem__(1, np.inf))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        pytest.param(_null_action, "column 'action' has a null", marks=needs_null_lists),
        (_first_number(None), "column 'action' has a null"),
        (_first_number(-np.inf), "row 2 has a number that is not finite"),
        (_first_number(np.nan), "column 'action': row 2 has a number that is not finite"),
        (
            _first_number(0.5),
            "step 2: an action of 8 numbers is none of bits-v0: bit0: a button is 0 or 1",
        ),
        (_unknown_task, "its task 7 has no sentence"),
        pytest.param(_null_row, "has 4 of its 5 rows", marks=needs_null_lists),
        (_null_time, "column 'timestamp' has a null"),
    ],
    ids=[
        "null",
        "null number",
        "infinity",
        "NaN",
        "half a button",
        "task",
        "null row",
        "null time",
    ],
)
def test_damage_costs_its_own_episode(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], why: str
) -> None:
    dataset, out = NumberedDataset(tmp_path / "set", LENGTHS), tmp_path / "out"
    damage(dataset.write())
    report = bring(dataset.root, out)
    assert report.added == 2
    (part,) = report.skipped
    assert part.source == "set, episode 1"
    assert why in part.why
    assert "\n" not in part.why
    assert f"skipped set, episode 1: {part.why}" in caplog.text
    assert imported(out) == [expected(dataset)[0], expected(dataset)[2]]
    with pytest.raises(CaptureError, match="set, episode 1: "):
        bring(dataset.root, tmp_path / "strict", strict=True)


def test_an_episode_without_a_place_leaves_the_count_of_the_others_open(tmp_path: Path) -> None:
    dataset, out = NumberedDataset(tmp_path / "set", LENGTHS), tmp_path / "out"
    _infinite_place(dataset.write())
    report = bring(dataset.root, out)
    assert "from_timestamp of observation.images.top is inf" in skipped(report)["set, episode 1"]
    assert "which is right is not certain" in skipped(report)["set, episode 2"]
    assert imported(out) == expected(dataset)[:1]


@pytest.mark.parametrize("kind", ["mp4", "parquet"])
@pytest.mark.parametrize("is_cut", [False, True], ids=["missing", "truncated"])
def test_one_lost_file_of_three(tmp_path: Path, kind: str, is_cut: bool) -> None:
    dataset = NumberedDataset(tmp_path / "set", LENGTHS, version="v2.1")
    out = tmp_path / "out"
    dataset.write()
    (path,) = dataset.root.rglob(f"episode_000001.{kind}")
    if is_cut:
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    else:
        path.unlink()
    report = bring(dataset.root, out)
    assert list(skipped(report)) == ["set, episode 1"]
    assert f"episode_000001.{kind}" in report.skipped[0].why
    assert imported(out) == [expected(dataset)[0], expected(dataset)[2]]


def test_a_cut_shared_video_keeps_the_episodes_before(tmp_path: Path) -> None:
    dataset, out = NumberedDataset(tmp_path / "set", LENGTHS), tmp_path / "out"
    source = dataset.write()
    film(source / f"videos/{KEY}/chunk-000/file-000.mp4", range(13), lambda i: i / 10)
    report = bring(source, out)
    assert skipped(report) == {"set, episode 2": "file-000.mp4 has 13 pictures, its are 12 to 20"}
    assert imported(out) == expected(dataset)[:2]


def test_a_longer_vector_names_numbers(tmp_path: Path) -> None:
    buttons = (Button(name="a"), Button(name="b"))
    spec = GameSpec(id="two-v0", title="Two", frame=SPEC.frame, step_hz=10, controls=buttons)
    game = Game(spec=spec)
    source = NumberedDataset(tmp_path / "set", LENGTHS).write()
    line = (
        r"'action' has 8 numbers a step; two-v0 reads 2: choose them with --numbers, in the game's order, "
        r"such as --numbers 0 1 \(0 b0, 1 b1, .*7 b7\)"
    )
    with pytest.raises(CaptureError, match=line):
        bring(source, tmp_path / "out", game)
    assert not (tmp_path / "out").exists()
    columns = ActionColumns("action", (1, 0))
    assert bring(source, tmp_path / "out", game, columns=columns).added == 3
    assert [a["b"] for a in by_number(tmp_path / "out")[0].actions] == [0, 1] * 3 + [0]
    with pytest.raises(CaptureError, match="'action' of 8 numbers, counted from 0, has no 8"):
        bring(source, tmp_path / "out", game, columns=ActionColumns("action", (0, 8)))
    with pytest.raises(CaptureError, match="8 numbers a step, of which 1 are used; two-v0 reads 2"):
        bring(source, tmp_path / "out", game, columns=ActionColumns("action", (0,)))


def test_another_unit_warns_at_the_first_episode(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = NumberedDataset(tmp_path / "set", (8, 8)).write()

    def in_degrees(columns: dict[str, list[Any]]) -> None:
        columns["action"] = [[0.05, 57.3 * (i % 4 == 0), *[0] * 6] for i in range(16)]

    rewrite(source / DATA, in_degrees)
    warned_at = []

    def progress(done: int, total: int) -> None:
        warned_at.append("another unit" in caplog.text)

    columns = ActionColumns("action", (0, 1))
    table = load("language-table")
    report = bring(source, tmp_path / "out", table, columns=columns, progress=progress)
    assert warned_at == [True, True]
    assert (
        "set, episode 0: 25 % of the values of y lie outside of -0.1 to 0.1 (largest 57.3): is it another unit?"
        in caplog.text
    )
    assert caplog.text.count("another unit") == 1
    assert (report.added, report.clipped) == (2, 0.25)


def test_frames_are_resized_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next frame is decoded after the one before is written."""
    source = NumberedDataset(tmp_path / "set", LENGTHS).write()
    order: list[str] = []

    def resized(frame: Frame, *size: int) -> Frame:
        order.append("resized")
        return resize_frame(frame, size[0], size[1])

    monkeypatch.setattr(importer, "resize_frame", resized)
    monkeypatch.setattr(
        "recorder.capture.writer.VideoWriter.write", lambda *_: order.append("written")
    )
    monkeypatch.setattr("recorder.capture.writer.remux", lambda *_: None)
    bring(source, tmp_path / "out")
    assert order == ["resized", "written"] * sum(LENGTHS)


def test_images_are_known_by_content_too(tmp_path: Path) -> None:
    features = {
        "image": {"dtype": "image", "shape": [16, 32, 3]},
        "action": {"dtype": "float32", "shape": [8]},
    }
    dataset = NumberedDataset(tmp_path / "set", LENGTHS, info={"features": features})
    source, out = dataset.write(), tmp_path / "out"
    cells = [
        {"bytes": cv2.imencode(".png", picture(n)[:, :, ::-1])[1].tobytes(), "path": ""}
        for n in range(sum(LENGTHS))
    ]
    cells[8] = {"bytes": b"no image", "path": ""}
    table = pq.read_table(source / DATA).append_column("image", pa.array(cells))
    pq.write_table(table, source / DATA, row_group_size=4)
    report = bring(source, out)
    assert skipped(report) == {"set, episode 1": "a frame is no PNG or JPEG"}
    assert bring(source, out).held == 2
    assert imported(out) == [expected(dataset)[0], expected(dataset)[2]]
