"""Alignment of rows and pictures: a row stands beside its own picture, or is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import CaptureError
from recorder.formats.vpt.alignment import Alignment, align
from recorder.formats.vpt.picture_times import TICK_S, PictureTimes
from recorder.formats.vpt.row_ticks import RowClocks

NAN = float("nan")
BEGIN_MILLI = 1_649_575_088_006.0


@dataclass(frozen=True)
class Row:
    """A row with the times of its tick; `is_readable` is false for a damaged line."""

    tick: float
    wall_s: float
    copy: int = 0
    """Rows of one tick that differ in this have other content."""
    is_readable: bool = True


def game(ticks: int, lags: dict[int, float] | None = None) -> list[Row]:
    """A row a tick; `lags` are seconds that the tick comes later than the last one, beyond its 50 ms."""
    delays = np.cumsum([(lags or {}).get(t, 0.0) for t in range(ticks)])
    return [Row(t, t * TICK_S + float(delay)) for t, delay in enumerate(delays)]


def clocks(
    rows: Sequence[Row], *, tick: bool = True, milli: bool = True, torn: bool = False
) -> RowClocks:
    """What a reader sees of the rows."""
    seen = [(i, row) for i, row in enumerate(rows) if row.is_readable]
    return RowClocks(
        lines=np.array([i + 1 for i, _ in seen], np.int64),
        positions=np.array([i for i, _ in seen], np.int64),
        ticks=np.array([row.tick if tick else NAN for _, row in seen]),
        millis=np.array(
            [round(BEGIN_MILLI + 1000 * r.wall_s) if milli else NAN for _, r in seen], float
        ),
        digests=np.array([hash((row.tick, row.copy)) for _, row in seen], np.int64),
        count=len(rows),
        is_torn=torn,
    )


def video_of(seconds: Any) -> PictureTimes:
    return PictureTimes.of(np.asarray(seconds, np.float64))


def per_tick(ticks: int) -> PictureTimes:
    return video_of(np.arange(ticks) * TICK_S)


def constant(rate: float, seconds: float) -> PictureTimes:
    return video_of(np.arange(round(seconds * rate)) / rate)


def placed(alignment: Alignment) -> list[int]:
    return [int(i) for i in alignment.pictures]


def test_one_picture_a_tick() -> None:
    alignment = align(clocks(game(60)), per_tick(60))
    assert placed(alignment) == list(range(60))
    assert (alignment.clock, alignment.troubles) == ("tick", ())


def test_rows_that_are_missing_leave_their_pictures() -> None:
    rows = [row for row in game(60) if not 20 <= row.tick < 24]
    alignment = align(clocks(rows), per_tick(60))
    assert placed(alignment) == [t for t in range(60) if not 20 <= t < 24]
    assert list(alignment.ticks) == placed(alignment)


@pytest.mark.parametrize("ticks", [True, False], ids=["tick", "milli alone"])
def test_of_equal_rows_of_a_tick_one_counts(ticks: bool) -> None:
    rows = game(60)
    rows.insert(30, rows[30])
    alignment = align(clocks(rows, tick=ticks), per_tick(60))
    assert placed(alignment) == [*range(31), -1, *range(31, 60)]
    assert alignment.troubles == ()


@pytest.mark.parametrize("milli", [True, False])
def test_of_differing_rows_of_a_tick_none_counts(milli: bool) -> None:
    rows = game(60)
    rows.insert(30, replace(rows[30], copy=1))
    alignment = align(clocks(rows, milli=milli), per_tick(60))
    assert placed(alignment) == [*range(30), -1, -1, *range(31, 60)]
    assert [trouble.line for trouble in alignment.troubles] == [31]


def test_many_differing_rows_are_named_together() -> None:
    rows = [replace(row, copy=copy) for row in game(60) for copy in range(1 + (row.tick >= 30))]
    troubles = align(clocks(rows), per_tick(60)).troubles
    assert len(troubles) == 21
    assert troubles[-1].why.startswith("10 further ticks")


@pytest.mark.parametrize("milli", [True, False])
def test_a_counter_that_stood_still_ends_what_is_certain(milli: bool) -> None:
    rows = [replace(row, tick=row.tick - (row.tick > 30), copy=row.tick == 31) for row in game(60)]
    alignment = align(clocks(rows, milli=milli), per_tick(60))
    assert placed(alignment) == [*range(30), *[-1] * 30]


def test_ticks_that_run_backwards_end_the_recording() -> None:
    rows = [replace(row, tick=row.tick % 40) for row in game(60)]
    alignment = align(clocks(rows), per_tick(60))
    assert placed(alignment) == [*range(40), *[-1] * 20]
    ((line, why),) = alignment.troubles
    assert (line, "from 39 to 0" in why) == (41, True)


@pytest.mark.parametrize("pictures", [54, 66])
def test_a_video_of_another_length_is_cut(pictures: int) -> None:
    expected = [t if t < pictures else -1 for t in range(60)]
    assert placed(align(clocks(game(60)), per_tick(pictures))) == expected


def test_a_picture_that_is_missing_is_no_rows() -> None:
    seconds = np.delete(np.arange(60), 30) * TICK_S
    alignment = align(clocks(game(60)), video_of(seconds))
    assert placed(alignment) == [*range(30), -1, *range(30, 59)]


def test_one_picture_a_tick_follows_the_tick_while_the_game_lags() -> None:
    alignment = align(clocks(game(60, {20: 0.4, 40: -0.03})), per_tick(60))
    assert (placed(alignment), alignment.clock) == (list(range(60)), "tick")


@pytest.mark.parametrize("rate", [15, 24, 25, 29.97, 30, 48, 50, 59.94, 60])
def test_a_filmed_game_follows_the_wall_clock(rate: float) -> None:
    rows = game(60, {20: 0.4, 41: 0.23})
    alignment = align(clocks(rows), constant(rate, rows[-1].wall_s + TICK_S))
    assert placed(alignment) == [int((row.wall_s + 0.0005) * rate) for row in rows]
    assert (alignment.clock, alignment.troubles) == ("milli", ())


def test_a_variable_rate_shows_the_last_picture_that_began() -> None:
    begins = np.array([0, 30, 110, 118, 260, 300, 350, 410]) / 1000
    alignment = align(clocks(game(9)), video_of(begins))
    assert placed(alignment) == [0, 1, 1, 3, 3, 3, 5, 6, 6]


def test_rows_apart_by_both_clocks_are_left_out_where_both_fit() -> None:
    rows = game(60, {20: 0.12, 21: -0.05, 22: -0.05, 23: -0.02})
    alignment = align(clocks(rows), constant(30, 3.0))
    assert [k for k in range(60) if alignment.pictures[k] < 0] == [20, 21]
    ((line, why),) = alignment.troubles
    assert line == 21
    assert "1.00 s after the first picture by tick, 1.12 s by milli; 2 such rows" in why


@pytest.mark.parametrize(("rate", "seconds"), [(20, 2.8), (30, 3.0)])
def test_what_neither_clock_fits_is_cut_where_they_part(rate: int, seconds: float) -> None:
    alignment = align(clocks(game(60, {25: 0.5})), constant(rate, seconds))
    assert np.flatnonzero(alignment.pictures >= 0).tolist() == list(range(25))
    ((line, why),) = alignment.troubles
    assert line == 26
    assert "1.25 s after the first picture by tick, 1.75 s by milli" in why
    assert "3.00 s by tick, 3.50 s by milli" in why


@pytest.mark.parametrize("seconds", [2.0, 5.0])
def test_a_film_of_another_length_has_no_certain_beginning(seconds: float) -> None:
    with pytest.raises(CaptureError, match="where its first row lies is not certain"):
        align(clocks(game(60)), constant(30, seconds))


def test_a_torn_file_explains_the_length_of_a_film() -> None:
    short = replace(constant(30, 2.0), is_torn=True)
    assert placed(align(clocks(game(60)), short))[:42] == [*(3 * t // 2 for t in range(40)), -1, -1]
    torn = clocks(game(60), torn=True)
    assert min(align(torn, constant(30, 4.0)).pictures) == 0
    with pytest.raises(CaptureError, match="not certain"):
        align(torn, constant(30, 2.0))


@pytest.mark.parametrize("milli", [True, False])
@pytest.mark.parametrize("pictures", [60, 57])
def test_the_length_tells_whether_the_first_pictures_have_rows(pictures: int, milli: bool) -> None:
    alignment = align(clocks(game(60)[3:], milli=milli), per_tick(pictures))
    assert placed(alignment) == list(range(pictures - 57, pictures))
    assert list(alignment.ticks) == placed(alignment)


@pytest.mark.parametrize("pictures", [55, 58, 61])
def test_another_length_tells_nothing_of_the_first_pictures(pictures: int) -> None:
    with pytest.raises(CaptureError, match="fits none of them"):
        align(clocks(game(60)[3:]), per_tick(pictures))


@pytest.mark.parametrize(("missing", "why"), [(1, "fits several of them"), (6, "are missing")])
def test_a_film_has_no_certain_beginning_without_its_first_row(missing: int, why: str) -> None:
    with pytest.raises(CaptureError, match=why):
        align(clocks(game(60)[missing:]), constant(30, 3.0))


def test_a_later_part_of_a_session() -> None:
    rows = [replace(row, tick=row.tick + 6000) for row in game(60)]
    for video in (per_tick(60), constant(30, 3.0)):
        assert align(clocks(rows), video).pictures[0] == 0
    with pytest.raises(CaptureError, match="6000"):
        align(clocks(rows), replace(per_tick(60), is_torn=True))


@pytest.mark.parametrize("at", [0, 30, 59])
@pytest.mark.parametrize("tick", [True, False])
def test_an_unreadable_line_shifts_no_other(at: int, tick: bool) -> None:
    rows = game(60, {25: 0.2} if tick else {})
    rows[at] = replace(rows[at], is_readable=False)
    if not tick and not at:
        with pytest.raises(CaptureError, match="whether its first line was a tick"):
            align(clocks(rows, tick=tick), per_tick(60))
        return
    alignment = align(clocks(rows, tick=tick), per_tick(60))
    assert placed(alignment) == [t for t in range(60) if t != at]


def test_lines_without_a_clock_are_counted_only_against_as_many_pictures() -> None:
    rows = clocks(game(60), tick=False, milli=False)
    alignment = align(rows, per_tick(60))
    assert (placed(alignment), alignment.clock) == (list(range(60)), "count")
    for video in (per_tick(59), constant(30, 2.0), video_of(np.arange(60) / 30)):
        with pytest.raises(CaptureError, match="neither tick nor milli"):
            align(rows, video)


def test_milli_alone_tells_a_gap_where_it_keeps_time() -> None:
    rows = [row for row in game(60) if not 20 <= row.tick < 24]
    alignment = align(clocks(rows, tick=False), per_tick(60))
    assert placed(alignment) == [int(row.tick) for row in rows]
    assert list(alignment.ticks) == placed(alignment)
    unsteady = [replace(row, wall_s=row.wall_s + 0.012 * (row.tick % 2)) for row in rows]
    assert placed(align(clocks(unsteady, tick=False), per_tick(60))) == [*range(20), *[-1] * 36]


def test_tick_alone_does_not_place_a_film_of_another_length() -> None:
    rows = clocks(game(60), milli=False)
    assert placed(align(rows, constant(30, 3.0))) == [3 * t // 2 for t in range(60)]
    with pytest.raises(CaptureError, match="without milli"):
        align(rows, constant(30, 3.4))


def test_a_milli_that_runs_backwards_ends_a_film() -> None:
    rows = game(60)
    rows[40] = replace(rows[40], wall_s=rows[39].wall_s - 0.01)
    alignment = align(clocks(rows), constant(30, 3.0))
    assert np.flatnonzero(alignment.pictures >= 0).tolist() == list(range(40))


def test_rows_without_a_tick_among_others_are_left_out() -> None:
    rows = [replace(row, tick=NAN if row.tick in (7, 8) else row.tick) for row in game(60)]
    alignment = align(clocks(rows), per_tick(60))
    assert placed(alignment) == [*range(7), -1, -1, *range(9, 60)]
    assert alignment.troubles[0] == (8, "2 rows have no tick, as the others do")


@dataclass(frozen=True)
class Scene:
    """A game that was played, its recording, and what happened to the files."""

    rows: tuple[Row, ...]
    video: PictureTimes
    owns: dict[int, set[int]]
    """The pictures that may stand beside each tick."""
    tick: bool
    milli: bool
    is_torn: bool

    def align(self) -> Alignment | None:
        try:
            return align(
                clocks(self.rows, tick=self.tick, milli=self.milli, torn=self.is_torn), self.video
            )
        except CaptureError:
            return None


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    count = draw(st.integers(20, 50))
    film = st.integers(15, 60).filter(lambda rate: rate != 20)
    rate = draw(st.one_of(st.just("per tick"), st.just("variable"), film))
    tick, milli = draw(st.sampled_from([(True, True)] * 4 + [(True, False), (False, True)]))
    steady = (rate != "per tick" and not milli) or draw(st.booleans())
    lags = {} if steady else {
        draw(st.integers(1, count - 1)): draw(st.integers(-4, 60)) / 100
        for _ in range(draw(st.integers(0, 3)))
    }  # fmt: skip
    jitter = np.zeros(count) if steady else np.array(draw(
        st.lists(st.integers(0, 15), min_size=count, max_size=count)
    )) / 1000  # fmt: skip
    walls = [max(row.wall_s + j, 0.0) for row, j in zip(game(count, lags), jitter, strict=True)]
    walls = list(np.maximum.accumulate(np.array(walls) - walls[0]))
    rows = [Row(t, float(wall)) for t, wall in enumerate(walls)]
    end_s = walls[-1] + TICK_S
    match rate:
        case "per tick":
            begins = np.arange(count) * TICK_S
        case "variable":
            begins = np.cumsum([0, *draw(st.lists(st.integers(5, 110), min_size=70, max_size=70))])
            begins = begins[begins < 1000 * end_s] / 1000
        case _:
            begins = np.arange(round(end_s * float(rate))) / float(rate)
    kept = np.arange(len(begins))
    head = draw(st.sampled_from([0, 0, 0, 1, 3, 8]))
    is_video_torn = bool(draw(st.sampled_from([0, 0, 1])))
    if is_video_torn or (not head and rate != "variable" and draw(st.booleans())):
        kept = kept[: max(len(kept) - draw(st.integers(0, 12)), 2)]
    if rate != "variable" and len(kept) > 10:
        missing = draw(st.sets(st.integers(1, len(kept) - 2), max_size=2))
        kept = np.delete(kept, list(missing))
    if len(kept) < 2:
        kept = np.arange(2)
    video = replace(video_of(begins[kept]), is_torn=is_video_torn)
    owns = {
        t: {int(np.searchsorted(kept, p)) for p in _shown(rows[t], rate, begins) if p in kept}
        for t in range(count)
    }
    # A film's length tells its first tick to within a tick or picture.
    may_be_later = tick and (rate == "per tick" or not head)
    first = draw(st.sampled_from([0, 0, 6000])) if may_be_later else 0
    rows = [replace(row, tick=row.tick + first) for row in rows]
    owns = {t + first: pictures for t, pictures in owns.items()}
    rows = _damaged(draw, rows[head if tick else 0 :])
    return Scene(tuple(rows), video, owns, tick, milli, draw(st.booleans()))


def _shown(row: Row, rate: str | int, begins: Any) -> set[int]:
    """The picture of a row, or two where it comes with the next one's begin."""
    if rate == "per tick":
        return {int(row.tick)}
    return {int(np.searchsorted(begins, row.wall_s + by, side="right")) - 1 for by in (0, 0.003)}


def _damaged(draw: st.DrawFn, rows: list[Row]) -> list[Row]:
    gap = draw(st.integers(0, 6))
    begin = draw(st.integers(0, max(len(rows) - gap - 1, 0)))
    if gap and begin:
        rows = rows[:begin] + rows[begin + gap :]
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(rows) - 1))
        rows = [*rows[:at], replace(rows[at], copy=draw(st.integers(0, 1))), *rows[at:]]
    if draw(st.booleans()):
        at = draw(st.integers(0, len(rows) - 1))
        rows[at] = replace(rows[at], is_readable=False)
    return rows[: max(len(rows) - draw(st.sampled_from([0, 0, 1, 7])), 2)]


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_a_row_stands_beside_its_own_picture_or_is_left_out(scene: Scene) -> None:
    alignment = scene.align()
    if alignment is None:
        return
    readable = [row for row in scene.rows if row.is_readable]
    for row, picture in zip(readable, alignment.pictures, strict=True):
        assert picture == -1 or int(picture) in scene.owns[int(row.tick)], (row, picture)
