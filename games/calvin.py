"""CALVIN as in the paper: a robot arm at a desk, moved by six deltas of 21 bins and a gripper.

The episodes are those of Mees et al. 2022, relative actions in [-1, 1]: three of position, three of rotation; a
gripper command below 0 closes. [TERMINAL] is written on the last step of an episode that succeeded.
"""

from __future__ import annotations

from collections.abc import Sequence

from games.controls import ActionError, Axis, Button, Choice
from games.game import Game
from games.spec import Action, FrameSize, GameSpec

BINS = 21
AXES = ("x", "y", "z", "roll", "pitch", "yaw")


def _delta(number: int, name: str) -> Axis:
    return Axis(name=name, bins=BINS, token=f"[ROBOTACTION{number}_{{}}]", always=True)


SPEC = GameSpec(
    id="calvin-v0",
    title="CALVIN: a robot arm at a desk with drawer, slider, switch and blocks",
    frame=FrameSize(height=200, width=200),
    step_hz=30,
    controls=(
        Button(name="TERMINAL", meaning="episode.end", label="finish"),
        *(_delta(number, name) for number, name in enumerate(AXES)),
        Choice(name="gripper", options=("OPEN", "CLOSE"), token="[GRIPPER_{}]", always=True),
    ),
    hints=("The arm stands behind a desk with a drawer, a sliding door, a lamp and three blocks.",),
)


def from_vector(vector: Sequence[float]) -> Action:
    """The seven numbers of a relative action."""
    if len(vector) != len(AXES) + 1:
        raise ActionError(f"{len(AXES)} deltas and a gripper, got {len(vector)} numbers")
    return {**dict(zip(AXES, vector, strict=False)), "gripper": int(vector[-1] < 0)}


GAME = Game(spec=SPEC, from_vector=from_vector)
