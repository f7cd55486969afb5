"""Scores of held-out matches, several predicted side by side; as `iafm replay` scores them with teacher forcing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent_core.evaluation.match_scores import Scores, match_scores, mean_scores
from agent_core.evaluation.replay import match_of
from bridges.policy import Policy, PolicyRequest
from games import Action
from recorder import Episode

SIDE_BY_SIDE = 16
"""Matches that are predicted in one batch."""
BASELINES = ("noop", "repeat_last")
MatchScores = dict[str, Any]
"""By player `mean_scores`."""


def baseline_scores(matches: Sequence[Episode]) -> MatchScores:
    """Scores of the two baselines that see no frame."""
    by_player: dict[str, list[Scores]] = {name: [] for name in BASELINES}
    for match in matches:
        null = match.spec.null_action()
        actions = {
            "noop": [null] * len(match),
            "repeat_last": [null, *match.executed[:-1]],
        }
        for name, predicted in actions.items():
            by_player[name].append(match_scores(match.spec, predicted, match.actions))
    return {name: mean_scores(scores) for name, scores in by_player.items()}


def policy_scores(
    matches: Sequence[Episode],
    policies: Mapping[str, Policy],
    on_matches: Callable[[int, int], None] = lambda done, total: None,
) -> MatchScores:
    """Scores of policies by name, each told after every step what was really done; `on_matches` gets done and all.

    Raises `CaptureError` where a match is damaged.
    """
    by_player: dict[str, list[Scores]] = {name: [] for name in policies}
    ordered = sorted(matches, key=len)  # those of one batch end together
    for start in range(0, len(ordered), SIDE_BY_SIDE):
        group = ordered[start : start + SIDE_BY_SIDE]
        for name, predicted in predict_side_by_side(group, policies).items():
            by_player[name] += [
                match_scores(match.spec, actions, match.actions)
                for match, actions in zip(group, predicted, strict=True)
            ]
        on_matches(start + len(group), len(ordered))
    return {name: mean_scores(scores) for name, scores in by_player.items()}


def predict_side_by_side(
    matches: Sequence[Episode], policies: Mapping[str, Policy]
) -> dict[str, list[list[Action]]]:
    """Every policy's action at each step of each match; a batch has one step of all matches that go on."""
    players = {
        name: [policy.attach(match.spec, seed=0) for match in matches]
        for name, policy in policies.items()
    }
    predicted: dict[str, list[list[Action]]] = {name: [[] for _ in matches] for name in policies}
    executed: dict[int, Action] = {}
    streams = {k: iter(match_of(match).steps) for k, match in enumerate(matches)}
    try:
        while steps := {k: step for k, s in streams.items() if (step := next(s, None)) is not None}:
            streams = {k: streams[k] for k in steps}
            after_gap = [k for k, step in steps.items() if step.dropped_before]
            for name, policy in policies.items():
                sessions = players[name]
                for k in after_gap:
                    sessions[k].reset()
                    executed.pop(k, None)
                requests = [
                    PolicyRequest(sessions[k], step.frame, step.instruction, executed.get(k))
                    for k, step in steps.items()
                ]
                for k, decision in zip(steps, policy.act(requests), strict=True):
                    predicted[name][k].append(decision.action)
            executed = {k: step.executed for k, step in steps.items()}
    finally:
        for player in (player for of_policy in players.values() for player in of_policy):
            player.close()
    return predicted
