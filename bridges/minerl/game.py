"""Games by MineRL's names: what `minerl:TASK` stands for."""

from __future__ import annotations

import logging
from functools import cache, partial
from typing import Any

from bridges.minerl.actions import ActionMap, map_actions
from bridges.minerl.env import MinerlEnv
from bridges.minerl.options import MinerlError, TaskOptions, parse_task
from bridges.minerl.package import env_spec
from bridges.minerl.tasks import instruction, judge
from games import FrameSize, Game, GameSpec
from games.minecraft import SPEC

logger = logging.getLogger("iafm.minerl")


def load_game(text: str) -> Game:
    """The game of a task and its options (`MineRLTreechop-v0,port=9000`); imports minerl, starts nothing.

    Raises `MinerlError`.
    """
    options = parse_task(text)
    inner = env_spec(options)
    actions = map_actions(inner.action_space.spaces)
    _report(options.task, actions.absent, actions.left_out)
    spec = _game_spec(options, actions, inner.observation_space["pov"].shape)
    judged = judge(inner, options)
    make = partial(MinerlEnv.make, spec, actions, judged, options, inner, instruction(options.task))
    return Game(spec, make=make, tasks=(options.task,) if judged.has_verdict else (), max_envs=1)


def _game_spec(options: TaskOptions, actions: ActionMap, picture: Any) -> GameSpec:
    """Minecraft's spec with the task's picture; with fewer controls, or further ones, it is a game of its own."""
    if not actions.controls:
        raise MinerlError(f"{options.task} has no controls that are known")
    height, width = int(picture[0]), int(picture[1])
    is_minecraft = actions.controls == SPEC.controls
    return GameSpec(
        id=SPEC.id if is_minecraft else options.task.lower(),
        title=SPEC.title if is_minecraft else f"{options.task} (MineRL)",
        frame=FrameSize(height=height, width=width),
        step_hz=SPEC.step_hz,
        controls=actions.controls,
        hints=SPEC.hints,
    )


@cache
def _report(task: str, absent: tuple[str, ...], left_out: tuple[str, ...]) -> None:
    """Log once what a task lacks, and what it has that nobody presses."""
    if absent:
        logger.warning("%s lacks %s: nobody can press them", task, ", ".join(absent))
    if left_out:
        logger.warning("%s has %s, which no control presses", task, ", ".join(left_out))
