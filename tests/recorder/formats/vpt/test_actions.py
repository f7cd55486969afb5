"""Actions of ticks: buttons, the attack that is stuck, slots, and turns whose rest is carried."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games import Action, Camera
from games.minecraft import SPEC
from recorder.formats.vpt.actions import ActionReader, Turn
from recorder.formats.vpt.reader import Tick

Row = Callable[..., dict[str, Any]]
CAMERA = next(control for control in SPEC.controls if isinstance(control, Camera))
KEYS = {
    "forward": "w", "back": "s", "left": "a", "right": "d", "jump": "space", "sneak": "left.shift",
    "sprint": "left.control", "inventory": "e", "drop": "q", "swapHands": "f", "ESC": "escape",
    **{f"hotbar.{n}": str(n) for n in range(1, 10)},
}  # fmt: skip
MOUSE = ("attack", "use", "pickItem")


def read(rows: list[dict[str, Any]], *, gap: int | None = None, version: str = "") -> list[Action]:
    """The actions of rows, one after the other but for a gap before one."""
    reader = ActionReader(CAMERA, version)
    ticks = [Tick.model_validate_json(json.dumps(row)) for row in rows]
    return [
        SPEC.normalize(reader.read(tick, follows=i > 0 and i != gap).action)
        for i, tick in enumerate(ticks)
    ]


def test_buttons_are_what_was_held(row: Row) -> None:
    rng = np.random.default_rng(5)
    rows, wanted, slot = [], [], 4
    for t in range(80):
        names = [n for n in KEYS if rng.random() < 0.1]
        buttons = [b for b in range(3) if rng.random() < 0.2]
        changed = t > 0 and rng.random() < 0.2
        slot = (slot + 1) % 9 if changed else slot
        keys = [KEYS[n] for n in names] + ["f3", "tab"]
        rows.append(row(keys=keys, buttons=[*buttons, 7], hotbar=slot))
        down = {*names, *(MOUSE[b] for b in buttons), *([f"hotbar.{slot + 1}"] if changed else [])}
        wanted.append(SPEC.normalize(dict.fromkeys(down, 1)))
    assert read(rows) == wanted
    assert [SPEC.decode(SPEC.encode(action)) for action in wanted] == wanted


@pytest.mark.parametrize(
    ("mouse", "attack"),
    [
        ([([0], [0]), ([0], []), ([0], []), ([], []), ([0], [0])], [0, 0, 0, 0, 1]),
        ([([0], [0]), ([0], []), ([0], [0]), ([0], [])], [0, 0, 1, 1]),
        ([([0, 1], [0, 1]), ([], []), ([0], [])], [0, 0, 1]),
        ([([0], []), ([0], []), ([], [])], [1, 1, 0]),
        ([([], []), ([0], [0]), ([0], [])], [0, 1, 1]),
    ],
    ids=["let go", "pressed again", "both buttons", "goes on from an earlier part", "not stuck"],
)
def test_an_attack_stuck_from_the_start_is_none(
    row: Row, mouse: list[tuple[list[int], list[int]]], attack: list[int]
) -> None:
    actions = read([row(buttons=held, new=new) for held, new in mouse])
    assert [a["attack"] for a in actions] == attack
    assert [a["use"] for a in actions] == [int(1 in held) for held, _ in mouse]


def test_an_attack_stays_stuck_over_ticks_that_are_left_out(row: Row) -> None:
    reader = ActionReader(CAMERA)
    first, later = row(buttons=[0], new=[0]), row(buttons=[0])
    reader.skip(Tick.model_validate_json(json.dumps(first)))
    tick = Tick.model_validate_json(json.dumps(later))
    assert "attack" not in reader.read(tick, follows=False).action


@pytest.mark.parametrize(
    ("slots", "gap", "pressed"),
    [
        ([3, 3, 4, 8, 8, 0], None, [[], [], [5], [9], [], [1]]),
        ([3, 3, 4, 8, 8, 0], 3, [[], [], [5], [], [], [1]]),
        ([3, None, 4, 4, 5], None, [[], [], [], [], [6]]),
    ],
    ids=["wheel", "gap", "not known"],
)
def test_another_slot_is_a_press(
    row: Row, slots: list[int | None], gap: int | None, pressed: list[list[int]]
) -> None:
    actions = read([row(hotbar=slot) for slot in slots], gap=gap)
    assert [[n for n in range(1, 10) if a[f"hotbar.{n}"]] for a in actions] == pressed


@pytest.mark.parametrize(
    ("pixels", "degrees"),
    [
        ([3] * 7, [0, 0, 1, 0, 1, 0, 1]),
        ([4] * 5, [0, 1, 0, 1, 1]),
        ([-3] * 7, [0, 0, -1, 0, -1, 0, -1]),
        ([20, -20, 3, 3, -6], [3, -3, 0, 0, 0]),
    ],
)
def test_small_turns_are_carried(row: Row, pixels: list[int], degrees: list[int]) -> None:
    for axis, index in (("dx", 1), ("dy", 0)):
        assert [a["camera"][index] for a in read([row(**{axis: p}) for p in pixels])] == degrees


def test_nothing_is_carried_over_a_gap_or_a_menus_border(row: Row) -> None:
    assert [a["camera"][1] for a in read([row(dx=5)] * 3, gap=1)] == [0, 0, 1]
    rows = [row(dx=5), row(dx=5, isGuiOpen=True), row(dx=5, isGuiOpen=True), row(dx=5)]
    assert [a["camera"][1] for a in read(rows)] == [0, 0, 1, 0]


def test_recorder_versions_scale_menus_alone(row: Row) -> None:
    rows = [row(dx=40), row(dx=40, isGuiOpen=True)]
    scales = {
        v: read(rows, version=v) for v in ("5.7", "5.8", "6.7", "6.8", "6.9", "6.10", "7.6", "")
    }
    assert {a[0]["camera"][1] for a in scales.values()} == {6}
    assert [a[1]["camera"][1] for a in scales.values()] == [3, 3, 12, 12, 12, 6, 6, 6]


def test_a_clipped_turn_is_not_carried() -> None:
    turn = Turn(CAMERA.yaw_bins)
    steps = [0.9, 60.0, 0.9, -60.0, -0.9, -49.0]
    expected = [(0, False), (50, True), (0, False), (-49, True), (0, False), (-49, True)]
    assert [turn.by(degrees) for degrees in steps] == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-320, 320), min_size=1, max_size=200))
def test_turns_keep_their_sum_to_within_a_bin(pixels: list[int]) -> None:
    turn, total = Turn(CAMERA.yaw_bins), 0.0
    for moved in pixels:
        degrees, is_clipped = turn.by(moved * 0.15)
        assert degrees in CAMERA.yaw_bins
        total = moved * 0.15 if is_clipped else total + moved * 0.15 - degrees
        if is_clipped:
            total = 0.0
        assert abs(total) < 1 + 1e-6
