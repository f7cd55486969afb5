"""Environment checker: violations of the `games.Env` contract, each with a stable code and a hint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from games.controls import ActionError, Axis, Button, Camera, Choice, Stick
from games.env import Env, action_space, observation_space
from games.game import Game
from games.meanings import unknown_meanings
from games.spec import Action, GameSpec


@dataclass(frozen=True)
class Problem:
    """One violation of the contract."""

    code: str
    message: str
    hint: str


def check_env(env: Env, steps: int = 20, seed: int = 1) -> list[Problem]:
    """Run an environment for a few steps; an empty list means that it can be served, recorded and trained on."""
    if not isinstance(getattr(env, "game", None), GameSpec):
        return [
            Problem("no-spec", "env.game is no GameSpec", "set `game = GameSpec(...)` on the class")
        ]
    problems: list[Problem] = []
    for rule in (_meanings, _spaces, _words, _reset, _run, _deterministic):
        try:
            problems += rule(env, steps, seed)
        except Exception as error:  # whatever an environment raises is a problem to report
            problems.append(
                Problem(
                    "raises",
                    f"{rule.__name__.strip('_')}: {type(error).__name__}: {error}",
                    "see the traceback of reset() and step()",
                )
            )
    env.close()
    return problems


def check_expert(game: Game, steps: int = 40, seeds: int = 2) -> list[Problem]:
    """Let a game's expert play the first steps of every task; an empty list where it has none."""
    if game.make_expert is None or game.make is None:
        return []
    problems = []
    for task in game.tasks or ("",):
        for seed in range(seeds):
            if problem := _expert_problem(game, game.make, task, seed, steps):
                problems.append(problem)
                break
    return problems


def _expert_problem(
    game: Game, make: Callable[[], Env], task: str, seed: int, steps: int
) -> Problem | None:
    """The first thing that goes wrong in one episode."""
    place, hint = f"task {task!r}, seed {seed}", "`iafm record --expert` loses this episode"
    try:
        env = make()
        try:
            env.reset(seed=seed, options={"task": task} if task else None)
            expert = game.expert()(env)
            for step in range(steps):
                action, thought = expert()
                game.spec.normalize(action)
                if not isinstance(thought, str):
                    what = f"step {step}, {place}: the expert's thought is {type(thought).__name__}"
                    return Problem("expert-thought", what, 'return (action, "") where it has none')
                _, _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    break
        finally:
            env.close()
    except ActionError as error:
        return Problem("expert-action", f"{place}: {error}", "return an action of the spec")
    except Exception as error:  # whatever an expert raises is a problem here
        return Problem("expert-raises", f"{place}: {type(error).__name__}: {error}", hint)
    return None


def _meanings(env: Env, steps: int, seed: int) -> list[Problem]:
    hint = (
        f"take one of games.MEANINGS, leave it out, or mark it as your game's: '{env.game.name}/…'"
    )
    return [Problem("meaning", line, hint) for line in unknown_meanings(env.game)]


def _spaces(env: Env, steps: int, seed: int) -> list[Problem]:
    pairs: tuple[tuple[str, Any, Callable[[GameSpec], Any]], ...] = (
        ("action_space", env.action_space, action_space),
        ("observation_space", env.observation_space, observation_space),
    )
    return [
        Problem(
            "space",
            f"{name} is {actual}, the spec asks for {make(env.game)}",
            f"use games.{name}(spec)",
        )
        for name, actual, make in pairs
        if actual != make(env.game)
    ]


def _words(env: Env, steps: int, seed: int) -> list[Problem]:
    problems = []
    for action in _actions(env.game, steps, seed):
        if env.game.decode(env.game.encode(action)) != env.game.normalize(action):
            problems.append(
                Problem(
                    "tokens",
                    f"{action} is another action after its tokens",
                    "make token names unique",
                )
            )
        if env.game.from_words(env.game.to_words(action)) != env.game.normalize(action):
            problems.append(
                Problem(
                    "words", f"{action} is another action after its words", "make labels unique"
                )
            )
    return problems[:3]


def _reset(env: Env, steps: int, seed: int) -> list[Problem]:
    result = env.reset(seed=seed)
    if not (isinstance(result, tuple) and len(result) == 2):
        return [
            Problem("reset", "reset() returns no (observation, info)", "see gymnasium.Env.reset")
        ]
    observation, info = result
    return _observation(env.game, observation) + _info(info)


def _run(env: Env, steps: int, seed: int) -> list[Problem]:
    env.reset(seed=seed)
    problems: list[Problem] = []
    previous: Any = None
    for action in _actions(env.game, steps, seed):
        result = env.step(action)
        if not (isinstance(result, tuple) and len(result) == 5):
            return [Problem("step", "step() returns no 5-tuple", "see gymnasium.Env.step")]
        observation, reward, terminated, truncated, info = result
        problems += _observation(env.game, observation) + _info(info)
        if (
            not isinstance(reward, (int, float))
            or not isinstance(terminated, bool)
            or not isinstance(truncated, bool)
        ):
            problems.append(
                Problem(
                    "types",
                    "reward, terminated, truncated are no float, bool, bool",
                    "convert numpy values",
                )
            )
        if previous is not None and np.shares_memory(previous, observation["frame"]):
            problems.append(
                Problem("shared", "two steps share one frame's memory", "return a copy")
            )
        previous = observation["frame"]
        if problems:
            return problems[:3]
        if terminated or truncated:
            env.reset(seed=seed)
    return []


def _deterministic(env: Env, steps: int, seed: int) -> list[Problem]:
    runs = []
    for _ in range(2):
        frames = [env.reset(seed=seed)[0]["frame"].copy()]
        for action in _actions(env.game, steps, seed):
            observation, _, terminated, truncated, _ = env.step(action)
            frames.append(observation["frame"].copy())
            if terminated or truncated:
                break
        runs.append(frames)
    same = len(runs[0]) == len(runs[1]) and all((a == b).all() for a, b in zip(*runs, strict=True))
    hint = "draw everything from self.np_random after super().reset(seed=seed)"
    return [] if same else [Problem("seed", "the same seed and actions give other frames", hint)]


def _observation(spec: GameSpec, observation: Any) -> list[Problem]:
    frame = observation.get("frame") if isinstance(observation, dict) else None
    if (
        not isinstance(frame, np.ndarray)
        or frame.shape != spec.frame.shape
        or frame.dtype != np.uint8
    ):
        got = (
            f"{frame.dtype} {frame.shape}"
            if isinstance(frame, np.ndarray)
            else type(frame).__name__
        )
        hint = "observations are {'frame': uint8 (H, W, 3) RGB, 'instruction': str}"
        return [
            Problem("frame", f"the frame is {got}, the spec has uint8 {spec.frame.shape}", hint)
        ]
    if not isinstance(observation.get("instruction"), str):
        return [
            Problem(
                "instruction", "the observation has no instruction", 'use "" where there is none'
            )
        ]
    return []


def _info(info: Any) -> list[Problem]:
    if (
        isinstance(info, dict)
        and isinstance(info.get("task"), str)
        and isinstance(info.get("success"), bool)
    ):
        return []
    return [
        Problem(
            "info", "info has no task (str) and success (bool)", "both are needed to judge episodes"
        )
    ]


def _actions(spec: GameSpec, steps: int, seed: int) -> list[Action]:
    """The null action, every control by itself, then random mixtures."""
    rng = np.random.default_rng(seed)
    actions = [spec.null_action()]
    for control in spec.controls:
        match control:
            case Button():
                actions.append({control.name: 1})
            case Camera():
                actions.append(
                    {control.name: (float(rng.choice(control.pitch_bins)), control.yaw_bins[-1])}
                )
            case Stick():
                actions.append({control.name: (float(rng.uniform(0, 360)), 1.0)})
            case Axis():
                actions.append({control.name: control.high})
            case Choice():
                actions.append({control.name: len(control.options) - 1})
    while len(actions) < steps:
        actions.append(actions[int(rng.integers(len(actions)))])
    return [spec.normalize(action) for action in actions]
