"""Teacher-forced evaluation: next actions of held-out play, beside the null action and the repeated last action."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from agent_core.evaluation import metrics
from bridges.policy import Policy, PolicyRequest
from games import Action
from recorder import CaptureError, Episode, Skipped


def next_action_report(
    episodes: Sequence[Episode],
    policies: Mapping[str, Policy],
    on_episode: Callable[[], None] | None = None,
    on_skip: Callable[[Skipped], None] | None = None,
) -> dict[str, dict[str, float | None]]:
    """Metrics of the policies' (by name) predictions on recorded play, and of two baselines that see no frame.

    An episode that turns out to be damaged is left out and passed to `on_skip`; without that, and where no other
    remains, `CaptureError` is raised.
    """
    names = (*policies, "noop", "repeat_last")
    predictions: dict[str, list[list[Action]]] = {name: [] for name in names}
    scored: list[Episode] = []
    for episode in episodes:
        null = episode.spec.null_action()
        try:
            runs = [predict_teacher_forced(episode, policy) for policy in policies.values()]
        except CaptureError as error:
            if on_skip is None:
                raise
            on_skip(Skipped(episode.id, str(error)))
            continue
        runs += [[null] * len(episode), [null, *episode.executed[:-1]]]
        for name, run in zip(names, runs, strict=True):
            predictions[name].append(run)
        scored.append(episode)
        if on_episode:
            on_episode()
    if not scored:
        raise CaptureError(f"none of {len(episodes)} episodes can be read")
    return {name: _score(scored, runs) for name, runs in predictions.items()}


def predict_teacher_forced(episode: Episode, policy: Policy) -> list[Action]:
    """A policy's predicted action at every step, with the recorded actions as its past (teacher forcing)."""
    frames = (frame for chunk in episode.video.chunks(len(episode)) for frame in chunk)
    player = policy.attach(episode.spec, seed=0)
    predicted: list[Action] = []
    executed: Action | None = None
    try:
        for frame, recorded in zip(frames, episode.executed, strict=True):
            request = PolicyRequest(player, frame, episode.header.instruction, executed)
            predicted.append(policy.act([request])[0].action)
            executed = recorded
    finally:
        player.close()
    return predicted


def _score(
    episodes: Sequence[Episode], runs: Sequence[Sequence[Action]]
) -> dict[str, float | None]:
    """The metrics; None where one is undefined. Where BLEU-4 is, BLEU of the largest defined order stands beside it."""
    spec = episodes[0].spec
    predicted = [action for run in runs for action in run]
    wanted = [action for episode in episodes for action in episode.actions]
    changes = [
        metrics.change_f1(run, episode.actions) for run, episode in zip(runs, episodes, strict=True)
    ]
    defined = [value for value in changes if not math.isnan(value)]
    order = metrics.bleu_order(spec, wanted)
    camera = metrics.camera_mae_deg(spec, predicted, wanted)
    scores = {
        "bleu4": _rounded(metrics.bleu(spec, predicted, wanted)),
        f"bleu{order}": _rounded(metrics.bleu(spec, predicted, wanted, order)),
        "exact": _rounded(metrics.exact_match(predicted, wanted)),
        "button_f1": _rounded(metrics.button_f1(spec, predicted, wanted)),
        "change_f1": _rounded(sum(defined) / len(defined)) if defined else None,
    }
    return scores if math.isnan(camera) else {**scores, "camera_mae_deg": _rounded(camera)}


def _rounded(value: float | None) -> float | None:
    """To four digits; None where undefined."""
    return None if value is None or math.isnan(value) else round(value, 4)
