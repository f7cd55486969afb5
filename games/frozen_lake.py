"""Frozen Lake (Gymnasium): cross the ice to the flag; every seed has another lake with other holes.

The whole lake is on the screen. The scripted expert takes the shortest path round the holes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
from gymnasium import spaces

from games.controls import Button
from games.game import Game
from games.gymnasium_game import FREE, GymnasiumGame
from games.spec import Action, FrameSize, GameSpec

SIDE = 4
STAY = 4
"""An action that Gymnasium's Frozen Lake does not have: no button is held."""
_MOVES = {"left": (0, 0, -1), "down": (1, 1, 0), "right": (2, 0, 1), "up": (3, -1, 0)}
"""Discrete action, and the change of row and column."""

SPEC = GameSpec(
    id="frozen-lake-v0",
    title="Frozen Lake (Gymnasium)",
    frame=FrameSize(height=96, width=96),
    step_hz=5,
    controls=tuple(
        Button(name=name, meaning=f"move.{name}", label=f"go {name}") for name in _MOVES
    ),
    exclusive=(tuple(_MOVES),),
    hints=("The elf walks over white ice; dark blue holes end the walk, the flag is the goal.",),
)
LIMIT = 40
TASKS = {
    "cross_lake": (
        "cross the lake",
        "go to the flag",
        "fetch the flag and keep out of the holes",
        "walk over the ice to the flag",
        "find a way round the holes",
        "get to the other corner",
        "bring the elf to the flag",
        "reach the flag without falling in",
    )
}


class _Lake(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A new lake at every reset, and an action that stays."""

    def __init__(self) -> None:
        super().__init__(_frozen(["SFFF", "FFFF", "FFFF", "FFFG"]))
        self.action_space = spaces.Discrete(STAY + 1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        from gymnasium.envs.toy_text.frozen_lake import generate_random_map

        self.env = _frozen(generate_random_map(size=SIDE, p=0.75, seed=seed))
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        if action == STAY:
            return self.lake.s, 0.0, False, False, {}
        return self.env.step(action)

    @property
    def lake(self) -> Any:
        """The inner environment: the elf's cell (`s`, row by row) and the kind of each cell (`desc`)."""
        return self.env.unwrapped


def _frozen(rows: Sequence[str]) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(
        "FrozenLake-v1", desc=list(rows), is_slippery=False, render_mode="rgb_array"
    )


def make() -> GymnasiumGame:
    """Frozen Lake, ready to play."""
    actions: dict[tuple[str, ...], int] = {(name,): move[0] for name, move in _MOVES.items()}
    actions[()] = STAY
    return GymnasiumGame(SPEC, _Lake(), actions=actions, tasks=TASKS, limit=LIMIT)


@dataclass
class Expert:
    """Shortest-path expert; `__call__` gives the next action and the thought behind it."""

    game: GymnasiumGame

    def __call__(self) -> tuple[Action, str]:
        action = SPEC.null_action()
        if self.game.task == FREE:
            return action, "no instruction: wait"
        lake = self.game.inner.lake  # type: ignore[attr-defined]
        direction = _first_move(
            [row.tobytes().decode() for row in lake.desc], divmod(int(lake.s), SIDE)
        )
        if direction is None:
            return action, "no way: wait"
        return {**action, direction: 1}, f"the way goes {direction}"


def _first_move(rows: Sequence[str], elf: tuple[int, int]) -> str | None:
    """The first move of a shortest path to the goal (breadth-first search); None where there is none."""
    first: dict[tuple[int, int], str | None] = {elf: None}
    queue = deque([elf])
    while queue:
        cell = queue.popleft()
        if rows[cell[0]][cell[1]] == "G":
            return first[cell]
        for name, (_, down, right) in _MOVES.items():
            neighbour = (cell[0] + down, cell[1] + right)
            inside = 0 <= neighbour[0] < SIDE and 0 <= neighbour[1] < SIDE
            if inside and neighbour not in first and rows[neighbour[0]][neighbour[1]] != "H":
                first[neighbour] = first[cell] or name
                queue.append(neighbour)
    return None


GAME = Game(
    spec=SPEC,
    make=make,
    tasks=tuple(TASKS),
    make_expert=Expert,
    exclusive_instructions=TASKS,
    free_task=FREE,
)
