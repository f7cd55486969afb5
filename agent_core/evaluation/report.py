"""How good is a checkpoint? Success in fresh worlds beside other players, and next-action figures."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from agent_core.agent import Agent
from agent_core.baseline.policy import BaselinePolicy
from agent_core.evaluation.closed_loop import (
    BASELINE,
    CONDITIONS,
    HELD_OUT,
    EpisodeSpec,
    Outcome,
    Setup,
    run_episodes,
)
from agent_core.evaluation.metrics import wilson_interval
from agent_core.evaluation.teacher_forced import next_action_report
from agent_core.recording.expert import RecordingPlan, record_one
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT
from bridges import Policy
from games import did_you_mean
from games.game import UnplayableError
from games.registry import load
from recorder import CaptureError, open_episodes

NEXT_ACTION_SEED = HELD_OUT + 500_000_000
"""First seed of the episodes recorded for the next-action figures."""

COLUMNS = ("agent", BASELINE, *CONDITIONS[1:])
"""The order in which a report shows conditions."""
TITLES = {BASELINE: "CNN+GRU"}

Report = dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """What to measure; `episodes` are spread evenly over the tasks, for every condition."""

    checkpoint: Path = DEFAULT_CHECKPOINT
    episodes: int = 200
    tasks: tuple[str, ...] = ()
    """All of the game's where none is named."""
    conditions: tuple[str, ...] = CONDITIONS
    first_seed: int = HELD_OUT
    workers: int = 2
    temperature: float = 1.0
    condition_on_actions: bool = False
    action_latency_steps: int = 0
    """Steps that pass in closed loop until an answer is there (`closed_loop.Setup`)."""
    next_action_episodes: int = 28
    data: Path | None = None
    """Recorded episodes for the next-action figures; fresh expert play in held-out worlds where None."""
    game: str = "voxel"
    baseline: Path | None = None
    """Folder of a CNN+GRU (`iafm train --baseline`) that is measured beside the checkpoint."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The conditions, with the baseline's where there is one."""
        further = () if self.baseline is None else (BASELINE,)
        return tuple(dict.fromkeys((*self.conditions, *further)))

    @property
    def episode_specs(self) -> list[EpisodeSpec]:
        """Every condition meets the same seeds; swapped and missing instructions are for tasks that exclude each other.

        Raises `UnplayableError` for a condition there is not, for a task that the game does not have, or where it has
        none or no expert, or where an answer takes less than no time.
        """
        if self.action_latency_steps < 0:
            raise UnplayableError(
                f"an answer takes 0 steps or more, not {self.action_latency_steps}"
            )
        known = CONDITIONS if self.baseline is None else COLUMNS
        for condition in self.columns:
            if condition not in known:
                hint = did_you_mean(condition, known)
                raise UnplayableError(f"no condition called {condition!r}{hint}")
        game = load(self.game)
        tasks = game.select_tasks(self.tasks)
        if not tasks:
            raise UnplayableError(f"{self.game} has no tasks to be judged by (Game.tasks)")
        if "expert" in self.conditions:
            game.teacher()
        each = math.ceil(self.episodes / len(tasks))
        needed = {"agent_no_instruction": 1, "agent_swapped": 2}  # tasks that exclude each other
        return [
            EpisodeSpec(task, condition, self.first_seed + 10_000 * i + n)
            for condition in self.columns
            for i, task in enumerate(tasks)
            for n in range(each)
            if len(game.exclusive_instructions) >= needed.get(condition, 0)
            and (task in game.exclusive_instructions or condition not in needed)
        ]


def evaluate(plan: Evaluation, on_progress: Callable[[int, int], None] | None = None) -> Report:
    """Measure a checkpoint: `{"game": ..., "tasks": {...}, "next_action": {...}}`."""
    trials = plan.episode_specs
    done: list[Outcome] = []

    def count(outcome: Outcome) -> None:
        done.append(outcome)
        if on_progress:
            on_progress(len(done), len(trials))

    setup = Setup(
        plan.checkpoint,
        plan.temperature,
        plan.condition_on_actions,
        plan.game,
        plan.baseline,
        plan.action_latency_steps,
    )
    outcomes = run_episodes(trials, setup, plan.workers, count)
    found = tally(outcomes)
    asked = dict.fromkeys(trial.task for trial in trials)
    report: Report = {"game": load(plan.game).spec.id, "tasks": {t: found[t] for t in asked}}
    if plan.next_action_episodes:
        report["next_action"] = _next_action(plan)
    return report


def tally(outcomes: Sequence[Outcome]) -> dict[str, dict[str, dict[str, float]]]:
    """Success by task and condition with Wilson's 95 % interval, and the mean reward of an episode."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.trial.task, outcome.trial.condition), []).append(outcome)
    tasks: dict[str, dict[str, dict[str, float]]] = {}
    for (task, condition), group in sorted(groups.items()):
        successes = sum(outcome.success for outcome in group)
        low, high = wilson_interval(successes, len(group))
        tasks.setdefault(task, {})[condition] = {
            "success": round(successes / len(group), 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "episodes": len(group),
            "reward": round(sum(outcome.reward for outcome in group) / len(group), 4),
            "steps": round(sum(outcome.steps for outcome in group) / len(group), 1),
        }
    return tasks


def _next_action(plan: Evaluation) -> dict[str, dict[str, float | None]]:
    agent = Agent.load(
        plan.checkpoint,
        temperature=0.0,
        num_candidates=0,
        condition_on_actions=plan.condition_on_actions,
    )
    policies: dict[str, Policy] = {"model": agent}
    if plan.baseline is not None:
        policies[BASELINE] = BaselinePolicy.load(plan.baseline, temperature=0.0)
    if plan.data is not None:
        return next_action_report(open_episodes(plan.data)[: plan.next_action_episodes], policies)
    with tempfile.TemporaryDirectory() as folder:
        recording = RecordingPlan(
            Path(folder), plan.next_action_episodes, noise_prob=0.0, game=plan.game
        )
        for n in range(plan.next_action_episodes):
            recorded = record_one(recording, NEXT_ACTION_SEED + n)
            if recorded.error:
                raise CaptureError(f"seed {recorded.seed}, task {recorded.task}: {recorded.error}")
        return next_action_report(open_episodes(folder), policies)


def table(report: Report) -> Table:
    """Success rates as a table: tasks down, conditions across."""
    found = [c for c in COLUMNS if any(c in row for row in report["tasks"].values())]
    grid = Table(
        "task", *(TITLES.get(c, c) for c in found), title="success in held-out worlds (Wilson 95 %)"
    )
    for task, row in report["tasks"].items():
        cells = [
            f"{row[c]['success']:.0%}  [{row[c]['low']:.0%}–{row[c]['high']:.0%}] n={row[c]['episodes']:.0f}"
            if c in row
            else "–"
            for c in found
        ]
        grid.add_row(task, *cells)
    return grid


def plot(report: Report, path: Path) -> None:
    """A bar chart of the success rates with their intervals."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    tasks = list(report["tasks"])
    found = [c for c in COLUMNS if any(c in report["tasks"][t] for t in tasks)]
    figure, axis = plt.subplots(figsize=(11, 4), layout="constrained")
    for i, condition in enumerate(found):
        rows = [
            (n, report["tasks"][t][condition])
            for n, t in enumerate(tasks)
            if condition in report["tasks"][t]
        ]
        places = [n + (i - len(found) / 2 + 0.5) * 0.8 / len(found) for n, _ in rows]
        heights = [row["success"] for _, row in rows]
        below = [max(0.0, row["success"] - row["low"]) for _, row in rows]
        above = [max(0.0, row["high"] - row["success"]) for _, row in rows]
        title = TITLES.get(condition, condition)
        axis.bar(places, heights, 0.8 / len(found), yerr=[below, above], label=title, capsize=2)
    axis.set_xticks(range(len(tasks)), tasks)
    axis.set(ylabel="success", ylim=(0, 1.05))
    axis.legend(ncols=len(found), fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.12))
    figure.savefig(path, dpi=120)
    plt.close(figure)
