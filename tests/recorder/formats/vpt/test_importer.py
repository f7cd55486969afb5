"""VPT import: every step stands beside its own picture, and every row is imported or counted."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from games import FrameSize
from games.minecraft import SPEC
from games.registry import load
from recorder import CaptureError, DiskFullError, import_vpt, open_episodes, validate
from recorder.format.manifest import read_lines

Row = Callable[..., dict[str, Any]]


def gaps(made: Any) -> dict[int, int]:
    """Steps before which others were dropped, and how many."""
    (episode,) = made.episodes()
    rows = read_lines(episode.folder / "frames.jsonl")
    return {row["i"]: row["dropped_before"] for row in rows if row["dropped_before"]}


def same(*ranges: range) -> list[tuple[int, int]]:
    return [(t, t) for numbers in ranges for t in numbers]


def test_every_step_is_beside_its_picture(made: Any, tick: Row) -> None:
    made.add([tick(t) for t in range(60)])
    report = made.load()
    assert (report.added, report.dropped, report.clipped, report.skipped) == (1, 0, 0, ())
    assert made.pairs() == same(range(60))
    assert (gaps(made), validate(made.episodes()[0])) == ({}, [])
    header = made.episodes()[0].header
    assert (header.task, header.actor, header.success, header.author) == ("minecraft", "human", None, "a")  # fmt: skip


def test_deleted_rows_leave_a_gap(made: Any, tick: Row) -> None:
    rows = [tick(t, hotbar=t // 22) for t in range(60) if not 20 <= t < 24]
    made.add(rows, np.arange(60) / 20)
    report = made.load()
    assert (report.added, report.dropped) == (1, 4)
    (episode,) = made.episodes()
    pictures = [tick_number for tick_number in range(60) if not 20 <= tick_number < 24]
    ticks = [sum(1 << b for b in range(8) if a[f"hotbar.{1 + b}"]) for a in episode.actions]
    # Slot 3 is chosen in tick 44. Slot 2 was in tick 22, in the gap: no press is inferred in tick 24.
    assert ticks == [t | 4 * (t == 44) for t in pictures]
    assert gaps(made) == {20: 4}


@pytest.mark.parametrize("begin_s", [0.1, 2.5])
def test_a_video_that_begins_late_counts_from_its_first_picture(
    made: Any, tick: Row, begin_s: float
) -> None:
    made.add([tick(t) for t in range(30)], begin_s + np.arange(30) / 20)
    assert (made.load().dropped, made.pairs()) == (0, same(range(30)))


def test_pictures_that_are_stored_in_another_order(
    made: Any, tick: Row, video: Callable[..., None]
) -> None:
    made.add([tick(t) for t in range(30)])
    video(made.folder / "a.mp4", np.arange(30) / 20, b_frames=3)
    assert (made.load().dropped, made.pairs()) == (0, same(range(30)))


def test_an_edit_list_hides_pictures(made: Any, tick: Row) -> None:
    made.add([tick(t) for t in range(30)], numbers=[*range(200, 205), *range(25)])
    path = made.folder / "a.mp4"
    with av.open(str(path)) as source, av.open(str(made.folder / "edit.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets: Any = source.demux(video=0)
        for packet in packets:
            if packet.size:
                packet.pts -= round(0.25 / packet.time_base)
                packet.dts, packet.stream = packet.pts, stream
                target.mux(packet)
    (made.folder / "edit.mp4").rename(path)
    assert made.load().dropped == 5
    assert made.pairs() == same(range(25))


@pytest.mark.parametrize("copies", [1, 2])
def test_a_doubled_tick(made: Any, tick: Row, copies: int) -> None:
    rows = [tick(t) for t in range(60)]
    rows[30:30] = [{**rows[30], "isGuiInventory": copy == 2} for copy in range(1, 1 + copies)]
    made.add([json.dumps(r).replace(', "isGuiInventory": false', "") for r in rows], np.arange(60) / 20)  # fmt: skip
    report = made.load()
    if copies == 1:
        assert (report.dropped, report.skipped, made.pairs()) == (1, (), same(range(60)))
        return
    assert report.dropped == 3
    assert made.pairs() == same(range(30), range(31, 60))
    assert gaps(made) == {30: 1}
    assert [skipped.source for skipped in report.skipped] == ["a, line 31"]


def test_a_filmed_game_is_placed_by_its_clock(made: Any, tick: Row) -> None:
    lag = [180 * (t >= 20) + 90 * (t >= 45) for t in range(60)]
    made.add([tick(t, 7000 + 50 * t + lag[t]) for t in range(60)], np.arange(98) / 30)
    report = made.load()
    assert (report.dropped, report.skipped) == (0, ())
    assert made.pairs() == [(t, int((50 * t + lag[t] + 1) * 30 / 1000)) for t in range(60)]
    assert gaps(made) == {}


def test_a_variable_rate(made: Any, tick: Row) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum([0, *rng.integers(7, 95, 80)]) / 1000
    times = times[times < 3.0]
    made.add([tick(t) for t in range(60)], times)
    report = made.load()
    own = [int(np.searchsorted(times, t / 20 + 1e-4, side="right")) - 1 for t in range(60)]
    expected = dict(enumerate(own))
    assert report.dropped + len(made.pairs()) == 60
    assert report.dropped <= 2
    assert all(expected[t] == picture for t, picture in made.pairs())


def test_one_picture_a_tick_follows_ticks_while_the_game_lags(made: Any, tick: Row) -> None:
    made.add([tick(t, 7000 + 50 * t + 400 * (t >= 20)) for t in range(60)])
    assert (made.load().dropped, made.pairs()) == (0, same(range(60)))


def test_clocks_that_part_are_cut_loudly(
    made: Any, tick: Row, caplog: pytest.LogCaptureFixture
) -> None:
    made.add([tick(t, 7000 + 50 * t + 400 * (t >= 20)) for t in range(60)], np.arange(64) / 20)
    report = made.load()
    assert (report.dropped, made.pairs()) == (40, same(range(20)))
    ((source, why),) = [(skipped.source, skipped.why) for skipped in report.skipped]
    assert source == "a, line 21"
    assert "1.00 s after the first picture by tick, 1.40 s by milli" in why
    assert "a, line 21" in caplog.text
    assert read_lines(made.episodes()[0].folder / "events.jsonl")[-1]["steps"] == 40


@pytest.mark.parametrize(("lines", "pictures"), [(60, 52), (52, 60)])
def test_a_longer_or_shorter_video_is_cut(made: Any, tick: Row, lines: int, pictures: int) -> None:
    made.add([tick(t) for t in range(lines)], np.arange(pictures) / 20)
    assert made.load().dropped == lines - 52
    assert made.pairs() == same(range(52))


def test_a_missing_picture_is_no_other_ticks(made: Any, tick: Row) -> None:
    numbers = [t for t in range(40) if t not in (20, 21)]
    made.add([tick(t) for t in range(40)], np.array(numbers) / 20, numbers=numbers)
    assert made.load().dropped == 2
    assert (made.pairs(), gaps(made)) == (same(range(20), range(22, 40)), {20: 2})


@pytest.mark.parametrize("first", [5, 6000])
def test_rows_missing_at_the_beginning(made: Any, row: Row, tick: Row, first: int) -> None:
    rows = [{**tick(t), "tick": t - 5 + first} for t in range(5, 45)]
    pictures = range(45 if first == 5 else 40)
    made.add(rows, np.arange(len(pictures)) / 20, numbers=[n + 45 - len(pictures) for n in pictures])  # fmt: skip
    before_them = 5 if first == 5 else 0
    assert (made.load().dropped, made.pairs()) == (before_them, same(range(5, 45)))
    made.add(rows, np.arange(42) / 20, name="b")
    report = made.load()
    assert (report.added, report.dropped) == (0, 40)
    assert "its ticks do not begin at 0" in report.skipped[0].why


def test_a_world_loaded_again_ends_the_episode(made: Any, tick: Row) -> None:
    made.add([{**tick(t), "tick": t % 40} for t in range(60)])
    report = made.load()
    assert (report.dropped, made.pairs()) == (20, same(range(40)))
    assert "run backwards, from 39 to 0" in report.skipped[0].why


def test_rows_without_clocks_are_counted_only_one_a_picture(made: Any, tick: Row) -> None:
    bare = [{k: v for k, v in tick(t).items() if k not in ("tick", "milli")} for t in range(20)]
    made.add(bare)
    assert (made.load().dropped, made.pairs()) == (0, same(range(20)))
    made.add(bare[:-1], np.arange(20) / 20, name="b")
    made.add(bare, np.arange(20) / 30, name="c")
    report = made.load()
    assert (report.added, report.held, report.dropped) == (0, 1, 39)
    assert all("neither tick nor milli" in skipped.why for skipped in report.skipped)


@dataclass(frozen=True)
class Damage:
    """What happened to a recording of 40 ticks."""

    rate: int
    begin_s: float
    lag_ms: int
    gap: tuple[int, int]
    doubled: int
    differing: int
    rows: int
    pictures: float
    head: int


DAMAGES = st.builds(
    Damage,
    rate=st.sampled_from([0, 15, 20, 20, 20, 24, 25, 30, 48, 60]),
    begin_s=st.sampled_from([0.0, 0.1, 1.5]),
    lag_ms=st.sampled_from([0, 0, 70, 400]),
    gap=st.tuples(st.integers(1, 30), st.integers(0, 8)),
    doubled=st.integers(0, 39),
    differing=st.integers(0, 39),
    rows=st.sampled_from([40, 40, 36]),
    pictures=st.sampled_from([1.0, 1.0, 0.8, 1.2]),
    head=st.sampled_from([0, 0, 3]),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(DAMAGES)
def test_a_step_is_beside_its_picture_or_counted(made: Any, tick: Row, damage: Damage) -> None:
    walls = np.array([50 * t + damage.lag_ms * (t >= 20) for t in range(40)])
    end_s = (walls[-1] + 50) / 1000
    match damage.rate:
        case 20:
            times, own = np.arange(40) / 20, np.arange(40)
        case 0:
            times = (
                np.cumsum([0, *np.random.default_rng(damage.lag_ms).integers(9, 90, 120)]) / 1000
            )
            times = times[times < end_s]
            own = np.searchsorted(times, walls / 1000 + 1e-4, side="right") - 1
        case rate:
            times = np.arange(round(end_s * rate)) / rate
            own = np.searchsorted(times, walls / 1000 + 1e-4, side="right") - 1
    if not damage.head and damage.rate:
        count = round(len(times) * damage.pictures)
        times = np.arange(count) / damage.rate
    rows = {t: [tick(t, 7000 + int(walls[t]))] for t in range(damage.head, damage.rows)}
    begin, gap = damage.gap
    for t in range(begin, begin + gap):
        rows.pop(t, None)
    rows.get(damage.doubled, []).extend(rows.get(damage.doubled, [])[:1])
    rows.get(damage.differing, []).append(tick(damage.differing, 7000, hotbar=3))
    lines = [row for same_tick in rows.values() for row in same_tick]
    for folder in (made.folder, made.out):
        shutil.rmtree(folder, ignore_errors=True)
    made.add(lines, damage.begin_s + times)
    report = made.load()
    pairs = made.pairs() if report.added else []
    assert all(own[t] == picture for t, picture in pairs)
    assert len({t for t, _ in pairs}) == len(pairs)
    absent = [t for t in range(max((t for t, _ in pairs), default=0)) if not rows.get(t)]
    assert len(pairs) + report.dropped == len(lines) + len(absent)
    assert report.added or report.skipped


def test_turns_keep_their_sum(made: Any, tick: Row) -> None:
    moves = [3, 4, 3, 3, -7, 1, 0, 11] * 5
    made.add([tick(t, dx=dx, dy=-dx) for t, dx in enumerate(moves)])
    assert made.load().clipped == 0
    cameras = np.array([a["camera"] for a in made.episodes()[0].actions])
    assert cameras.sum(0) == pytest.approx([-0.15 * sum(moves), 0.15 * sum(moves)], abs=1)


def test_turns_beyond_the_camera_are_clipped_at_once(
    made: Any, tick: Row, caplog: pytest.LogCaptureFixture
) -> None:
    made.add([tick(t, dx=dx) for t, dx in enumerate((0, 400, 327, -1000))])
    assert made.load().clipped == 0.5
    cameras = [action["camera"] for action in made.episodes()[0].actions]
    assert cameras == [(0, 0), (0, 50), (0, 49), (0, -49)]
    assert "a: 2 of 4 movements of the mouse lie beyond the camera's range" in caplog.text
    assert "largest 150.0 degrees" in caplog.text


def test_the_pointer_is_drawn_while_a_menu_is_open(made: Any, tick: Row) -> None:
    positions: list[dict[str, Any]] = [{"x": 320, "y": 180}, {"x": 1e6, "y": -1e6}]
    positions += [{"x": 1279, "y": 719}, {"x": None}]
    rows = [tick(t, isGuiOpen=True, **position) for t, position in enumerate(positions)]
    made.add([*rows, tick(4, x=320, y=180)], numbers=[0] * 5)
    made.load(spec=SPEC.model_copy(update={"frame": FrameSize(height=360, width=640)}))
    frames = made.episodes()[0].frames().astype(int)
    rows_drawn, columns = np.nonzero((frames[0] > 60).any(2))
    assert columns.min() == pytest.approx(160, abs=2)
    assert rows_drawn.min() == pytest.approx(90, abs=2)
    assert max(columns.max() - 160, rows_drawn.max() - 90) < 18
    assert frames[[1, 3, 4]].max() < 20


def test_recorder_versions_scale_menus(
    made: Any, tick: Row, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [tick(t, dx=40, isGuiOpen=t > 0) for t in range(2)]
    for version, name in (("6.9", "6.9/a"), ("5.7", "5.7/b"), ("6.10", "6.10/c")):
        made.add([*rows, tick(2, hotbar=len(version) + ord(name[-1]) % 4)], name=name)
    with caplog.at_level(logging.INFO, "iafm.import"):
        made.load()
    turns = {e.header.author: [a["camera"][1] for a in e.actions][:2] for e in made.episodes()}
    assert turns == {"6.9/a": [6, 12], "5.7/b": [6, 3], "6.10/c": [6, 6]}
    assert "6.9/a: rows placed by tick; recorder version 6.9" in caplog.text
    shutil.rmtree(made.out)
    assert made.load(recorder_version="6.8").added == 3
    assert {e.actions[1]["camera"][1] for e in made.episodes()} == {12}
    with pytest.raises(CaptureError, match=r"'six' is no recorder version"):
        made.load(recorder_version="six")


def test_tasks_come_from_the_folders_names(made: Any, tick: Row) -> None:
    for k, name in enumerate(
        ("MineRLBasaltFindCave-v0/a", "MineRLBasaltBuildVillageHouse-v0/a", "b")
    ):
        made.add([tick(t) for t in range(k + 2)], name=name)
    assert made.load().added == 3
    tasks = {(e.header.author, e.header.task, e.header.instruction) for e in made.episodes()}
    assert tasks == {
        ("MineRLBasaltFindCave-v0/a", "find_cave", "find a cave"),
        (
            "MineRLBasaltBuildVillageHouse-v0/a",
            "build_village_house",
            "build a house in the village's style",
        ),
        ("b", "minecraft", ""),
    }
    cave = made.folder / "MineRLBasaltFindCave-v0"
    import_vpt(cave, made.out / "x", made.episodes()[0].spec, instruction="go", disk_needed=0)
    assert open_episodes(made.out / "x")[0].header.instruction == "go"


def test_escape_is_the_last_press_of_a_task(made: Any, tick: Row) -> None:
    made.add([tick(0), tick(1, keys=["escape"], isGuiOpen=True)])
    made.load()
    assert [action["ESC"] for action in made.episodes()[0].actions] == [0, 1]
    assert made.episodes()[0].header.success is None


def test_an_import_can_be_repeated(made: Any, tick: Row) -> None:
    rows = [tick(t) for t in range(4)]
    made.add(rows, name="setter-02e4-20220421-092639")
    assert made.load().added == 1
    made.add(rows, name="copy")
    made.add(rows[:3], name="setter-02e4-20220421-093126")
    made.add(rows[:2], name="other-77aa-20220421-093126")
    again = made.load()
    assert (again.added, again.held) == (2, 2)
    assert (made.load().added, len(made.episodes())) == (0, 3)
    seeds = {e.header.author[:6]: e.header.seed for e in made.episodes()}
    assert len({e.header.seed for e in made.episodes()}) == 2  # one session is on one side only
    assert seeds["setter"] != seeds["other-"]
    other = made.load(task="dig")
    assert (other.added, other.held) == (0, 0)
    assert all("with other options" in skipped.why for skipped in other.skipped)


def test_a_full_disk_ends_the_import_and_leaves_nothing(
    made: Any, tick: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.add([tick(t) for t in range(2)])
    usage = shutil.disk_usage(made.folder)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFullError, match="nearly full, make room first"):
        made.load()
    assert not list(made.out.iterdir())


def test_an_interrupted_import_leaves_nothing_and_is_repeated(made: Any, tick: Row) -> None:
    made.add([tick(t) for t in range(3)])
    made.add([tick(t) for t in range(4)], name="b")

    def interrupt(done: int, _: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.load(progress=interrupt)
    assert (made.load().held, sorted(map(len, made.episodes()))) == (1, [3, 4])
    assert sorted(p.name for p in made.out.iterdir()) == sorted(e.id for e in made.episodes())


def test_what_is_no_such_folder_is_said_in_one_line(made: Any, row: Row, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"has no NAME\.mp4 with a NAME\.jsonl"):
        import_vpt(tmp_path, made.out, SPEC)
    made.add([row()])
    with pytest.raises(CaptureError, match="which calvin-v0 lacks controls for"):
        made.load(spec=load("calvin").spec)
    with pytest.raises(CaptureError, match="make room first"):
        import_vpt(made.folder, made.out, SPEC, disk_needed=1 << 60)
