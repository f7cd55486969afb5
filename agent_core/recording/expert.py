"""How are teaching episodes made? The scripted expert plays, stumbles on purpose, and writes down what it meant.

While a mistake is injected the game executes a random action, but the recorded label stays the expert's: the model
learns how to get back on the path (noise injection as in DART, Laskey et al. 2017). With a checkpoint as player the
agent plays and the expert labels (DAgger, Ross et al. 2011).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agent_core.agent import Agent
from agent_core.process_pool import pool
from bridges.policy import PolicyRequest
from bridges.serving.random_policy import random_action
from games import Action, Button, Camera, Control, GameSpec, Observation
from games.registry import load, make
from recorder import CaptureError, CaptureInfo, CaptureWriter, open_episodes

SEED_LIMIT = 1_000_000
"""Recording uses seeds below this; evaluation's held-out worlds start at 1,000,000,000."""
IDLE_SHARE = 0.04
"""Share of episodes without an instruction, in which the expert waits."""
IDLE_STEPS = 60


@dataclass(frozen=True)
class RecordingPlan:
    """What to record: `mistakes` is the chance per step that a random action of 3 to 10 steps begins.

    With `agent` there are no injected mistakes: the agent makes its own.
    """

    out: Path
    episodes: int
    first_seed: int = 0
    noise_prob: float = 0.02
    tasks: tuple[str, ...] = ()
    """All of the game's where none is named."""
    agent: Path | None = None
    """A checkpoint that plays while the expert only says what it would have done."""
    max_steps: int = 300
    """Steps after which the agent's episodes are cut."""
    game: str = "voxel"
    """A game with an expert, by a name that `games.registry.load` knows."""


@dataclass(frozen=True)
class Recorded:
    """One finished episode."""

    seed: int
    task: str
    steps: int
    success: bool


def record_expert(
    plan: RecordingPlan, workers: int, on_episode: Callable[[Recorded], None] | None = None
) -> list[Recorded]:
    """Record the plan's seeds that `plan.out` does not hold yet; finished episodes stay on Ctrl-C.

    Raises `CaptureError` for seeds kept for evaluation, `UnplayableError` where the game lacks what is needed.
    """
    if plan.first_seed + plan.episodes > SEED_LIMIT:
        raise CaptureError(f"seeds from {SEED_LIMIT} on are kept for evaluation; use smaller ones")
    game = load(plan.game)
    game.select_tasks(plan.tasks)
    game.expert()
    make(plan.game).close()
    have = _seeds_in(plan.out, game.spec)
    seeds = [s for s in range(plan.first_seed, plan.first_seed + plan.episodes) if s not in have]
    done: list[Recorded] = []
    processes = pool(workers)
    try:
        for future in as_completed([processes.submit(record_one, plan, seed) for seed in seeds]):
            done.append(future.result())
            if on_episode:
                on_episode(done[-1])
    finally:
        processes.shutdown(wait=True, cancel_futures=True)
    return done


def record_one(plan: RecordingPlan, seed: int) -> Recorded:
    """Play and record one seed."""
    rng = np.random.default_rng([seed, 77])
    game, env = load(plan.game), make(plan.game)
    idle = rng.random() < IDLE_SHARE and plan.agent is None and game.free_task is not None
    tasks = (str(game.free_task),) if idle else game.select_tasks(plan.tasks)
    task = tasks[int(rng.integers(len(tasks)))]
    observation, info = env.reset(seed=seed, options={"task": task})
    expert = game.expert()(env)
    driver = (
        NoiseInjector(game.spec, rng, plan.noise_prob)
        if plan.agent is None
        else _AgentDriver(plan.agent, game.spec, seed)
    )
    longest = IDLE_STEPS if idle else plan.max_steps if plan.agent else sys.maxsize
    about = CaptureInfo(
        instruction=observation["instruction"],
        task=task,
        seed=seed,
        actor="expert" if plan.agent is None else "agent",
        author="scripted",
    )
    with CaptureWriter.create(plan.out, game.spec, about) as capture:
        said, ended = "", False
        while not ended and capture.steps < longest:
            label, thought = expert()
            executed = driver.action(observation) or label
            if thought != said:
                capture.text(style="thought", text=thought, source="teacher")
                said = thought
            frame = observation["frame"]
            observation, reward, terminated, truncated, info = env.step(executed)
            capture.step(frame, label, executed=executed, reward=reward)
            ended = terminated or truncated
        capture.close(success=bool(info["success"]) or idle)
    env.close()
    return Recorded(seed, task, capture.steps, bool(info["success"]) or idle)


class _AgentDriver:
    """The agent's own actions."""

    def __init__(self, checkpoint: Path, spec: GameSpec, seed: int) -> None:
        self._agent = _agent(checkpoint)
        self._player = self._agent.attach(spec, seed=seed)

    def action(self, observation: Observation) -> Action | None:
        request = PolicyRequest(self._player, observation["frame"], observation["instruction"])
        return self._agent.act([request])[0].action


@lru_cache(maxsize=1)
def _agent(checkpoint: Path) -> Agent:
    return Agent.load(checkpoint, threads=1, num_candidates=0)


class NoiseInjector:
    """Now and then a random action that lasts a few steps."""

    def __init__(self, spec: GameSpec, rng: np.random.Generator, chance: float) -> None:
        self._spec = spec
        self._rng = rng
        self._chance = chance
        self._left = 0
        self._now: Action = {}

    def action(self, observation: Observation) -> Action | None:
        """The random action under way, None where the expert's own counts."""
        if self._left == 0:
            if self._rng.random() >= self._chance:
                return None
            self._left = int(self._rng.integers(3, 11))
            self._now = random_perturbation(self._spec, self._rng)
        self._left -= 1
        return self._now


def random_perturbation(spec: GameSpec, rng: np.random.Generator) -> Action:
    """A legal action: some buttons, often a turn of the camera that looks neither to the zenith nor to the feet."""
    action = spec.null_action()
    for control in spec.controls:
        if isinstance(control, Button) and rng.random() < 0.2:
            action[control.name] = 1
    for group in spec.exclusive:
        down = [name for name in group if action[name]]
        while len(down) > 1:
            action[down.pop(int(rng.integers(len(down))))] = 0
    for control in spec.controls:
        if not isinstance(control, Button) and rng.random() < 0.7:
            action[control.name] = _random_value(spec, control, rng)
    return spec.normalize(action)


def _random_value(spec: GameSpec, control: Control, rng: np.random.Generator) -> Any:
    if not isinstance(control, Camera):
        return random_action(spec, rng)[control.name]
    edge = len(control.pitch_bins) // 4
    level = control.pitch_bins[edge : len(control.pitch_bins) - edge]
    return (float(rng.choice(level)), float(rng.choice(control.yaw_bins)))


def _seeds_in(folder: Path, spec: GameSpec) -> set[int | None]:
    try:
        return {e.header.seed for e in open_episodes(folder) if e.spec.id == spec.id}
    except CaptureError:
        return set()


def success_rates(recorded: Sequence[Recorded]) -> dict[str, float]:
    """Share of successes by task."""
    tasks = sorted({r.task for r in recorded})
    return {t: float(np.mean([r.success for r in recorded if r.task == t])) for t in tasks}
