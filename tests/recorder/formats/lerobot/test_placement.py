"""Placement in shared videos: every imported step stands beside its own picture, or its episode is skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recorder.formats.lerobot.numbered_dataset import (
    NumberedDataset,
    bring,
    by_number,
    numbers,
    rewrite,
)

LENGTHS = (7, 5, 9)
B_FRAMES = {"preset": "medium", "bf": "3"}


def all_numbers(out: Path) -> list[list[int]]:
    return [numbers(episode) for _, episode in sorted(by_number(out).items())]


CASES: dict[str, dict[str, Any]] = {
    "exact": {},
    "1 ms late": {"starts": lambda first: first / 10 + 0.001},
    "1 ms early": {"starts": lambda first: max(0.0, first / 10 - 0.001)},
    "half a picture late": {"starts": lambda first: first / 10 + (0.049 if first else 0)},
    "29.97": {"rate": 29.97},
    "12.5": {"rate": 12.5},
    "NTSC": {"rate": 30000 / 1001},
    "slow": {"rate": 0.7},
    "first picture at 0.1 s": {"times": lambda i: 0.1 + i / 10},
    "starts there": {
        "times": lambda i: 0.1 + i / 10,
        "starts": lambda first: 0.1 + first / 10,
    },
    "variable rate": {"times": lambda i: i / 10 + (0.03, 0, -0.02)[i % 3] * (i > 0)},
    "B-frames": {"video": B_FRAMES},
    "open GOP": {"video": {**B_FRAMES, "x264-params": "open-gop=1"}, "rate": 29.97},
    "first picture at 1.4 s": {"times": lambda i: 1.4 + i / 10},
}


OLD = ("exact", "29.97", "first picture at 0.1 s", "B-frames")


@pytest.mark.parametrize(
    ("version", "case"), [*(("v3.0", case) for case in CASES), *(("v2.1", case) for case in OLD)]
)
def test_every_step_has_its_picture(tmp_path: Path, version: str, case: str) -> None:
    source = NumberedDataset(tmp_path / "set", LENGTHS, version=version, **CASES[case]).write()
    report = bring(source, tmp_path / "out")
    assert (report.added, report.skipped) == (3, ())
    assert all_numbers(tmp_path / "out") == [
        list(range(7)),
        list(range(7, 12)),
        list(range(12, 21)),
    ]


def test_a_rate_is_not_rounded(tmp_path: Path) -> None:
    """After 600 pictures at 29.97 a second, 30 a second is a picture too far."""
    source = NumberedDataset(tmp_path / "set", (600, 9), rate=29.97).write()
    assert bring(source, tmp_path / "out").added == 2
    assert all_numbers(tmp_path / "out")[1] == [n % 256 for n in range(600, 609)]


def test_a_start_that_differs_by_a_picture_is_refused(tmp_path: Path) -> None:
    starts = {0: 0.0, 7: 0.7, 12: 1.3}
    source = NumberedDataset(tmp_path / "set", LENGTHS, starts=starts.__getitem__).write()
    report = bring(source, tmp_path / "out")
    assert report.added == 2
    (skipped,) = report.skipped
    assert skipped.source == "set, episode 2"
    assert skipped.why.startswith(
        "step 0 is at 1.3000 s of file-000.mp4, but its picture by number, 12, is at 1.2000"
    )
    assert all_numbers(tmp_path / "out") == [list(range(7)), list(range(7, 12))]


def test_pictures_that_belong_to_no_episode_are_noticed(tmp_path: Path) -> None:
    source = NumberedDataset(tmp_path / "set", LENGTHS).write()
    rewrite(
        source / "meta/episodes/chunk-000/file-000.parquet",
        lambda columns: [values.pop(0) for values in columns.values()],
    )
    report = bring(source, tmp_path / "out")  # the first episode is not listed, its pictures remain
    assert (report.added, len(report.skipped)) == (0, 2)


@pytest.mark.parametrize("lost", [0, 3, 6])
def test_rows_that_were_taken_out_are_noticed(tmp_path: Path, lost: int) -> None:
    """The list of episodes and the rows agree; only the times say that a picture has no row."""
    source = NumberedDataset(tmp_path / "set", (7,), version="v2.1").write()
    data = source / "data/chunk-000/episode_000000.parquet"
    rewrite(data, lambda columns: [values.pop(lost) for values in columns.values()])
    rewrite(data, lambda columns: columns.update(frame_index=list(range(6))))
    (source / "meta/episodes.jsonl").write_text('{"episode_index": 0, "length": 6}\n')
    report = bring(source, tmp_path / "out")
    if lost == 6:  # a picture after the last step is nobody's
        assert all_numbers(tmp_path / "out") == [list(range(6))]
    else:
        assert (report.added, len(report.skipped)) == (0, 1)


@pytest.mark.parametrize("rate", [5.0, 15.0, 20.0])
def test_a_video_of_another_rate_is_refused(tmp_path: Path, rate: float) -> None:
    source = NumberedDataset(tmp_path / "set", (7,), times=lambda i: i / rate).write()
    report = bring(source, tmp_path / "out")
    assert (report.added, len(report.skipped)) == (0, 1)


@settings(max_examples=20, deadline=None)
@given(
    rate=st.sampled_from([0.5, 5, 10, 12.5, 23.976, 24, 29.97, 30, 50, 59.94]),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    offset=st.sampled_from([0.0, 0.1, 1.4]),
    drifts=st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3),
    jitter=st.lists(st.floats(-0.4, 0.4), min_size=27, max_size=27),
    is_jittered=st.booleans(),
)
def test_any_rate_offset_and_drift(
    tmp_path_factory: pytest.TempPathFactory,
    rate: float,
    lengths: list[int],
    offset: float,
    drifts: list[float],
    jitter: list[float],
    is_jittered: bool,
) -> None:
    """`drifts` of the starts and `jitter` of the pictures' times are shares of a step."""
    folder = tmp_path_factory.mktemp("drawn")
    dataset = NumberedDataset(folder / "set", lengths, rate=rate)
    drift_of = dict(zip(dataset.firsts, drifts, strict=False))
    dataset.starts = lambda first: max(0.0, (first + drift_of[first]) / rate)
    dataset.times = lambda i: offset + (i + jitter[i] * (is_jittered and i > 0)) / rate
    report = bring(dataset.write(), folder / "out")
    assert report.added + len(report.skipped) == len(lengths)
    imported = by_number(folder / "out") if report.added else {}
    for number, episode in imported.items():
        first = dataset.firsts[number]
        assert numbers(episode) == list(range(first, first + lengths[number]))
    if not is_jittered and not offset and all(abs(drift) < 0.45 for drift in drifts):
        assert report.skipped == ()
