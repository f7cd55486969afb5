"""Closed-loop evaluation: whole episodes in held-out worlds, judged by the game's state.

Conditions: the agent with its instruction; without one; with the instruction of another task (where the game says which
tasks exclude each other; the episode ends when that one is done) or of another seed (where every seed has a mission);
the plain CNN+GRU where there is one; the scripted expert; random play. All of them meet the same worlds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agent_core.agent import Agent
from agent_core.baseline.network import KIND
from agent_core.baseline.policy import BaselinePolicy
from agent_core.evaluation.game_failures import (
    FAILURES,
    GameFailures,
    LostGameError,
    close_failed,
)
from agent_core.evaluation.plan import BASELINE, EXPERT, EpisodeSpec
from agent_core.process_pool import run_jobs
from agent_core.weights.checkpoint import HEADER, read_header, resolve
from bridges.policy import Decision, Policy, PolicyRequest, PolicySession
from bridges.serving.random_policy import RandomPolicy
from games import Action, Env, Expert, Game, Observation, UnplayableError
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
    failures: tuple[str, ...] = ()
    """Why its game failed, each time; after `TRIES` times in mid-play the outcome is a failure of 0 steps."""


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

    Raises `UnplayableError` before anything is played where a task has no other instruction to be swapped for,
    `LostGameError` where the game fails for good, `WorkerLostError` where processes are killed again and again, and
    `KeyboardInterrupt` at Ctrl-C; `on_outcome` got what had ended before.
    """
    specs = list(specs)
    for spec in {s.task: s for s in specs if s.condition == "agent_swapped"}.values():
        options_of(spec, load(setup.game))
    workers = min(workers, load(setup.game).max_envs or workers)
    outcomes: list[Outcome] = []
    lost: list[LostGameError] = []

    def take(item: Outcome | LostGameError) -> None:
        if isinstance(item, LostGameError):
            lost.append(item)
            if len(lost) == 1:  # further ones come from workers that end with it
                raise item
            return
        outcomes.append(item)
        if on_outcome:
            on_outcome(item)

    run_jobs(_play_job, [(job, setup) for job in _jobs(specs)], workers, take)
    if len(outcomes) < len(specs):
        raise KeyboardInterrupt  # a worker alone was interrupted
    return outcomes


def _play_job(specs: list[EpisodeSpec], setup: Setup) -> list[Outcome | LostGameError]:
    """`play_episodes` in a worker: what has ended until Ctrl-C, or until the game was lost, which is the last item."""
    items: list[Outcome | LostGameError] = []
    try:
        items.extend(play_episodes(specs, setup))
    except LostGameError as error:
        items.append(error)
    except KeyboardInterrupt:
        pass
    return items


def play_episodes(specs: Sequence[EpisodeSpec], setup: Setup) -> Iterator[Outcome]:
    """Play episodes of one condition side by side in this process, one batched pass per step; each as it ends.

    An episode whose game fails in mid-play is played again from its beginning, by a new environment, and then counts
    as failed. Raises `LostGameError` where the game fails before an episode has begun, `TRIES` times in a row.
    """
    condition, failures = specs[0].condition, GameFailures()
    policy = None if condition == EXPERT else _policy(condition, setup)
    latency = 0 if condition in (EXPERT, "random") else setup.action_latency_steps
    waiting, slots, idle = deque(specs), list[_EnvSlot](), list[Env]()
    limit = load(setup.game).max_envs or ENVS_PER_PROCESS
    try:
        while waiting or slots:
            while waiting and len(slots) < limit:
                env = idle.pop() if idle else None
                try:
                    slots.append(_EnvSlot(waiting[0], policy, setup.game, latency, env))
                except FAILURES as error:
                    failures.add_in_vain(waiting[0], error)
                else:
                    failures.has_begun(waiting.popleft())
            _step(slots, policy)
            lost = [slot for slot in slots if slot.lost is not None]
            ended = [slot for slot in slots if slot.outcome is not None]
            slots = [slot for slot in slots if slot.outcome is None and slot.lost is None]
            idle += [slot.env for slot in ended]
            yield from (
                replace(slot.outcome, failures=failures.of(slot.spec))
                for slot in ended
                if slot.outcome is not None
            )
            for slot in lost:
                close_failed(slot.env)
                assert slot.lost is not None
                if failures.add(slot.spec, slot.lost):
                    waiting.appendleft(slot.spec)
                else:
                    yield Outcome(slot.spec, False, 0, failures=failures.of(slot.spec))
    finally:
        for env in (*idle, *(slot.env for slot in slots)):
            close_failed(env)


def _step(slots: Sequence[_EnvSlot], policy: Policy | None) -> None:
    """One step of every episode, the policy's decisions in one batch."""
    if policy is not None:
        queried = [slot for slot in slots if slot.is_query_step()]
        decisions = policy.act([slot.request() for slot in queried])
        for slot, decision in zip(queried, decisions, strict=True):
            slot.on_decision(decision)
    for slot in slots:
        try:
            slot.step(slot.current_action())
        except FAILURES as error:
            slot.on_failure(error)


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
    """One episode in progress; a decision can be executed `latency_steps` after its observation.

    Without a policy the expert plays. Raises what the environment does, which is closed then.
    """

    def __init__(
        self,
        spec: EpisodeSpec,
        policy: Policy | None,
        game: str,
        latency_steps: int = 0,
        env: Env | None = None,
    ) -> None:
        self.spec, self.game = spec, game
        self.latency_steps = latency_steps
        self.decisions: deque[tuple[int, list[Action]]] = deque(maxlen=2)
        """The last two: the step of the observation, the action for that step and those planned for the next."""
        self.executed: Action | None = None
        """Action executed at the last observed step; None where it is the decision's."""
        self.env = make(game) if env is None else env
        self.observation: Observation
        self.swapped_env: Env | None = None
        """The same world, judged by the task of the swapped instruction."""
        self.swapped_judge: Callable[[], bool] | None = None
        """The same judgement of `env` itself, where the game has it."""
        self.expert: Expert | None = None
        self.player: PolicySession | None = None
        self.steps = 0
        self.reward = 0.0
        self.outcome: Outcome | None = None
        self.lost: Exception | None = None
        """What the environment raised in mid-play."""
        try:
            self._begin(policy, load(game))
        except BaseException:
            self.on_failure(None)
            close_failed(self.env)
            raise

    def _begin(self, policy: Policy | None, game: Game) -> None:
        options = options_of(self.spec, game)
        self.observation, _ = self.env.reset(seed=self.spec.seed, options=options)
        is_swapped = self.spec.condition == "agent_swapped" and not game.has_missions
        if is_swapped and game.other_judge is not None:
            self.swapped_judge = game.other_judge(self.env, options["instruction"])
        elif is_swapped:
            task, _ = swapped_instruction(self.spec, game)
            self.swapped_env = make(self.game)
            self.swapped_env.reset(seed=self.spec.seed, options={**options, "task": task})
        if policy is None:
            self.expert = game.expert()(self.env)
        else:
            self.player = policy.attach(self.env.game, seed=self.spec.seed)

    def request(self) -> PolicyRequest:
        assert self.player is not None
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
        """This step's action: the expert's, or that of the newest decision past its latency.

        Of its planned ones it is the last where they are too few.
        """
        if self.expert is not None:
            return self.expert()[0]
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
            self._close()

    def on_failure(self, error: Exception | None) -> None:
        """The episode ends without an outcome."""
        self.lost = error
        self._close()

    def _close(self) -> None:
        """Close what belongs to this episode alone."""
        if self.player is not None:
            self.player.close()
        if self.swapped_env is not None:
            close_failed(self.swapped_env)
            self.swapped_env = None

    def _followed_swapped(self, action: Action) -> bool:
        """Whether the swapped instruction was carried out: what follows says nothing about following it."""
        if self.swapped_judge is not None:
            return self.swapped_judge()
        if self.swapped_env is None:
            return False
        _, _, terminated, truncated, info = self.swapped_env.step(action)
        if terminated or truncated:
            close_failed(self.swapped_env)
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
