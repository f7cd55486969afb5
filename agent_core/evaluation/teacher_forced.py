"""Teacher-forced evaluation: next actions of held-out play, beside the null action and the repeated last action."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np

from agent_core.evaluation import metrics
from agent_core.training.grounding import paired_interval
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

    The policies also predict with the instruction of another episode and with none, where instructions differ.

    An episode that turns out to be damaged is left out and passed to `on_skip`; without that, and where no other
    remains, `CaptureError` is raised.
    """
    names = (*policies, "noop", "repeat_last")
    predictions: dict[str, list[list[Action]]] = {name: [] for name in names}
    reworded: dict[str, list[list[list[Action]]]] = {name: [] for name in policies}
    swapped = swapped_instructions(episodes)
    scored: list[Episode] = []
    for episode, other in zip(episodes, swapped or [""] * len(episodes), strict=True):
        null = episode.spec.null_action()
        words = [episode.instructions]
        words += [[text] * len(episode) for text in ((other, "") if swapped else ())]
        try:
            runs = [predict_teacher_forced(episode, each, words) for each in policies.values()]
        except CaptureError as error:
            if on_skip is None:
                raise
            on_skip(Skipped(episode.id, str(error)))
            continue
        for name, (own, *others) in zip(policies, runs, strict=True):
            predictions[name].append(own)
            reworded[name].append(others)
        predictions["noop"].append([null] * len(episode))
        predictions["repeat_last"].append([null, *episode.executed[:-1]])
        scored.append(episode)
        if on_episode:
            on_episode()
    if not scored:
        raise CaptureError(f"none of {len(episodes)} episodes can be read")
    return {
        name: _score(scored, runs) | _grounding(scored, runs, reworded.get(name, []))
        for name, runs in predictions.items()
    }


def swapped_instructions(episodes: Sequence[Episode]) -> list[str] | None:
    """For every episode the instruction of another that differs; None where all are the same."""
    own = [episode.header.instruction for episode in episodes]
    rng, words = np.random.default_rng(5), sorted(set(own))
    if len(words) < 2:
        return None
    shifts = rng.integers(1, len(words), len(own))
    return [
        words[(words.index(text) + int(shift)) % len(words)]
        for text, shift in zip(own, shifts, strict=True)
    ]


def predict_teacher_forced(
    episode: Episode, policy: Policy, instructions: Sequence[Sequence[str]]
) -> list[list[Action]]:
    """A policy's predicted action at every step, with the recorded actions as its past (teacher forcing).

    One list for each of `instructions`, which have one for every step; all of them are predicted side by side.
    """
    frames = (frame for chunk in episode.video.chunks(len(episode)) for frame in chunk)
    players = [policy.attach(episode.spec, seed=0) for _ in instructions]
    predicted: list[list[Action]] = [[] for _ in instructions]
    executed: Action | None = None
    try:
        rows = zip(frames, episode.executed, zip(*instructions, strict=True), strict=True)
        for frame, recorded, of_step in rows:
            decisions = policy.act(
                [
                    PolicyRequest(player, frame, words, executed)
                    for player, words in zip(players, of_step, strict=True)
                ]
            )
            for actions, decision in zip(predicted, decisions, strict=True):
                actions.append(decision.action)
            executed = recorded
    finally:
        for player in players:
            player.close()
    return predicted


def _grounding(
    episodes: Sequence[Episode],
    runs: Sequence[Sequence[Action]],
    reworded: Sequence[Sequence[Sequence[Action]]],
) -> dict[str, float | None]:
    """Exact match with another instruction and with none, and the interval of what another one takes from it.

    None where all instructions are the same; nothing for a policy that reads none.
    """
    names = ("exact_swapped", "exact_no_words", "grounding_low", "grounding_high", "steps")
    if not reworded:
        return {}
    if not all(reworded):
        return dict.fromkeys(names)
    wanted = [action for episode in episodes for action in episode.actions]
    own, swapped, no_words = (
        np.array([a == b for a, b in zip(chain.from_iterable(each), wanted, strict=True)])
        for each in (runs, *zip(*reworded, strict=True))
    )
    interval = paired_interval((own & ~swapped).sum(), (swapped & ~own).sum(), len(wanted))
    values = (float(swapped.mean()), float(no_words.mean()), *interval, len(wanted))
    return {name: _rounded(value) for name, value in zip(names, values, strict=True)}


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
