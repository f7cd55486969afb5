"""Readability: whatever a capture's files hold, reading it succeeds or names the file and the line."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import CaptureError, Episode, export_lerobot, open_episodes, open_readable
from recorder.episodes.readable import check_readable
from tests.recorder.damaged_captures import DAMAGES, STEPS, damaged, record, spoil_picture


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("template"), seed=0)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_capture_is_skipped_and_named(tmp_path: Path, capture: Path, damage: str) -> None:
    for name in ("a", "z"):
        shutil.copytree(capture, tmp_path / name)
    folder = damaged(tmp_path, capture, damage)
    episodes = open_readable(tmp_path)
    assert [e.folder.name for e in episodes] == ["a", "z"]
    (skipped,) = episodes.skipped
    assert skipped.source in (folder.name, capture.name)  # its id, where the manifest is read
    assert DAMAGES[damage][1] in skipped.why
    assert "\n" not in skipped.why
    with pytest.raises(CaptureError):
        open_readable(tmp_path, strict=True)


def test_pictures_are_not_decoded(tmp_path: Path, capture: Path) -> None:
    shutil.copytree(capture, tmp_path / "a")
    spoil_picture(tmp_path / "a")
    (episode,) = open_readable(tmp_path)
    with pytest.raises(CaptureError, match=r"main\.mp4"):
        episode.frames()


def test_equal_actions_are_one_object(capture: Path) -> None:
    episode = Episode.open(capture)
    assert len(episode.actions) == len(episode.executed) == STEPS
    assert len({id(action) for action in (*episode.actions, *episode.executed)}) == 2


def test_all_damaged_is_an_empty_set_and_nothing_is_an_error(tmp_path: Path, capture: Path) -> None:
    with pytest.raises(CaptureError, match="no episodes in"):
        open_readable(tmp_path)
    damaged(tmp_path, capture, "null row")
    assert len(open_readable(tmp_path)) == 0
    (other := tmp_path / "other").mkdir()
    damaged(other, capture, "manifest {}")
    with pytest.raises(CaptureError, match=r"no episodes in .*1 that cannot be used"):
        open_episodes(other)


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(["actions.jsonl", "frames.jsonl", "text.jsonl", "manifest.json"]),
    seed=st.integers(0, 2**32),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=4,
    ),
)
def test_any_value_in_any_place_is_read_or_named(
    capture: Path, tmp_path_factory: pytest.TempPathFactory, name: str, seed: int, value: object
) -> None:
    """One value of one file is another: readers raise `CaptureError` or nothing."""
    folder = tmp_path_factory.mktemp("changed") / "a"
    shutil.copytree(capture, folder)
    rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    put_somewhere(rows, random.Random(seed), value)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "\n" not in reason(folder)


def reason(folder: Path) -> str:
    """Why a capture cannot be read, empty where it can; anything but `CaptureError` is raised."""
    try:
        episode = Episode.open(folder)
        check_readable(episode)
        columns = (episode.actions, episode.executed, episode.thoughts, episode.captions)
    except CaptureError as error:
        return str(error)
    assert {len(column) for column in columns} == {len(episode)}
    return ""


def put_somewhere(rows: list[object], draw: random.Random, value: object) -> None:
    """Replace a value at a random depth."""
    place: object = rows
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))  # type: ignore[arg-type]
        key = draw.choice(keys)
        inner = place[key]  # type: ignore[index]
        if isinstance(inner, dict | list) and inner and draw.random() < 0.8:
            place = inner
        else:
            place[key] = value  # type: ignore[index]
            return


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(
        ["actions.jsonl", "frames.jsonl", "text.jsonl", "manifest.json", "video/main.mp4"]
    ),
    at=st.floats(0, 1),
    content=st.binary(max_size=8),
    is_cut=st.booleans(),
)
def test_any_bytes_in_any_place_are_read_or_named(
    capture: Path,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    at: float,
    content: bytes,
    is_cut: bool,
) -> None:
    folder = tmp_path_factory.mktemp("changed") / "a"
    shutil.copytree(capture, folder)
    raw = (folder / name).read_bytes()
    begin = int(at * len(raw))
    rest = b"" if is_cut else raw[begin + len(content) :]
    (folder / name).write_bytes(raw[:begin] + content + rest)
    why = reason(folder)
    assert not why or str(folder) in why


def test_an_episode_of_a_dataset_is_skipped_like_a_capture(tmp_path: Path) -> None:
    for seed in range(3):
        record(tmp_path / "captures", seed)
    out = tmp_path / "dataset"
    export_lerobot(open_episodes(tmp_path / "captures"), out)
    whole = [e.header.seed for e in open_readable(out)]
    path = out / "meta/iafm/episodes.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    row = json.loads(lines[1])
    for broken in (
        b"null\n",
        lines[1][:-20] + b"\n",
        json.dumps(row | {"rewards": {"1": "x"}}).encode() + b"\n",
        json.dumps(row | {"executed": {"2": {"fly": 1}}}).encode() + b"\n",
        json.dumps(row | {"dropped_before": {"99": 1}}).encode() + b"\n",
    ):
        path.write_bytes(b"".join([lines[0], broken, lines[2]]))
        episodes = open_readable(out)
        assert [e.header.seed for e in episodes] == [whole[0], whole[2]]
        assert len(episodes.skipped) == 1
        with pytest.raises(CaptureError):
            open_readable(out, strict=True)
    path.write_bytes(b"".join(lines))
    next((out / "data").rglob("*.parquet")).write_bytes(b"PAR1")
    assert len(open_readable(out)) == 0
