"""Tally of closed-loop outcomes: success, and success within three times the expert's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent_core.evaluation.closed_loop import Outcome
from agent_core.evaluation.metrics import wilson_interval
from agent_core.training.grounding import paired_grounding_warning

EXPERT_FACTOR = 3
"""Steps of the expert's in which an episode counts as done at once."""
WITHIN = "_within_3x"
Limits = Mapping[tuple[str, int], int]
"""Most steps by task and seed."""


def step_limits(outcomes: Sequence[Outcome]) -> Limits:
    """By task and seed: `EXPERT_FACTOR` times the steps in which the expert succeeded."""
    return {
        (outcome.spec.task, outcome.spec.seed): EXPERT_FACTOR * outcome.steps
        for outcome in outcomes
        if outcome.spec.condition == "expert" and outcome.success
    }


def tally(
    outcomes: Sequence[Outcome], limits: Limits | None = None
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Success by task and condition with Wilson's 95 % interval, and the mean reward of an episode.

    `success_within_3x` counts what succeeds within the world's limit alone: who wanders about finds many a goal at
    last, also without a word. It is of the `episodes_within_3x` that the expert solves; None where there are none.
    """
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.spec.task, outcome.spec.condition), []).append(outcome)
    tasks: dict[str, dict[str, dict[str, float | None]]] = {}
    for (task, condition), group in sorted(groups.items()):
        quick = [is_quick for each in group if (is_quick := _is_quick(each, limits)) is not None]
        tasks.setdefault(task, {})[condition] = {
            **_share([outcome.success for outcome in group]),
            "reward": round(sum(outcome.reward for outcome in group) / len(group), 4),
            "steps": round(sum(outcome.steps for outcome in group) / len(group), 1),
            **_share(quick, WITHIN),
        }
    return tasks


def _is_quick(outcome: Outcome, limits: Limits | None) -> bool | None:
    """Success within the limit; None where the expert does not solve the world."""
    limit = (limits or {}).get((outcome.spec.task, outcome.spec.seed))
    return None if limit is None else outcome.success and outcome.steps <= limit


def _share(successes: Sequence[bool], suffix: str = "") -> dict[str, float | None]:
    """A share with its interval, None of no episodes."""
    names = [name + suffix for name in ("success", "low", "high", "episodes")]
    if not successes:
        return {**dict.fromkeys(names), names[-1]: 0}
    interval = wilson_interval(sum(successes), len(successes))
    shares = (round(value, 4) for value in (sum(successes) / len(successes), *interval))
    return dict(zip(names, (*shares, len(successes)), strict=True))


def play_warning(outcomes: Sequence[Outcome], limits: Limits) -> str | None:
    """A warning where the agent does as well with other words, in the worlds that it played with both."""

    def of(condition: str) -> dict[tuple[str, int], bool]:
        played = [outcome for outcome in outcomes if outcome.spec.condition == condition]
        judged = {(o.spec.task, o.spec.seed): (o, _is_quick(o, limits)) for o in played}
        if limits:
            return {world: quick for world, (_, quick) in judged.items() if quick is not None}
        return {world: outcome.success for world, (outcome, _) in judged.items()}

    own, swapped = of("agent"), of("agent_swapped")
    worlds = own.keys() & swapped.keys()
    if not worlds:
        return None
    what = f"success{' within 3 x the steps of the expert' if limits else ''} is"
    pairs = [(own[world], swapped[world]) for world in worlds]
    return paired_grounding_warning(what, pairs)
