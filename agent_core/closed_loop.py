"""Does the player reach its goals? Whole episodes in fresh worlds, judged by the game's state.

Conditions: the agent as asked; without an instruction; with the instruction of another single-object task; the
scripted expert; random play. All of them meet the same worlds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agent_core.agent import Agent
from bridges import Policy, RandomPolicy, Request
from games import Action, Observation
from games.voxel import SINGLE_OBJECT, SPEC, TASKS, VoxelEnv
from games.voxel.expert import Expert

HELD_OUT = 1_000_000_000
"""Worlds from this seed on are for evaluation; recording stays below 1,000,000."""
LANES = 8
"""Episodes that one process plays side by side, one batched pass per step."""

CONDITIONS = ("agent", "agent_no_instruction", "agent_swapped", "expert", "random")


@dataclass(frozen=True)
class Trial:
    """One episode to play."""

    task: str
    condition: str
    seed: int


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    trial: Trial
    success: bool
    steps: int


@dataclass(frozen=True)
class Setup:
    """How the agent plays."""

    checkpoint: Path
    temperature: float = 1.0
    show_actions: bool = False


def run_trials(
    trials: Iterable[Trial],
    setup: Setup,
    workers: int,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Play all trials in `workers` processes."""
    jobs = _jobs(list(trials))
    outcomes: list[Outcome] = []
    context = get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread)
    try:
        for future in as_completed([pool.submit(play_trials, job, setup) for job in jobs]):
            for outcome in future.result():
                outcomes.append(outcome)
                if on_outcome:
                    on_outcome(outcome)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return outcomes


def play_trials(trials: list[Trial], setup: Setup) -> list[Outcome]:
    """Play trials of one condition side by side in this process."""
    if trials[0].condition == "expert":
        return [_play_expert(trial) for trial in trials]
    if trials[0].condition == "random":
        policy: Policy = RandomPolicy()
    else:
        policy = Agent.load(
            setup.checkpoint,
            temperature=setup.temperature,
            show_actions=setup.show_actions,
            alternatives=0,
        )
    lanes = [_Lane(trial, policy) for trial in trials]
    while active := [lane for lane in lanes if lane.outcome is None]:
        decisions = policy.act([lane.request() for lane in active])
        for lane, decision in zip(active, decisions, strict=True):
            lane.step(decision.action)
    return [lane.outcome for lane in lanes if lane.outcome is not None]


class _Lane:
    """One episode under way."""

    def __init__(self, trial: Trial, policy: Policy) -> None:
        self.trial = trial
        self.env = VoxelEnv()
        self.observation: Observation
        self.observation, _ = self.env.reset(seed=trial.seed, options=options_of(trial))
        self.player = policy.attach(SPEC, seed=trial.seed)
        self.steps = 0
        self.outcome: Outcome | None = None

    def request(self) -> Request:
        return Request(self.player, self.observation["frame"], self.observation["instruction"])

    def step(self, action: Action) -> None:
        self.observation, _, terminated, truncated, info = self.env.step(action)
        self.steps += 1
        if terminated or truncated:
            self.outcome = Outcome(self.trial, bool(info["success"]), self.steps)
            self.player.close()


def options_of(trial: Trial) -> dict[str, Any]:
    """Reset options: which task judges, and which words the player hears."""
    options: dict[str, Any] = {"task": trial.task}
    if trial.condition == "agent_no_instruction":
        options["instruction"] = ""
    if trial.condition == "agent_swapped":
        rng = np.random.default_rng([trial.seed, 5])
        others = [task for task in SINGLE_OBJECT if task != trial.task]
        other = others[int(rng.integers(len(others)))]
        options["instruction"] = TASKS[other].goal(rng).instruction
    return options


def _play_expert(trial: Trial) -> Outcome:
    env = VoxelEnv()
    env.reset(seed=trial.seed, options=options_of(trial))
    expert, steps = Expert(env.goal), 0
    while True:
        action, _ = expert.act(env.view(), env.player)
        _, _, terminated, truncated, info = env.step(action)
        steps += 1
        if terminated or truncated:
            return Outcome(trial, bool(info["success"]), steps)


def _jobs(trials: list[Trial]) -> list[list[Trial]]:
    """Groups of one condition and task, `LANES` each."""
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.condition, trial.task), []).append(trial)
    return [group[i : i + LANES] for group in groups.values() for i in range(0, len(group), LANES)]


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
