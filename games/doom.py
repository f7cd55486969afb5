"""Doom as its demos have it: walk, turn, fire, use and eight weapons at 35 tics a second.

A demo's turn is a multiple of 360/256 degrees a tic; the bins are those up to 45 of them (63.28°) to either side. The
eight demos of Freedoom, 22,637 tics played by people, have turns up to 41. The view is level: there is no pitch.
"""

from __future__ import annotations

from games.controls import Button, Camera
from games.game import Game
from games.spec import FrameSize, GameSpec

DEGREES_PER_TURN = 360 / 256
WEAPONS = 8
_YAW = tuple(turn * DEGREES_PER_TURN for turn in range(-45, 46))

SPEC = GameSpec(
    id="doom-v0",
    title="Doom and Freedoom, from demos",
    frame=FrameSize(height=240, width=320),
    step_hz=35,
    controls=(
        Button(name="forward", meaning="move.forward", label="walk forward"),
        Button(name="back", meaning="move.back", label="walk back"),
        Button(name="left", meaning="move.left", label="step left"),
        Button(name="right", meaning="move.right", label="step right"),
        Button(name="run", meaning="sprint", label="run"),
        Button(name="fire", meaning="attack.primary", label="fire"),
        Button(name="use", meaning="use", label="use"),
        *(
            Button(name=f"weapon.{i}", meaning=f"hotbar.{i}", label=f"take weapon {i}")
            for i in range(1, WEAPONS + 1)
        ),
        Camera(name="camera", meaning="look", pitch_bins=(0.0,), yaw_bins=_YAW),
    ),
    exclusive=(("forward", "back"), ("left", "right")),
)

GAME = Game(spec=SPEC)
