"""Closed-loop evaluation on the embedded Minecraft server: in real time, from pixels, over the wire that play uses.

The conditions are those of `closed_loop`, and meet the same worlds. A player's process plays a condition's episodes one
after the other; the server's state judges them. Where the process fails in mid-play (a browser that crashes), the
episode is played once more by a new one, and counts as failed where that fails too.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from agent_core.evaluation.closed_loop import Outcome, load_policy
from agent_core.evaluation.plan import CONDITIONS, HELD_OUT, EpisodeSpec
from agent_core.evaluation.tally import play_warning, step_limits, tally
from bridges.minecraft.packages import Requirements
from bridges.minecraft.process import Event, MinecraftError, PlayerOptions, PlayerProcess, World
from bridges.minecraft.tasks import TASKS
from bridges.policy import Policy
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from games import GameSpec, UnplayableError, did_you_mean

EPISODES = 20 * len(TASKS)
SEEDS_PER_TASK = 10_000
Words = Literal["own", "none", "swapped"]
WORDS: dict[str, Words] = {"agent_no_instruction": "none", "agent_swapped": "swapped"}
Report = dict[str, Any]


@dataclass(frozen=True)
class LiveEvaluation:
    """What to measure; `episodes` are spread evenly over the tasks, for every condition."""

    checkpoint: Path
    spec: GameSpec
    """The game with the size of its pictures."""
    episodes: int = EPISODES
    tasks: tuple[str, ...] = TASKS
    conditions: tuple[str, ...] = CONDITIONS
    first_seed: int = HELD_OUT
    temperature: float = 1.0
    condition_on_actions: bool = False

    def check(self) -> None:
        """Raise `UnplayableError` for a task or a condition that there is not."""
        for what, names, known in (
            ("task", self.tasks, TASKS),
            ("condition", self.conditions, CONDITIONS),
        ):
            for name in names:
                if name not in known:
                    hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
                    raise UnplayableError(f"no {what} called {name!r}{hint}")

    @property
    def worlds(self) -> list[tuple[str, int]]:
        """Task and seed of each episode of a condition."""
        each = math.ceil(self.episodes / len(self.tasks))
        first = {task: self.first_seed + SEEDS_PER_TASK * TASKS.index(task) for task in self.tasks}
        return [(task, first[task] + n) for task in self.tasks for n in range(each)]

    @property
    def played(self) -> list[str]:
        """The conditions, and at last the scripted player, whose steps measure the others' play."""
        return list(dict.fromkeys((*self.conditions, "expert")))


@dataclass
class ConditionPlay:
    """How a condition's episodes went, apart from their outcomes."""

    condition: str
    steps: int = 0
    seconds: float = 0.0
    answered: int = 0
    """Steps at which the policy's answer to their own picture came in time; else it still did what it did before."""
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rates(self) -> dict[str, float | None]:
        """How near play came to real time: steps a second, and the share of steps that were answered in time."""
        is_policy = self.condition != "expert"
        return {
            "steps_per_s": round(self.steps / self.seconds, 1) if self.seconds else None,
            "answered": round(self.answered / self.steps, 3) if self.steps and is_policy else None,
        }


def evaluate_live(
    plan: LiveEvaluation, needed: Requirements, on_progress: Callable[[int, int], None]
) -> Report:
    """Measure a checkpoint: `{"game", "tasks", "warnings", "failures", "real_time"}`, tasks as in `report.evaluate`.

    Ctrl-C ends it early: the report is of what was played until then, and `interrupted`. So does a process that cannot
    even begin an episode, twice in a row (`stopped` says why); where nothing was played this raises `MinecraftError`.
    `failures` names every episode in which the player's process failed. Raises `UnplayableError`, `CheckpointError`.
    """
    plan.check()
    total = len(plan.worlds) * len(plan.played)
    outcomes: list[Outcome] = []
    plays = [ConditionPlay(condition) for condition in plan.played]
    agent = _agent(plan)
    interrupted, stopped = False, None
    try:
        for play in plays:
            for outcome in _play_condition(plan, play, needed, agent):
                outcomes.append(outcome)
                on_progress(len(outcomes), total)
    except KeyboardInterrupt:
        interrupted = True
    except MinecraftError as error:
        if not outcomes:
            raise
        stopped = str(error)
    limits = step_limits(outcomes)
    asked = [outcome for outcome in outcomes if outcome.spec.condition in plan.conditions]
    by_task = tally(asked, limits)
    warning = play_warning(asked, limits)
    return {
        "game": plan.spec.id,
        "interrupted": interrupted,
        "stopped": stopped,
        "tasks": {task: by_task[task] for task in plan.tasks if task in by_task},
        "warnings": [warning] if warning else [],
        "failures": [failure for play in plays for failure in play.failures],
        "real_time": {play.condition: play.rates for play in plays},
    }


def _agent(plan: LiveEvaluation) -> Policy | None:
    """The checkpoint's policy, one for all conditions that it plays; None where there are none."""
    if not any(condition.startswith("agent") for condition in plan.conditions):
        return None
    return load_policy(plan.checkpoint, plan.temperature, plan.condition_on_actions)


def _play_condition(
    plan: LiveEvaluation, play: ConditionPlay, needed: Requirements, agent: Policy | None
) -> Iterator[Outcome]:
    """Play a condition's episodes, each with its outcome as soon as it has ended."""
    specs = [EpisodeSpec(task, play.condition, seed) for task, seed in plan.worlds]
    with ExitStack() as stack:
        url = None
        if play.condition != "expert":
            policy = RandomPolicy() if play.condition == "random" else agent
            assert policy is not None
            url = stack.enter_context(background_server(policy)).url
        yield from _play_all(specs, url, plan.spec, needed, play)


def _play_all(
    specs: Sequence[EpisodeSpec],
    url: str | None,
    spec: GameSpec,
    needed: Requirements,
    play: ConditionPlay,
) -> Iterator[Outcome]:
    """Play episodes of one condition, with a new process after each one that fails."""
    waiting, tries, in_vain = deque(specs), Counter[EpisodeSpec](), 0
    while waiting:
        begun = 0
        try:
            with PlayerProcess(_options(waiting, url, spec, play.condition), needed) as player:
                for event in player.events():
                    begun += event["event"] == "begins"
                    if event["event"] == "episode":
                        yield _outcome(waiting.popleft(), event, play)
        except MinecraftError as error:
            in_vain = 0 if begun else in_vain + 1
            if in_vain > 1:
                raise
            episode = waiting[0]
            tries[episode] += bool(begun)
            gives_up = tries[episode] > 1
            again = "counted as failed" if gives_up else "played again"
            play.failures.append({**asdict(episode), "why": str(error), "what": again})
            if gives_up:
                yield Outcome(waiting.popleft(), False, 0)


def _options(
    specs: Sequence[EpisodeSpec], url: str | None, spec: GameSpec, condition: str
) -> PlayerOptions:
    words = WORDS.get(condition, "own")
    worlds = tuple(World(each.task, each.seed, words) for each in specs)
    if url is None:
        return PlayerOptions(spec, role="none", player="scripted", worlds=worlds)
    return PlayerOptions(spec, url=url, worlds=worlds)


def _outcome(spec: EpisodeSpec, event: Event, play: ConditionPlay) -> Outcome:
    play.steps += event["steps"]
    play.seconds += event["seconds"]
    play.answered += event["answered"]
    return Outcome(spec, bool(event["success"]), event["steps"], float(event["success"]))


def real_time_table(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """How near play came to 20 steps a second: the head and a row a condition."""
    rows = [
        (name, *("–" if value is None else f"{value:g}" for value in rates.values()))
        for name, rates in report["real_time"].items()
    ]
    return ("condition", "steps a second", "share answered in time"), rows
