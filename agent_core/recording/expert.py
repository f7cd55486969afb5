"""Expert recording: episodes of a scripted expert, with noise injection or in rollouts of a checkpoint.

While noise is injected the game executes a random action, but the recorded label stays the expert's: the model learns
to recover (DART, Laskey et al. 2017). With a checkpoint as behaviour policy the agent plays and the expert labels
(DAgger, Ross et al. 2011).
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agent_core.config import ModelConfig
from agent_core.process_pool import WorkCounter, count_work, pool
from agent_core.tokens.instruction_room import sure_cut_warning
from bridges.policy import Policy, PolicyRequest
from bridges.serving.random_policy import random_action
from games import Action, Button, Camera, Control, Env, Expert, Game, GameSpec, Observation
from games.registry import load, make
from recorder import CaptureError, CaptureInfo, CaptureWriter, open_episodes
from recorder.capture.staging import delete_abandoned, staged
from recorder.capture.writer import DISK_NEEDED
from recorder.format.manifest import MANIFEST

logger = logging.getLogger("iafm.record")
PROGRESS_EVERY_S = 1.0
SEED_LIMIT = 1_000_000
"""Recording uses seeds below this; evaluation's held-out worlds start at 1,000,000,000."""
IDLE_SHARE = 0.04
"""Share of episodes without an instruction, in which the expert does nothing."""
IDLE_STEPS = 60


@dataclass(frozen=True)
class RecordingPlan:
    """What to record: `noise_prob` is the probability per step that a random action of 3 to 10 steps begins.

    With `agent` no noise is injected: the agent makes mistakes of its own.
    """

    out: Path
    episodes: int
    first_seed: int = 0
    noise_prob: float = 0.02
    tasks: tuple[str, ...] = ()
    """All of the game's where none is named."""
    agent: Path | None = None
    """A checkpoint that plays while the expert only labels."""
    max_steps: int = 300
    """Steps after which the agent's episodes are truncated."""
    game: str = "voxel"
    """A game with an expert, by a name that `games.registry.load` knows."""


@dataclass(frozen=True)
class Recorded:
    """One episode."""

    seed: int
    task: str
    steps: int
    success: bool
    instruction: str = ""
    error: str = ""
    """What the expert or the game raised, and where; such an episode is not kept."""


class Behaviour(Protocol):
    """Decides what is executed in place of the expert's action."""

    actor: str
    """Who acts then, as the episode names it."""

    def action(self, observation: Observation) -> Action | None:
        """The action to execute; None: the expert's own."""

    def close(self) -> None:
        """The episode has ended."""


def record_expert(
    plan: RecordingPlan, workers: int, progress: Callable[[int, int], object] | None = None
) -> list[Recorded]:
    """Record the plan's seeds that `plan.out` does not hold yet; finished episodes stay on Ctrl-C, others are deleted.

    `progress(episodes, steps)` is called every second, as one episode may take an hour: those finished, and all steps.
    Episodes in which the expert or the game raised are among the results, with their `error`. Raises `DiskFullError`
    where the disk is nearly full, `CaptureError` for seeds kept for evaluation and where a worker process dies,
    `UnplayableError` where the game lacks what is needed.
    """
    if plan.first_seed + plan.episodes > SEED_LIMIT:
        raise CaptureError(f"seeds from {SEED_LIMIT} on are kept for evaluation; use smaller ones")
    game = load(plan.game)
    game.select_tasks(plan.tasks)
    game.expert()
    make(plan.game).close()
    delete_abandoned(plan.out)
    recorded = recorded_seeds(plan.out, game.spec)
    seeds = range(plan.first_seed, plan.first_seed + plan.episodes)
    missing = [seed for seed in seeds if seed not in recorded]
    results: list[Recorded] = []
    steps = WorkCounter()
    processes = pool(workers, steps)
    try:
        pending: set[Future[Recorded]] = {processes.submit(record_one, plan, s) for s in missing}
        while pending:
            done, pending = wait(pending, PROGRESS_EVERY_S, FIRST_COMPLETED)
            results += (future.result() for future in done)
            if progress:
                progress(len(results), steps.value)
    except BrokenProcessPool:
        raise CaptureError(
            "a worker process died (out of memory?); finished episodes are kept, run again to go on"
        ) from None
    finally:
        processes.shutdown(wait=True, cancel_futures=True)
    _warn_of_cuts({result.instruction for result in results})
    return results


def _warn_of_cuts(instructions: set[str]) -> None:
    """By the default room: the model that will read them is not known yet."""
    for text in sorted(instructions):
        if line := sure_cut_warning(text, ModelConfig().max_text_tokens):
            logger.warning(line)


def record_one(plan: RecordingPlan, seed: int, policy: Policy | None = None) -> Recorded:
    """Play and record one seed; `policy` plays in place of the checkpoint `plan.agent`.

    What the expert or the game raises is returned as the result's `error`.
    """
    rng = np.random.default_rng([seed, 77])
    game, env = load(plan.game), make(plan.game)
    if policy is None and plan.agent is not None:
        policy = _agent(plan.agent)
    is_idle = rng.random() < IDLE_SHARE and policy is None and game.free_task is not None
    tasks = (str(game.free_task),) if is_idle else game.select_tasks(plan.tasks)
    task = tasks[int(rng.integers(len(tasks)))]
    behaviour: Behaviour = (
        NoiseInjector(game.spec, rng, plan.noise_prob)
        if policy is None
        else _AgentDriver(policy, game.spec, seed)
    )
    max_steps = IDLE_STEPS if is_idle else plan.max_steps if policy else sys.maxsize
    actor = "expert" if policy is None else "agent"
    try:
        return _record(plan.out, game, env, seed, task, behaviour, max_steps, actor, is_idle)
    except _EpisodeFailedError as error:
        return Recorded(seed, task, 0, False, error=str(error))
    finally:
        behaviour.close()
        with suppress(Exception):  # a game that failed may fail again
            env.close()


def _record(
    out: Path,
    game: Game,
    env: Env,
    seed: int,
    task: str,
    behaviour: Behaviour,
    max_steps: int,
    actor: str,
    is_idle: bool,
) -> Recorded:
    """One episode into a capture, which is there once it is complete; an idle one succeeds whatever happens."""
    with _failing("reset()"):
        observation, info = env.reset(seed=seed, options={"task": task})
    instruction = observation["instruction"]
    with _failing("the expert"):
        expert = game.expert()(env)
    about = CaptureInfo(
        instruction=instruction, task=task, seed=seed, actor=actor, author="scripted",
        teacher="scripted" if actor == "agent" else "",
    )  # fmt: skip
    with staged(out, game.spec, about, disk_needed=DISK_NEEDED) as capture:
        info = _play(env, expert, behaviour, capture, observation, info, max_steps)
        success = bool(info["success"]) or is_idle
        capture.close(success=success)
    return Recorded(seed, task, capture.steps, success, instruction)


def _play(
    env: Env,
    expert: Expert,
    behaviour: Behaviour,
    capture: CaptureWriter,
    observation: Observation,
    info: dict[str, Any],
    max_steps: int,
) -> dict[str, Any]:
    """Play one episode to its end or for `max_steps`; returns the last step's info."""
    last_thought, has_ended = "", False
    while not has_ended and capture.steps < max_steps:
        with _failing("the expert"):
            label, thought = expert()
            env.game.normalize(label)  # raises where it is none of the game's actions
        chosen = behaviour.action(observation)
        executed = label if chosen is None else chosen
        if thought != last_thought:
            capture.text(style="thought", text=thought, source="teacher")
            last_thought = thought
        frame = observation["frame"]
        with _failing("step()"):
            observation, reward, terminated, truncated, info = env.step(executed)
        by = None if chosen is None else behaviour.actor
        capture.step(frame, label, executed=executed, reward=reward, by=by)
        count_work()
        has_ended = terminated or truncated
    return info


class _EpisodeFailedError(Exception):
    """The expert or the game raised."""


@contextmanager
def _failing(name: str) -> Iterator[None]:
    """Around code of a game: whatever it raises ends the episode, not the run."""
    try:
        yield
    except Exception as error:  # a game's code may raise anything
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise _EpisodeFailedError(
            f"{name} raised {type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
        ) from error


class _AgentDriver:
    """A policy's own actions (DAgger rollouts)."""

    actor = "agent"

    def __init__(self, policy: Policy, spec: GameSpec, seed: int) -> None:
        self._policy = policy
        self._player = policy.attach(spec, seed=seed)

    def action(self, observation: Observation) -> Action | None:
        request = PolicyRequest(self._player, observation["frame"], observation["instruction"])
        return self._policy.act([request])[0].action

    def close(self) -> None:
        """Free the episode's slot in the KV cache."""
        self._player.close()


@lru_cache(maxsize=1)
def _agent(checkpoint: Path) -> Policy:
    from agent_core.agent import Agent  # torch, which the expert alone does not need

    return Agent.load(checkpoint, threads=1, num_candidates=0)


class NoiseInjector:
    """Now and then a random action that lasts 3 to 10 steps."""

    actor = "noise"

    def __init__(self, spec: GameSpec, rng: np.random.Generator, noise_prob: float) -> None:
        self._spec = spec
        self._rng = rng
        self._noise_prob = noise_prob
        self._steps_left = 0
        self._noise: Action = {}

    def action(self, observation: Observation) -> Action | None:
        """The random action under way; None: the expert's own."""
        if self._steps_left == 0:
            if self._rng.random() >= self._noise_prob:
                return None
            self._steps_left = int(self._rng.integers(3, 11))
            self._noise = random_perturbation(self._spec, self._rng)
        self._steps_left -= 1
        return self._noise

    def close(self) -> None:
        """Nothing is held."""


def random_perturbation(spec: GameSpec, rng: np.random.Generator) -> Action:
    """A legal action: some buttons, often a camera movement that stays near the horizon."""
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
    quarter = len(control.pitch_bins) // 4
    pitches = control.pitch_bins[quarter : len(control.pitch_bins) - quarter]
    return (float(rng.choice(pitches)), float(rng.choice(control.yaw_bins)))


def recorded_seeds(folder: Path, spec: GameSpec) -> set[int | None]:
    """Seeds of the game's episodes in a folder; captures that cannot be read are named on the log."""
    try:
        episodes = open_episodes(folder)
    except CaptureError as error:
        if any(folder.glob(f"*/{MANIFEST}")):
            logger.warning("%s", error)
        return set()
    for capture in episodes.skipped:
        logger.warning("skipped %s: %s; its seed is recorded again", capture.source, capture.why)
    return {e.header.seed for e in episodes if e.spec.id == spec.id}


def success_rates(recorded: Sequence[Recorded]) -> dict[str, float]:
    """Share of successes by task, of the episodes that were kept."""
    kept = [r for r in recorded if not r.error]
    tasks = sorted({r.task for r in kept})
    return {t: float(np.mean([r.success for r in kept if r.task == t])) for t in tasks}
