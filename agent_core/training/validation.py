"""Validation: losses and accuracy of fixed windows of held-out episodes, by game and averaged over the games.

Every window is scored three times: with its instruction, with that of another episode, and with none. A model that
does as well with other words does not listen to them. Where the model predicts chunks, all figures are of a chunk's
first action, as of a model without; `exact_chunk` is the share of chunks that are right from first to last action.
Which windows are drawn and what they score does not depend on how many are computed at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from agent_core.config import RunConfig
from agent_core.data.dataset import WindowDataset, WindowDraw
from agent_core.model.batch import Batch
from agent_core.model.iafm import IAFM
from agent_core.training.loss import count_tokens, losses

Autocast = Callable[[], AbstractContextManager[object]]
_SEED = 7


class ValidationStopped(Exception):
    """Validation was cut short by a request to stop."""


@dataclass(frozen=True)
class WindowScores:
    """Sums over B windows, and which of their newest actions are predicted exactly."""

    action_nats: Tensor
    action_tokens: Tensor
    exact: Tensor
    """(B,) bool."""
    language_nats: Tensor | None = None
    text_tokens: Tensor | None = None
    exact_chunk: Tensor | None = None
    """(B,) bool."""


ScoreFn = Callable[[Tensor | None], WindowScores]
"""Scores the windows of a batch, with instruction ids (B, W) in place of theirs where some are given."""
ReadFn = Callable[[WindowDraw], ScoreFn]
"""Reads windows, to be scored with one instruction after the other."""


@torch.no_grad()
def scores_by_game(
    read: ReadFn,
    dataset: WindowDataset,
    config: RunConfig,
    split: str,
    max_batch: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """The scores; where several games are trained, their mean, and those of each as "exact_match/voxel".

    The model computes at most `max_batch` windows at a time. Raises `ValidationStopped` between two batches.
    """
    games, windows = dataset.games(split), config.train.validation_windows

    def of_split(name: str, windows: int) -> dict[str, float]:
        return _scores(read, dataset, config, name, windows, max_batch, should_stop)

    if len(games) < 2:
        return of_split(split, windows)
    each = {g: of_split(f"{split}/{g}", max(1, windows // len(games))) for g in games}
    values: dict[str, list[float]] = {}
    for scores in each.values():
        for name, value in scores.items():
            values.setdefault(name, []).append(value)
    mean = {name: sum(of_games) / len(of_games) for name, of_games in values.items()}
    return mean | {f"{n}/{g}": value for g, scores in each.items() for n, value in scores.items()}


def _scores(
    read: ReadFn,
    dataset: WindowDataset,
    config: RunConfig,
    split: str,
    windows: int,
    max_batch: int,
    should_stop: Callable[[], bool],
) -> dict[str, float]:
    """Means over fixed windows; of text alone where nothing is done."""
    generator = torch.Generator(dataset.device).manual_seed(_SEED)
    draw = dataset.draw_windows(split, windows, config.data, generator, training=False)
    swapped = dataset.swapped_instructions(split, draw.last, generator)
    sums: dict[str, Tensor] = {}

    def add(name: str, value: Tensor | None) -> None:
        if value is not None:
            sums[name] = sums.get(name, torch.zeros((), device=dataset.device)) + value.sum()

    for start in range(0, windows, max_batch):
        if should_stop():
            raise ValidationStopped
        rows = slice(start, min(start + max_batch, windows))
        score, changed = read(draw[rows]), dataset.action_changed(draw.last[rows])
        scores = score(None)
        add("action_nats", scores.action_nats)
        add("action_tokens", scores.action_tokens)
        add("language_nats", scores.language_nats)
        add("text_tokens", scores.text_tokens)
        add("exact_match", scores.exact)
        add("exact_chunk", scores.exact_chunk)
        add("exact_at_change", scores.exact & changed)
        add("changes", changed)
        if int(scores.action_tokens):
            no_words = dataset.no_text.expand(rows.stop - rows.start, -1)
            add("exact_match_no_words", score(no_words).exact)
            if swapped is not None:
                add("exact_match_swapped", score(swapped[rows]).exact)
    return _means({name: value.item() for name, value in sums.items()}, windows)


def _means(sums: dict[str, float], windows: int) -> dict[str, float]:
    """Scores as the log has them."""
    scores = {}
    if sums["action_tokens"]:
        scores["action_nats_per_token"] = sums["action_nats"] / sums["action_tokens"]
    if "language_nats" in sums:
        scores["language"] = sums["language_nats"] / max(sums["text_tokens"], 1.0)
    if not sums["action_tokens"]:
        return scores
    for name in ("exact_match", "exact_match_swapped", "exact_match_no_words", "exact_chunk"):
        if name in sums:
            scores[name] = sums[name] / windows
    scores["change_accuracy"] = sums["exact_at_change"] / max(sums["changes"], 1.0)
    return scores


def iafm_scores(
    model: IAFM, dataset: WindowDataset, config: RunConfig, autocast: Autocast
) -> ReadFn:
    """Scores of the newest frame of windows, earlier actions masked as in play."""

    def read(draw: WindowDraw) -> ScoreFn:
        batch = dataset.build_windows(draw, config.data.window_frames)
        return lambda ids: score(
            batch if ids is None else dataclasses.replace(batch, instruction_ids=ids)
        )

    def score(batch: Batch) -> WindowScores:
        text_tokens = count_tokens(batch, config.model.visual_tokens).text
        with autocast():
            outputs = model(batch)
            language = losses(model, batch, outputs, config.loss).language
            logits = model.logits(outputs.actions[:, -1, :-1])  # (B, A - 1, ids)
        chunk = batch.actions[:, -1]
        targets = dataset.first_action(chunk)[:, 1:]
        agrees = logits.argmax(-1) == chunk[:, 1:]
        nats = F.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=0, reduction="sum"
        )
        has_chunks = config.model.action_chunk > 1
        return WindowScores(
            nats,
            (targets != 0).sum(),
            (agrees | (targets == 0)).all(1),
            language * text_tokens,
            text_tokens,
            (agrees | (chunk[:, 1:] == 0)).all(1) if has_chunks else None,
        )

    return read
