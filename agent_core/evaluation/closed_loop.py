"""Closed-loop evaluation: whole episodes in held-out worlds, judged by the game's state.

Conditions: the agent with its instruction; without one; with the instruction of another task (where the game says which
tasks exclude each other; the episode ends when that one is done) or of another seed (where every seed has a mission);
the plain CNN+GRU where there is one; the scripted expert; random play. All of them meet the same worlds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent_core.agent import Agent
from agent_core.baseline.network import KIND
from agent_core.baseline.policy import BaselinePolicy
from agent_core.evaluation.plan import BASELINE, EpisodeSpec
from agent_core.process_pool import run_jobs
from agent_core.weights.checkpoint import HEADER, read_header, resolve
from bridges.policy import Decision, Policy, PolicyRequest
from bridges.serving.random_policy import RandomPolicy
from games import Action, Env, Game, Observation, UnplayableError
from games.registry import load, make

ENVS_PER_PROCESS = 8
"""Episodes that one process plays, side by side where the game allows it, one batched pass per step."""
MISSION_TRIES = 100
"""Seeds that are tried for another mission."""


@dataclass(frozen=True)
class Outcome:
    """How an episode ended."""

    spec: EpisodeSpec
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
    """Steps of the game from an observation to the policy's decision; meanwhile it is not asked again. The expert and
    random play have no latency."""


def run_episodes(
    specs: Iterable[EpisodeSpec],
    setup: Setup,
    workers: int,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Play all episodes in `workers` processes, fewer where the game has fewer environments; `on_outcome` gets each.

    Raises `UnplayableError` before anything is played where a task has no other instruction to be swapped for.
    """
    specs = list(specs)
    for spec in {s.task: s for s in specs if s.condition == "agent_swapped"}.values():
        options_of(spec, load(setup.game))
    workers = min(workers, load(setup.game).max_envs or workers)
    return run_jobs(play_episodes, [(job, setup) for job in _jobs(specs)], workers, on_outcome)


def play_episodes(specs: list[EpisodeSpec], setup: Setup) -> list[Outcome]:
    """Play episodes of one condition side by side in this process, one batched pass per step."""
    if specs[0].condition == "expert":
        return [_play_expert(spec, setup.game) for spec in specs]
    policy = _policy(specs[0].condition, setup)
    latency = 0 if specs[0].condition == "random" else setup.action_latency_steps
    waiting, slots, idle = deque(specs), list[_EnvSlot](), list[Env]()
    limit = load(setup.game).max_envs or ENVS_PER_PROCESS
    outcomes: dict[EpisodeSpec, Outcome] = {}
    try:
        while waiting or slots:
            while waiting and len(slots) < limit:
                env = idle.pop() if idle else None
                slots.append(_EnvSlot(waiting.popleft(), policy, setup.game, latency, env))
            _step(slots, policy)
            ended = [slot for slot in slots if slot.outcome is not None]
            outcomes |= {slot.spec: slot.outcome for slot in ended if slot.outcome is not None}
            idle += [slot.env for slot in ended]
            slots = [slot for slot in slots if slot.outcome is None]
    finally:
        for env in (*idle, *(slot.env for slot in slots)):
            env.close()
    return [outcomes[spec] for spec in specs]


def _step(slots: Sequence[_EnvSlot], policy: Policy) -> None:
    """One step of every episode, the policy's decisions in one batch."""
    queried = [slot for slot in slots if slot.is_query_step()]
    decisions = policy.act([slot.request() for slot in queried])
    for slot, decision in zip(queried, decisions, strict=True):
        slot.on_decision(decision)
    for slot in slots:
        slot.step(slot.current_action())


def _policy(condition: str, setup: Setup) -> Policy:
    """The policy that plays a condition."""
    if condition == "random":
        return RandomPolicy()
    if condition == BASELINE and setup.baseline is not None:
        return BaselinePolicy.load(setup.baseline, temperature=setup.temperature)
    return load_policy(setup.checkpoint, setup.temperature, setup.condition_on_actions)


def load_policy(checkpoint: Path, temperature: float, condition_on_actions: bool) -> Policy:
    """An IAFM, or the CNN+GRU where the folder holds one: both can be measured under every condition."""
    if read_header(resolve(checkpoint) / HEADER).get("kind") == KIND:
        return BaselinePolicy.load(checkpoint, temperature=temperature)
    return Agent.load(
        checkpoint,
        temperature=temperature,
        condition_on_actions=condition_on_actions,
        num_candidates=0,
    )


class _EnvSlot:
    """One episode in progress; a decision can be executed `latency_steps` after its observation."""

    def __init__(
        self,
        spec: EpisodeSpec,
        policy: Policy,
        game: str,
        latency_steps: int = 0,
        env: Env | None = None,
    ) -> None:
        self.spec = spec
        self.latency_steps = latency_steps
        self.decisions: deque[tuple[int, list[Action]]] = deque(maxlen=2)
        """The last two: the step of the observation, the action for that step and those planned for the next."""
        self.executed: Action | None = None
        """Action executed at the last observed step; None where it is the decision's."""
        self.env = make(game) if env is None else env
        self.observation: Observation
        options = options_of(spec, load(game))
        self.observation, _ = self.env.reset(seed=spec.seed, options=options)
        self.swapped_env: Env | None = None
        """The same world, judged by the task of the swapped instruction."""
        self.swapped_judge: Callable[[], bool] | None = None
        """The same judgement of `env` itself, where the game has it."""
        is_swapped = spec.condition == "agent_swapped" and not load(game).has_missions
        if is_swapped and (other_judge := load(game).other_judge) is not None:
            self.swapped_judge = other_judge(self.env, options["instruction"])
        elif is_swapped:
            task, _ = swapped_instruction(spec, load(game))
            self.swapped_env = make(game)
            self.swapped_env.reset(seed=spec.seed, options={**options, "task": task})
        self.player = policy.attach(self.env.game, seed=spec.seed)
        self.steps = 0
        self.reward = 0.0
        self.outcome: Outcome | None = None

    def request(self) -> PolicyRequest:
        frame, instruction = self.observation["frame"], self.observation["instruction"]
        return PolicyRequest(self.player, frame, instruction, executed=self.executed)

    def is_query_step(self) -> bool:
        """Whether the policy observes this step's frame."""
        return self.steps % (self.latency_steps or 1) == 0

    def on_decision(self, decision: Decision) -> None:
        """Keep the decision on the newest frame."""
        planned = [planned.action for planned in decision.later]
        self.decisions.append((self.steps, [decision.action, *planned]))

    def current_action(self) -> Action:
        """This step's action of the newest decision past its latency, its last planned one where it has too few."""
        for step, actions in reversed(self.decisions):
            if (age := self.steps - step) >= self.latency_steps:
                return actions[min(age, len(actions) - 1)]
        return self.env.game.null_action()

    def step(self, action: Action) -> None:
        if self.latency_steps and self.is_query_step():
            self.executed = action
        self.observation, reward, terminated, truncated, info = self.env.step(action)
        self.steps += 1
        self.reward += reward
        if terminated or truncated or self._followed_swapped(action):
            self.outcome = Outcome(self.spec, bool(info["success"]), self.steps, self.reward)
            self.player.close()

    def _followed_swapped(self, action: Action) -> bool:
        """Whether the swapped instruction was carried out: what follows says nothing about following it."""
        if self.swapped_judge is not None:
            return self.swapped_judge()
        if self.swapped_env is None:
            return False
        _, _, terminated, truncated, info = self.swapped_env.step(action)
        if terminated or truncated:
            self.swapped_env.close()
            self.swapped_env = None
        return bool(info["success"])


def options_of(spec: EpisodeSpec, game: Game) -> dict[str, Any]:
    """Reset options: the task that judges, and the instruction that the player gets."""
    options: dict[str, Any] = {"task": spec.task}
    if spec.condition == "agent_no_instruction":
        options["instruction"] = ""
    if spec.condition == "agent_swapped":
        swapped = swapped_mission if game.has_missions else swapped_instruction
        _, options["instruction"] = swapped(spec, game)
    return options


def swapped_mission(spec: EpisodeSpec, game: Game) -> tuple[str, str]:
    """The task, and the instruction of the next seed that has another one; raises `UnplayableError` for lack of one."""
    if game.make is None:
        raise UnplayableError(f"{game.spec.name} is not played here")
    env = game.make()
    try:
        missions = (
            env.reset(seed=spec.seed + k, options={"task": spec.task})[0]["instruction"]
            for k in range(MISSION_TRIES)
        )
        first = next(missions)
        return spec.task, next(mission for mission in missions if mission != first)
    except StopIteration:
        raise UnplayableError(
            f"{MISSION_TRIES} seeds of {game.spec.name} have one mission; leave agent_swapped out, or Game.has_missions"
        ) from None
    finally:
        env.close()


def swapped_instruction(spec: EpisodeSpec, game: Game) -> tuple[str, str]:
    """Another task than the one judged, and an instruction for it."""
    rng = np.random.default_rng([spec.seed, 5])
    others = [task for task in game.exclusive_instructions if task != spec.task]
    task = others[int(rng.integers(len(others)))]
    instructions = game.exclusive_instructions[task]
    return task, instructions[int(rng.integers(len(instructions)))]


def _play_expert(spec: EpisodeSpec, name: str) -> Outcome:
    game, env = load(name), make(name)
    env.reset(seed=spec.seed, options=options_of(spec, game))
    expert, steps, total = game.expert()(env), 0, 0.0
    while True:
        action, _ = expert()
        _, reward, terminated, truncated, info = env.step(action)
        steps, total = steps + 1, total + reward
        if terminated or truncated:
            env.close()
            return Outcome(spec, bool(info["success"]), steps, total)


def _jobs(specs: list[EpisodeSpec]) -> list[list[EpisodeSpec]]:
    """Groups of one condition and task, at most `ENVS_PER_PROCESS` each."""
    groups: dict[tuple[str, str], list[EpisodeSpec]] = {}
    for spec in specs:
        groups.setdefault((spec.condition, spec.task), []).append(spec)
    return [
        group[i : i + ENVS_PER_PROCESS]
        for group in groups.values()
        for i in range(0, len(group), ENVS_PER_PROCESS)
    ]
