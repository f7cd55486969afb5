"""Meanings: what each part of a control is called across games, and which values its tokens stand for."""

import pytest

from games import Axis, Button, Camera, Choice, Control, FrameSize, GameSpec, Stick, Text
from games.meanings import MEANINGS, Component, components, unknown_meanings
from games.registry import load, names


def spec_of(*controls: Control) -> GameSpec:
    frame = FrameSize(height=8, width=8)
    return GameSpec(id="toy-v0", title="Toy", frame=frame, step_hz=20, controls=controls)


@pytest.mark.parametrize(
    ("control", "parts"),
    [
        (Button(name="w", meaning="move.forward"), [("move.forward", ("move.forward",), (1,))]),
        (Button(name="cast"), [("toy/cast", ("toy/cast",), (1,))]),
        (Choice(name="tool", options=("none", "axe")),
         [("toy/tool", ("toy/tool=none", "toy/tool=axe"), (0, 1))]),
        (Camera(name="mouse", meaning="look", pitch_bins=(0, 1.5), yaw_bins=(-9, 0)),
         [("look.pitch", ("look.pitch:+0", "look.pitch:+1.5"), (0, 1.5)),
          ("look.yaw", ("look.yaw:-9", "look.yaw:+0"), (-9, 0))]),
        (Stick(name="left", meaning="move.stick", rotation_bins=4, magnitude_bins=2),
         [("move.stick.rotation", tuple(f"move.stick.rotation:+{d}" for d in (0, 90, 180, 270)),
           (0, 90, 180, 270)),
          ("move.stick.magnitude", ("move.stick.magnitude:+0.5", "move.stick.magnitude:+1"),
           (0.5, 1))]),
        (Axis(name="wheel", meaning="steer", bins=3),
         [("steer", ("steer:-1", "steer:+0", "steer:+1"), (-1, 0, 1))]),
        (Text(name="chat", meaning="chat"), []),
    ],
)  # fmt: skip
def test_parts_of_a_control(
    control: Control, parts: list[tuple[str, tuple[str, ...], tuple[float, ...]]]
) -> None:
    numeric = control.kind in ("camera", "stick", "axis")
    assert components(spec_of(control), control) == tuple(Component(*p, numeric) for p in parts)


@pytest.mark.parametrize("name", names())
def test_a_part_has_a_meaning_and_a_value_for_each_of_its_tokens(name: str) -> None:
    spec = load(name).spec
    assert unknown_meanings(spec) == []
    meanings = []
    for control in spec.controls:
        parts = components(spec, control)
        assert sum(len(part.meanings) for part in parts) == len(control.tokens)
        assert all(len(part.meanings) == len(part.values) for part in parts)
        meanings += [meaning for part in parts for meaning in part.meanings]
    assert len(set(meanings)) == len(meanings)


def test_a_mistyped_meaning_is_named() -> None:
    spec = spec_of(Button(name="w", meaning="move.forwards"), Button(name="x", meaning="my/own"))
    (line,) = unknown_meanings(spec)
    assert line == "w: 'move.forwards' is no shared meaning; did you mean 'move.forward'?"
    assert "move.forward" in MEANINGS


def test_every_meaning_can_be_declared_and_is_explained() -> None:
    for meaning, explained in MEANINGS.items():
        assert Button(name="b", meaning=meaning).meaning == meaning
        assert explained
