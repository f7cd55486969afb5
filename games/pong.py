"""Pong (Atari) against the built-in opponent; needs the Arcade Learning Environment (`iafm[atari]`).

One episode is one point. The scripted expert uses only the frame: the positions of the ball and of its paddle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gymnasium
import numpy as np

from games.controls import Button
from games.env import Frame
from games.game import Game, UnplayableError
from games.gymnasium_game import FREE, GymnasiumGame
from games.spec import Action, FrameSize, GameSpec

SPEC = GameSpec(
    id="pong-v0",
    title="Pong on the Atari 2600 (Arcade Learning Environment)",
    frame=FrameSize(height=105, width=80),  # half of the Atari's 210 x 160
    step_hz=20,  # every third of its 60 frames a second
    controls=(
        Button(name="up", meaning="move.up", label="move up"),
        Button(name="down", meaning="move.down", label="move down"),
    ),
    exclusive=(("up", "down"),),
    hints=(
        "The player is the green paddle on the right, the machine the brown one on the left.",
        "Who lets the white ball pass loses the point; the scores stand at the top.",
    ),
)
LIMIT = 600
"""Steps after which an undecided point is truncated, without success."""
TASKS = {
    "win_point": (
        "play Pong",
        "win the next point",
        "score a point",
        "win the rally",
        "get the ball past the other paddle",
        "beat the machine at Pong",
        "hit the ball back until you score",
        "make a point against the brown paddle",
        "do not let the ball pass, and score",
        "play table tennis and win the point",
    )
}

_FIELD = slice(34, 194)
"""Rows between the two white walls."""
_BALL, _PADDLE = (236, 236, 236), (92, 186, 92)
_ABOVE = 5.0
"""Rows above the paddle's middle where the ball should hit: it then leaves steeply, and the opponent often misses."""
_NEAR = 4.0
"""Difference in rows below which the paddle stays."""


def make() -> GymnasiumGame:
    """Pong, ready to play; raises `UnplayableError` where the Atari emulator is not installed."""
    try:
        import ale_py
    except ImportError:
        raise UnplayableError(
            "Pong needs the Atari emulator: pip install 'iafm[atari]' (or ale-py)"
        ) from None
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    env = gymnasium.make(
        "ALE/Pong-v5",
        frameskip=3,
        repeat_action_probability=0.0,
        max_num_frames_per_episode=108_000,
    )
    return GymnasiumGame(
        SPEC,
        env,
        actions={(): 0, ("up",): 2, ("down",): 3},
        tasks=TASKS,
        judge=first_point,
        limit=LIMIT,
        random_start=90,
        ready=_served,
    )


def first_point(rewards: Sequence[float], over: bool) -> bool | None:
    """The first point decides; a truncated episode is a failure."""
    return rewards[-1] > 0 if rewards[-1] or over else None


def _served(frame: Frame) -> bool:
    """Whether the ball is in the far half, so that the player has time to reach it."""
    return _middle(frame, _BALL, 20, 80) is not None


@dataclass
class Expert:
    """Expert that keeps the paddle level with the ball; `__call__` gives the next action and the thought behind it."""

    game: GymnasiumGame

    def __call__(self) -> tuple[Action, str]:
        action = SPEC.null_action()
        if self.game.task == FREE:
            return action, "no instruction: wait"
        paddle = _paddle_row(self.game.native_frame)
        ball = _middle(self.game.native_frame, _BALL, 20, 140)
        if ball is None or paddle is None:
            return action, "no ball: wait"
        away = ball[0] + _ABOVE - paddle
        if abs(away) <= _NEAR:
            return action, "level with the ball: wait"
        action["down" if away > 0 else "up"] = 1
        return action, "ball below: move down" if away > 0 else "ball above: move up"


def _paddle_row(frame: Frame) -> float | None:
    """The middle row of the player's paddle, which is 16 rows tall also where a wall hides a part of it."""
    rows = np.flatnonzero((frame[_FIELD, 140:144] == _PADDLE).all(2).any(1)) + _FIELD.start
    if not len(rows):
        return None
    return float(rows[-1] - 7.5 if rows[0] == _FIELD.start else rows[0] + 7.5)


def _middle(
    frame: Frame, colour: tuple[int, int, int], left: int, right: int
) -> tuple[float, float] | None:
    """(row, column) of the middle of the pixels of a colour between two columns; None where there are none."""
    rows, columns = np.nonzero((frame[_FIELD, left:right] == colour).all(2))
    if not len(rows):
        return None
    return (rows.min() + rows.max()) / 2 + _FIELD.start, float(columns.mean()) + left


GAME = Game(
    spec=SPEC,
    make=make,
    tasks=tuple(TASKS),
    make_expert=Expert,
    exclusive_instructions=TASKS,
    free_task=FREE,
)
