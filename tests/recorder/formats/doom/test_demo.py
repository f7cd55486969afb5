"""Demos and WADs: every byte of a tic, and damage in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.doom import DEGREES_PER_TURN, SPEC
from recorder import CaptureError
from recorder.formats.doom.actions import action_of
from recorder.formats.doom.demo import END, Tic, parse_demo
from recorder.formats.doom.wad import read_wad
from tests.recorder.formats.doom.made_demos import HEADER, demo, numbered_demo, tic, wad


def words(row: bytes) -> str:
    (only,) = parse_demo(demo([row])).tics
    return SPEC.to_words(action_of(only))


def test_a_tic_in_words() -> None:
    assert words(tic()) == "do nothing"
    assert words(tic(25)) == "walk forward"
    assert words(tic(50, -40)) == "walk forward, step left, run"
    assert words(tic(-25, 24)) == "walk back, step right"
    assert words(tic(turn=2)) == "turn left 2.81°"
    assert words(tic(turn=-41)) == "turn right 57.66°"
    assert words(tic(buttons=1)) == "fire"
    assert words(tic(buttons=2)) == "use"
    assert words(tic(buttons=4)) == "take weapon 1"
    assert words(tic(buttons=21)) == "fire, take weapon 3"
    assert words(tic(buttons=36)) == "take weapon 5"
    assert words(tic(buttons=0x81)) == "do nothing"  # a pause, not fire


def test_header_and_tics() -> None:
    parsed = parse_demo(numbered_demo(5) + b"a port's footer")
    assert (parsed.episode, parsed.map, len(parsed.tics)) == (1, 15, 5)
    assert [t.turn_deg for t in parsed.tics] == [i * DEGREES_PER_TURN for i in range(5)]


def test_version_111_has_long_turns() -> None:
    rows = bytes([50, 0, 0, 1, 0]) + bytes([0, 0, 128, 255, 1])
    parsed = parse_demo(b"\x6f" + HEADER[1:] + rows + b"\x80")
    assert parsed.tics == (Tic(50, 0, -DEGREES_PER_TURN, 0), Tic(0, 0, DEGREES_PER_TURN / 2, 1))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it has 0 bytes and no tic"),
        (HEADER, "13 bytes and no tic"),
        (HEADER + b"\x80", "it has no tic"),
        (numbered_demo()[:-1], "no end after 12 tics: it is cut off"),
        (numbered_demo()[:-3], "no end after 11 tics: it is cut off"),
        (b"\x6e" + numbered_demo()[1:], "it is of version 110"),
        (b"\x6d\x07" + numbered_demo()[2:], "its header is damaged: skill 7"),
        (HEADER[:9] + b"\1\1\0\0" + tic() + b"\x80", "it has 2 players"),
        (HEADER[:9] + b"\0\0\0\0" + tic() + b"\x80", "it has 0 players"),
    ],
)
def test_damage_is_one_line(data: bytes, why: str) -> None:
    with pytest.raises(CaptureError) as error:
        parse_demo(data)
    assert why in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=4, max_size=200))
def test_any_bytes_are_a_demo_or_refused(body: bytes) -> None:
    ends = list(body[::4])
    if END not in ends or ends[0] == END:
        with pytest.raises(CaptureError):
            parse_demo(HEADER + body)
        return
    parsed = parse_demo(HEADER + body)
    assert len(parsed.tics) == ends.index(END)
    for each in parsed.tics:
        SPEC.encode(action_of(each))


def test_a_wads_demos(tmp_path: Path) -> None:
    path = wad(tmp_path / "g.wad", {"MAP01": b"", "DEMO1": b"a", "DEMOX": b"b", "DEMO2": b"cd"})
    assert read_wad(path) == (path, {"DEMO1": b"a", "DEMO2": b"cd"}, True)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no whole WAD"),
        (b"ZWAD" + bytes(8), "is no whole WAD"),
        (b"PWAD" + bytes(8), "is an add-on (PWAD)"),
        (b"IWAD" + b"\1\0\0\0" + b"\xff" * 4, "is no whole WAD"),
        (b"IWAD" + b"\xff" * 4 + bytes(4), "is no whole WAD"),
    ],
)
def test_a_damaged_wad_is_one_line(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "g.wad").write_bytes(content)
    with pytest.raises(CaptureError) as error:
        read_wad(tmp_path / "g.wad")
    assert why in str(error.value)
