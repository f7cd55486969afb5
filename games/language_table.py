"""Language-Table as in the paper: a robot arm pushes blocks over a table, moved by two deltas of 21 bins.

The episodes are those of Lynch et al. 2022 ("Interactive Language"); the paper names the tokens, not the range of the
bins: +-0.1 m a step, evenly spaced, is ours. [TERMINAL] is written on the last step of an episode that succeeded.
"""

from __future__ import annotations

from games.controls import Axis, Button
from games.game import Game
from games.spec import FrameSize, GameSpec

RANGE_M = 0.1
"""Largest move of the effector along an axis within one step."""
BINS = 21


def _delta(name: str) -> Axis:
    return Axis(
        name=name,
        low=-RANGE_M,
        high=RANGE_M,
        bins=BINS,
        token=f"[ROBOTACTION{name.upper()}{{}}]",
        always=True,
    )


SPEC = GameSpec(
    id="language-table-v0",
    title="Language-Table: a robot arm pushes blocks as it is told",
    frame=FrameSize(height=180, width=320),
    step_hz=5,
    controls=(
        Button(name="TERMINAL", meaning="episode.end", label="finish"),
        _delta("x"),
        _delta("y"),
    ),
    hints=("Coloured blocks lie on a white table; the arm's round tip pushes them.",),
)
GAME = Game(spec=SPEC)
