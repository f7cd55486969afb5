"""Does the player reach its goals? Whole episodes in fresh worlds, judged by the game's state.

Conditions: the agent as asked; without an instruction; with the instruction of another task (where the game says which
tasks exclude each other; the episode ends when that one is done); the plain CNN+GRU where there is one; the scripted
expert; random play. All of them meet the same worlds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent_core.agent import Agent
from agent_core.baseline.policy import BaselinePolicy
from agent_core.process_pool import pool
from bridges.policy import Decision, Policy, PolicyRequest
from bridges.serving.random_policy import RandomPolicy
from games import Action, Env, Game, Observation
from games.registry import load, make

HELD_OUT = 1_000_000_000
"""Worlds from this seed on are for evaluation; recording stays below 1,000,000."""
ENVS_PER_PROCESS = 8
"""Episodes that one process plays side by side, one batched pass per step."""

CONDITIONS = ("agent", "agent_no_instruction", "agent_swapped", "expert", "random")
BASELINE = "cnn_gru"
"""The further condition of an evaluation with a baseline."""


@dataclass(frozen=True)
class EpisodeSpec:
    """One episode to play."""

    task: str
    condition: str
    seed: int


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    trial: EpisodeSpec
    success: bool
    steps: int
    reward: float = 0.0
    """Sum over the episode."""


@dataclass(frozen=True)
class Setup:
    """What is played, and how the agent plays."""

    checkpoint: Path
    temperature: float = 1.0
    condition_on_actions: bool = False
    game: str = "voxel"
    baseline: Path | None = None
    """Folder of the CNN+GRU that plays the condition `BASELINE`."""
    action_latency_steps: int = 0
    """Steps of the game that pass until a policy's answer is there, and it can be asked again. The expert and random
    play are never late."""


def run_episodes(
    specs: Iterable[EpisodeSpec],
    setup: Setup,
    workers: int,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Play all trials in `workers` processes."""
    jobs = _jobs(list(specs))
    outcomes: list[Outcome] = []
    processes = pool(workers)
    try:
        for future in as_completed([processes.submit(play_episodes, job, setup) for job in jobs]):
            for outcome in future.result():
                outcomes.append(outcome)
                if on_outcome:
                    on_outcome(outcome)
    finally:
        processes.shutdown(wait=True, cancel_futures=True)
    return outcomes


def play_episodes(specs: list[EpisodeSpec], setup: Setup) -> list[Outcome]:
    """Play trials of one condition side by side in this process."""
    if specs[0].condition == "expert":
        return [_play_expert(trial, setup.game) for trial in specs]
    policy = _policy(specs[0].condition, setup)
    late = 0 if specs[0].condition == "random" else setup.action_latency_steps
    lanes = [_EnvSlot(trial, policy, setup.game, late) for trial in specs]
    while active := [lane for lane in lanes if lane.outcome is None]:
        asking = [lane for lane in active if lane.is_query_step()]
        decisions = policy.act([lane.request() for lane in asking])
        for lane, decision in zip(asking, decisions, strict=True):
            lane.on_decision(decision)
        for lane in active:
            lane.step(lane.current_action())
    return [lane.outcome for lane in lanes if lane.outcome is not None]


def _policy(condition: str, setup: Setup) -> Policy:
    """Who plays a condition."""
    if condition == "random":
        return RandomPolicy()
    if condition == BASELINE and setup.baseline is not None:
        return BaselinePolicy.load(setup.baseline, temperature=setup.temperature)
    return Agent.load(
        setup.checkpoint,
        temperature=setup.temperature,
        condition_on_actions=setup.condition_on_actions,
        num_candidates=0,
    )


class _EnvSlot:
    """One episode under way; answers are there `late` steps after they were asked for."""

    def __init__(
        self, spec: EpisodeSpec, policy: Policy, game: str, latency_steps: int = 0
    ) -> None:
        self.trial = spec
        self.late = latency_steps
        self.answers: deque[tuple[int, list[Action]]] = deque(maxlen=2)
        """The last two: which step's frame was shown, the action for that step and those for the next."""
        self.executed: Action | None = None
        """What was done at the step whose frame was shown last; None where it is as answered."""
        self.env = make(game)
        self.observation: Observation
        options = options_of(spec, load(game))
        self.observation, _ = self.env.reset(seed=spec.seed, options=options)
        self.swapped_env: Env | None = None
        """The same world, judged by the task that the swapped words ask for."""
        if spec.condition == "agent_swapped":
            task, _ = swapped_instruction(spec, load(game))
            self.swapped_env = make(game)
            self.swapped_env.reset(seed=spec.seed, options={**options, "task": task})
        self.player = policy.attach(self.env.game, seed=spec.seed)
        self.steps = 0
        self.reward = 0.0
        self.outcome: Outcome | None = None

    def request(self) -> PolicyRequest:
        seen = self.observation
        return PolicyRequest(
            self.player, seen["frame"], seen["instruction"], executed=self.executed
        )

    def is_query_step(self) -> bool:
        """Whether the policy is free to look at this step's frame."""
        return self.steps % (self.late or 1) == 0

    def on_decision(self, decision: Decision) -> None:
        """The answer to the newest frame."""
        later = [following.action for following in decision.later]
        self.answers.append((self.steps, [decision.action, *later]))

    def current_action(self) -> Action:
        """This step's action of the newest answer that is there; its last one where it foretold too few."""
        for shown, actions in reversed(self.answers):
            if (ago := self.steps - shown) >= self.late:
                return actions[min(ago, len(actions) - 1)]
        return self.env.game.null_action()

    def step(self, action: Action) -> None:
        if self.late and self.is_query_step():
            self.executed = action
        self.observation, reward, terminated, truncated, info = self.env.step(action)
        self.steps += 1
        self.reward += reward
        if terminated or truncated or self._followed_swapped(action):
            self.outcome = Outcome(self.trial, bool(info["success"]), self.steps, self.reward)
            self.player.close()
            self.env.close()

    def _followed_swapped(self, action: Action) -> bool:
        """Whether a swapped instruction was carried out: what follows shows nothing of listening."""
        if self.swapped_env is None:
            return False
        _, _, terminated, truncated, info = self.swapped_env.step(action)
        if terminated or truncated:
            self.swapped_env.close()
            self.swapped_env = None
        return bool(info["success"])


def options_of(spec: EpisodeSpec, game: Game) -> dict[str, Any]:
    """Reset options: which task judges, and which words the player hears."""
    options: dict[str, Any] = {"task": spec.task}
    if spec.condition == "agent_no_instruction":
        options["instruction"] = ""
    if spec.condition == "agent_swapped":
        _, options["instruction"] = swapped_instruction(spec, game)
    return options


def swapped_instruction(spec: EpisodeSpec, game: Game) -> tuple[str, str]:
    """Another task than the one judged, and words that ask for it."""
    rng = np.random.default_rng([spec.seed, 5])
    others = [task for task in game.exclusive_instructions if task != spec.task]
    task = others[int(rng.integers(len(others)))]
    words = game.exclusive_instructions[task]
    return task, words[int(rng.integers(len(words)))]


def _play_expert(trial: EpisodeSpec, name: str) -> Outcome:
    game, env = load(name), make(name)
    env.reset(seed=trial.seed, options=options_of(trial, game))
    expert, steps, total = game.expert()(env), 0, 0.0
    while True:
        action, _ = expert()
        _, reward, terminated, truncated, info = env.step(action)
        steps, total = steps + 1, total + reward
        if terminated or truncated:
            env.close()
            return Outcome(trial, bool(info["success"]), steps, total)


def _jobs(trials: list[EpisodeSpec]) -> list[list[EpisodeSpec]]:
    """Groups of one condition and task, `LANES` each."""
    groups: dict[tuple[str, str], list[EpisodeSpec]] = {}
    for trial in trials:
        groups.setdefault((trial.condition, trial.task), []).append(trial)
    return [
        group[i : i + ENVS_PER_PROCESS]
        for group in groups.values()
        for i in range(0, len(group), ENVS_PER_PROCESS)
    ]
