"""Actions in words: numbers that people read at a glance, and that are read back as the same bins."""

import re

import numpy as np
import pytest

from bridges.serving.random_policy import random_action
from games import Axis, Camera, FrameSize, GameSpec, Stick
from games.controls import Control
from games.registry import load


def spec_of(*controls: Control) -> GameSpec:
    size = FrameSize(height=64, width=64)
    return GameSpec(id="odd-v0", title="Odd", frame=size, step_hz=20, controls=controls)


@pytest.mark.parametrize(
    ("name", "action", "words"),
    [
        ("brawl", {"left_stick": (270, 1)}, "left_stick 270° at 1.00"),
        ("brawl", {"right_stick": (1.40625, 0.5)}, "right_stick 1° at 0.50"),
        ("bleeding-edge", {"left_stick": (358.59375, 0.25)}, "left_stick 359° at 0.25"),
        ("minecraft", {"camera": (-49, 7)}, "turn right 7°, look up 49°"),
        ("voxel", {"camera": (1.5, -18)}, "turn left 18°, look down 1.5°"),
        ("language-table", {"x": -0.02, "y": 0.1}, "x at -0.02, y at 0.1"),
        ("calvin", {"yaw": 1, "gripper": 1}, "yaw at 1, gripper CLOSE"),
    ],
)
def test_numbers_are_as_short_as_they_are_read(name: str, action: dict, words: str) -> None:  # type: ignore[type-arg]
    spec = load(name).spec
    assert spec.to_words(action) == words
    assert spec.from_words(words) == spec.normalize(action)


@pytest.mark.parametrize("name", ["voxel", "brawl", "minecraft", "language-table", "calvin"])
def test_no_number_of_a_shipped_game_has_more_than_two_decimals(name: str) -> None:
    spec, rng = load(name).spec, np.random.default_rng(0)
    words = ", ".join(spec.to_words(random_action(spec, rng)) for _ in range(200))
    assert re.search(r"\d", words)
    assert not re.search(r"\.\d{3}", words)


@pytest.mark.parametrize("bins", [4, 16, 255, 256, 359, 360, 361, 720, 1024])
def test_every_place_of_a_stick_is_read_back(bins: int) -> None:
    stick = Stick(name="move", rotation_bins=bins, magnitude_bins=min(bins, 256))
    spec = spec_of(stick)
    places = [(k * 360 / bins, 1.0) for k in range(bins)]
    places += [(0.0, k / stick.magnitude_bins) for k in range(1, stick.magnitude_bins + 1)]
    for place in places:
        assert spec.from_words(spec.to_words({"move": place})) == {"move": place}


@pytest.mark.parametrize(
    "bins", [(-1.40625, 0.0, 1.40625), (0.0, 1.23451, 1.23462), (-1e-5, 0.0, 2e-5), (-0.5, 0.0)]
)
def test_every_turn_of_a_camera_is_read_back(bins: tuple[float, ...]) -> None:
    spec = spec_of(Camera(name="look", pitch_bins=bins, yaw_bins=bins))
    for turn in bins:
        action = {"look": (turn, turn)}
        assert spec.from_words(spec.to_words(action)) == action


@pytest.mark.parametrize(
    ("low", "high", "bins", "words"),
    [
        (-1.0, 1.0, 9, "gas at 0.25"),
        (0.0, 100.0, 101, "gas at 1"),
        (0.0, 1.0, 1001, "gas at 0.001"),
        (-1e9, 1e9, 3, "gas at 1000000000"),
    ],
)
def test_every_level_of_an_axis_is_read_back(
    low: float, high: float, bins: int, words: str
) -> None:
    axis = Axis(name="gas", low=low, high=high, bins=bins)
    spec = spec_of(axis)
    assert spec.to_words({"gas": min(level for level in axis.levels if level > axis.null)}) == words
    for level in axis.levels:
        assert spec.from_words(spec.to_words({"gas": level})) == {"gas": level}
