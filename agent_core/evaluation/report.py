"""Evaluation report: success in held-out worlds beside other players, and next-action metrics."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from agent_core.baseline.policy import BaselinePolicy
from agent_core.errors import WorkerLostError
from agent_core.evaluation.closed_loop import Outcome, Setup, load_policy, run_episodes
from agent_core.evaluation.game_failures import LostGameError
from agent_core.evaluation.plan import AGENT, BASELINE, COLUMNS, EXPERT, HELD_OUT, Evaluation
from agent_core.evaluation.tally import Limits, play_warning, step_limits, tally
from agent_core.evaluation.teacher_forced import next_action_report
from agent_core.evaluation.team import MatchOutcome, run_matches, tally_matches
from agent_core.recording.expert import RecordingPlan, record_one
from agent_core.training.grounding import grounding_warning
from agent_core.weights.checkpoint import has_shipped, shipped_checkpoint
from bridges.policy import Policy
from games.registry import load
from recorder import CaptureError, Skipped, open_episodes, open_readable

NEXT_ACTION_SEED = HELD_OUT + 500_000_000
"""First seed of the episodes recorded for the next-action figures."""

TITLES = {BASELINE: "CNN+GRU"}

Report = dict[str, Any]


def evaluate(plan: Evaluation, on_progress: Callable[[int, int], None] | None = None) -> Report:
    """Measure a checkpoint: `{"game": ..., "tasks": {...}, "next_action": {...}, "skipped": [...], "warnings": [...]}`.

    With `plan.matches` also `"team"`, the agents' wins by grade of bots, and `"rivals"`, those of other teams.

    `skipped` names recorded episodes that cannot be read, `warnings` what the figures do not say by themselves,
    `failures` every episode whose game failed in mid-play (`closed_loop.play_episodes`). `interrupted` by Ctrl-C, or
    `stopped` because the game is lost, the report is of the episodes that had ended.

    `on_progress` gets episodes done and episodes in all. Raises as `Evaluation.check` does, before anything is loaded,
    `CheckpointError` where the checkpoint cannot be read, and `LostGameError` where no episode can be played.
    """
    plan.check()
    specs, done = plan.episode_specs, count()
    total = len(specs) + len(plan.reference_specs)
    total += len(plan.match_specs) + plan.next_action_episodes

    def advance(_: object = None) -> None:
        if on_progress:
            on_progress(next(done) + 1, total)

    played = _play(plan, advance)
    outcomes = [outcome for outcome in played.outcomes if outcome.spec.condition in plan.columns]
    limits = step_limits(played.outcomes)
    by_task = tally(outcomes, limits)
    tasks = dict.fromkeys(spec.task for spec in specs)
    report: Report = {
        "game": load(plan.game).spec.id,
        "interrupted": played.interrupted,
        "stopped": played.stopped,
        "tasks": {task: by_task[task] for task in tasks if task in by_task},
        "failures": [row for outcome in played.outcomes for row in _failures(outcome)],
        "warnings": _warnings(plan, outcomes, limits),
    }
    if played.matches:
        report["rivals"] = tally_matches(played.matches)
        report["team"] = report["rivals"].pop(AGENT, {})
    if played.next_action is not None:
        report["next_action"] = played.next_action
        report["skipped"] = [asdict(each) for each in played.skipped]
        report["warnings"] += next_action_warnings(report["next_action"])
    return report


@dataclass
class _Played:
    """What was played and scored, to the end or until it was stopped."""

    outcomes: list[Outcome] = field(default_factory=list)
    matches: list[MatchOutcome] = field(default_factory=list)
    next_action: dict[str, dict[str, float | None]] | None = None
    skipped: list[Skipped] = field(default_factory=list)
    interrupted: bool = False
    """By Ctrl-C."""
    stopped: str | None = None
    """Why the game, or the processes that play it, could not go on."""


def _play(plan: Evaluation, advance: Callable[..., None]) -> _Played:
    """Play and score; raises `LostGameError` and `WorkerLostError` only where no episode was played."""
    played = _Played()

    def take(outcome: Outcome) -> None:
        played.outcomes.append(outcome)
        advance()

    def take_match(outcome: MatchOutcome) -> None:
        played.matches.append(outcome)
        advance()

    setup = _setup(plan)
    try:
        run_episodes([*plan.episode_specs, *plan.reference_specs], setup, plan.workers, take)
        if plan.matches:
            run_matches(plan.match_specs, setup, plan.words, plan.workers, take_match)
        if plan.next_action_episodes:
            played.next_action = _next_action(plan, advance, played.skipped.append)
    except KeyboardInterrupt:
        played.interrupted = True
    except (LostGameError, WorkerLostError) as error:
        if not played.outcomes and not played.matches:
            raise
        played.stopped = str(error)
    return played


def _failures(outcome: Outcome) -> list[dict[str, Any]]:
    """A row for each time that the game failed in an episode."""
    last = "played again" if outcome.steps else "counted as failed"
    what = ["played again"] * (len(outcome.failures) - 1) + [last]
    return [
        {**asdict(outcome.spec), "why": why, "what": each}
        for why, each in zip(outcome.failures, what, strict=False)
    ]


def _setup(plan: Evaluation) -> Setup:
    return Setup(
        _checkpoint(plan),
        plan.temperature,
        plan.condition_on_actions,
        plan.game,
        plan.baseline,
        plan.action_latency_steps,
    )


def _checkpoint(plan: Evaluation) -> Path:
    return plan.checkpoint or shipped_checkpoint(load(plan.game).spec.name)


def _warnings(plan: Evaluation, outcomes: Sequence[Outcome], limits: Limits) -> list[str]:
    """That another game's checkpoint plays, that no expert measures, that words make no difference in closed loop."""
    lines = []
    is_measured = any(column.startswith(AGENT) for column in plan.columns)
    is_measured |= bool(plan.matches or plan.next_action_episodes)
    if plan.checkpoint is None and is_measured and not has_shipped(load(plan.game).spec.name):
        lines.append(
            f"no checkpoint of {plan.game} comes with the package: {_checkpoint(plan).name} was measured; "
            "name another one with --checkpoint"
        )
    if load(plan.game).make_expert is None:
        lines.append(f"{plan.game} has no scripted expert: success within 3 x its steps is unknown")
    return lines + [line for line in (play_warning(outcomes, limits),) if line]


def next_action_warnings(by_policy: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """Warnings of policies whose next actions are as right with other words."""
    lines = []
    for name, figures in by_policy.items():
        own, swapped = figures["exact"], figures.get("exact_swapped")
        low, high = figures.get("grounding_low"), figures.get("grounding_high")
        if own is None or swapped is None or low is None or high is None:
            continue
        what = f"of next actions of {TITLES.get(name, name)} the exact match is"
        lines.append(grounding_warning(what, own, swapped, (low, high), figures["steps"] or 0))
    return [line for line in lines if line]


def _next_action(
    plan: Evaluation, on_episode: Callable[[], None], on_skip: Callable[[Skipped], None]
) -> dict[str, dict[str, float | None]]:
    model = load_policy(_checkpoint(plan), 0.0, plan.condition_on_actions)
    policies: dict[str, Policy] = {"model": model}
    if plan.baseline is not None:
        policies[BASELINE] = BaselinePolicy.load(plan.baseline, temperature=0.0)
    if plan.data is not None:
        episodes = open_readable(plan.data)
        for each in episodes.skipped:
            on_skip(each)
        chosen = episodes[: plan.next_action_episodes]
        return next_action_report(chosen, policies, on_episode, on_skip)
    with tempfile.TemporaryDirectory() as folder:
        recording = RecordingPlan(
            Path(folder), plan.next_action_episodes, noise_prob=0.0, game=plan.game
        )
        for n in range(plan.next_action_episodes):
            recorded = record_one(recording, NEXT_ACTION_SEED + n)
            if recorded.error:
                raise CaptureError(f"seed {recorded.seed}, task {recorded.task}: {recorded.error}")
        return next_action_report(open_episodes(folder), policies, on_episode)


def success_table(
    report: Report, suffix: str = ""
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Success rates with Wilson's 95 % intervals: the head and a row a task, conditions across.

    With the suffix `WITHIN` of success within three times the expert's steps.
    """
    conditions = _conditions(report)
    head = ("task", *(TITLES.get(c, c) for c in conditions))
    rows = [
        (task, *(_cell(by_condition.get(c), suffix) for c in conditions))
        for task, by_condition in report["tasks"].items()
    ]
    return head, rows


def team_table(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Shares of matches won, with Wilson's 95 % intervals: the head and a row a grade of bots, teams across."""
    teams = {AGENT: report["team"], **report["rivals"]}
    titles = {AGENT: "four agents", EXPERT: "four scripted experts"}
    head = ("against bots", *(titles.get(name, f"{name} bots") for name in teams))
    rows = [
        (grade, *(_wins(by_grade.get(grade)) for by_grade in teams.values()))
        for grade in report["team"]
    ]
    return head, rows


def _wins(standing: Mapping[str, float] | None) -> str:
    if standing is None:
        return "–"
    share = standing["wins"] / standing["matches"]
    return f"{share:.0%}  [{standing['low']:.0%}–{standing['high']:.0%}] n={standing['matches']}"


def next_action_table(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Next-action figures: the head and a row a metric, policies across; without rows where none were measured."""
    by_policy = report.get("next_action", {})
    metrics = dict.fromkeys(metric for figures in by_policy.values() for metric in figures)
    head = ("metric", *(TITLES.get(policy, policy) for policy in by_policy))
    rows = [
        (metric, *(_number(figures.get(metric)) for figures in by_policy.values()))
        for metric in metrics
    ]
    return head, rows


def _conditions(report: Report) -> list[str]:
    """The conditions that were played, in the order of `COLUMNS`."""
    return [c for c in COLUMNS if any(c in by_task for by_task in report["tasks"].values())]


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _cell(rate: Mapping[str, float] | None, suffix: str) -> str:
    if rate is None or rate["success" + suffix] is None:
        return "–"
    share, low, high, n = (rate[name + suffix] for name in ("success", "low", "high", "episodes"))
    return f"{share:.0%}  [{low:.0%}–{high:.0%}] n={n:.0f}"


def plot(report: Report, path: Path) -> None:
    """A bar chart of the success rates with their intervals."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    tasks, conditions = list(report["tasks"]), _conditions(report)
    figure, axis = plt.subplots(figsize=(11, 4), layout="constrained")
    for i, condition in enumerate(conditions):
        rates = [
            (n, report["tasks"][t][condition])
            for n, t in enumerate(tasks)
            if condition in report["tasks"][t]
        ]
        width = 0.8 / len(conditions)
        positions = [n + (i - len(conditions) / 2 + 0.5) * width for n, _ in rates]
        heights = [rate["success"] for _, rate in rates]
        below = [max(0.0, rate["success"] - rate["low"]) for _, rate in rates]
        above = [max(0.0, rate["high"] - rate["success"]) for _, rate in rates]
        title = TITLES.get(condition, condition)
        axis.bar(positions, heights, width, yerr=[below, above], label=title, capsize=2)
    axis.set_xticks(range(len(tasks)), tasks)
    axis.set(ylabel="success", ylim=(0, 1.05))
    axis.legend(ncols=len(conditions), fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.12))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
