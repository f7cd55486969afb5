"""Teacher-forced evaluation: next actions of held-out play, beside the null action and the repeated last action."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from agent_core.evaluation import metrics
from bridges.policy import Policy, PolicyRequest
from games import Action
from recorder import Episode


def next_action_report(
    episodes: Sequence[Episode],
    policies: Mapping[str, Policy],
    on_episode: Callable[[], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Metrics of the policies' (by name) predictions on recorded play, and of two baselines that see no frame."""
    names = (*policies, "noop", "repeat_last")
    predictions: dict[str, list[list[Action]]] = {name: [] for name in names}
    for episode in episodes:
        null = episode.spec.null_action()
        for name, policy in policies.items():
            predictions[name].append(predict_teacher_forced(episode, policy))
        predictions["noop"].append([null] * len(episode))
        predictions["repeat_last"].append([null, *episode.executed[:-1]])
        if on_episode:
            on_episode()
    return {name: _score(episodes, runs) for name, runs in predictions.items()}


def predict_teacher_forced(episode: Episode, policy: Policy) -> list[Action]:
    """A policy's predicted action at every step, with the recorded actions as its past (teacher forcing)."""
    player = policy.attach(episode.spec, seed=0)
    predicted: list[Action] = []
    executed: Action | None = None
    for frame, recorded in zip(episode.frames(), episode.executed, strict=True):
        request = PolicyRequest(player, frame, episode.header.instruction, executed)
        predicted.append(policy.act([request])[0].action)
        executed = recorded
    player.close()
    return predicted


def _score(episodes: Sequence[Episode], runs: Sequence[Sequence[Action]]) -> dict[str, float]:
    spec = episodes[0].spec
    predicted = [action for run in runs for action in run]
    wanted = [action for episode in episodes for action in episode.actions]
    changes = [
        metrics.change_f1(run, episode.actions) for run, episode in zip(runs, episodes, strict=True)
    ]
    defined = [value for value in changes if not math.isnan(value)]
    camera = metrics.camera_mae_deg(spec, predicted, wanted)
    scores = {
        "bleu4": round(metrics.bleu4(spec, predicted, wanted), 4),
        "exact": round(metrics.exact_match(predicted, wanted), 4),
        "button_f1": round(metrics.button_f1(spec, predicted, wanted), 4),
        "change_f1": round(sum(defined) / len(defined), 4) if defined else 0.0,
    }
    return scores if math.isnan(camera) else {**scores, "camera_mae_deg": round(camera, 4)}
