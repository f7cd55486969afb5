"""Validation: losses and accuracy of fixed windows of held-out episodes, by game and averaged over the games.

Every window is scored with its instruction. The first quarter of them, 512 at most (shared among the games), is
predicted twice more, with the instruction of another episode and with none, for its exact match alone: a model that
does as well with other words does not listen to them. So validation takes half as long again at most.
`grounding_windows` is their number, `exact_match_grounding` the exact match of the same windows with their
instruction, `grounding_low` and `grounding_high` the 95 % interval of what another instruction takes from it. A split
with one instruction alone has none of these figures.

Where the model predicts chunks, all figures are of a chunk's first action, as of a model without; `exact_chunk` is the
share of chunks that are right from first to last action. Which windows are drawn and what they score does not depend
on how many are computed at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from agent_core.config import RunConfig
from agent_core.data.dataset import WindowDataset, WindowDraw
from agent_core.model.batch import Batch
from agent_core.model.iafm import IAFM, ModelOutput
from agent_core.training.grounding import paired_interval
from agent_core.training.loss import count_tokens, losses

Autocast = Callable[[], AbstractContextManager[object]]
GROUNDING_WINDOWS = 512
"""Most windows, of all games together, that are also predicted with another instruction and with none."""
GROUNDING_SHARE = 4
"""A window of so many is: two more passes over a quarter are half the time of validation without."""
_GROUNDING = ("exact_match_grounding", "exact_match_swapped", "exact_match_no_words")
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


class WindowScorer(Protocol):
    """B windows that were read, to be predicted with one instruction after another."""

    def score(self) -> WindowScores:
        """Losses and exact match with the windows' instructions."""

    def exact(self, instruction_ids: Tensor) -> Tensor:
        """(B,) bool: which newest actions are predicted exactly with these instructions, (B, W) ids."""


ReadFn = Callable[[WindowDraw], WindowScorer]
"""Reads windows."""


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

    def of_split(name: str, share: int) -> dict[str, float]:
        size = max(1, windows // share)
        grounding = max(1, min(GROUNDING_WINDOWS // share, size // GROUNDING_SHARE))
        return _scores(read, dataset, config, name, size, grounding, max_batch, should_stop)

    if len(games) < 2:
        return of_split(split, 1)
    each = {g: of_split(f"{split}/{g}", len(games)) for g in games}
    values: dict[str, list[float]] = {}
    for scores in each.values():
        for name, value in scores.items():
            values.setdefault(name, []).append(value)
    mean = {name: sum(of_games) / len(of_games) for name, of_games in values.items()}
    if "grounding_windows" in values:
        mean["grounding_windows"] = sum(values["grounding_windows"])
    return mean | {f"{n}/{g}": value for g, scores in each.items() for n, value in scores.items()}


def _scores(
    read: ReadFn,
    dataset: WindowDataset,
    config: RunConfig,
    split: str,
    windows: int,
    grounding: int,
    max_batch: int,
    should_stop: Callable[[], bool],
) -> dict[str, float]:
    """Means over fixed windows, and over the first `grounding` with other instructions; of text if nothing is done."""
    generator = torch.Generator(dataset.device).manual_seed(_SEED)
    draw = dataset.draw_windows(split, windows, config.data, generator, training=False)
    swapped = dataset.swapped_instructions(split, draw.last, generator)
    grounding = 0 if swapped is None else grounding
    sums: dict[str, Tensor] = {}

    def add(name: str, value: Tensor | None) -> None:
        if value is not None:
            sums[name] = sums.get(name, torch.zeros((), device=dataset.device)) + value.sum()

    for rows in (*_batches(0, grounding, max_batch), *_batches(grounding, windows, max_batch)):
        if should_stop():
            raise ValidationStopped
        scorer, changed = read(draw[rows]), dataset.action_changed(draw.last[rows])
        scores = scorer.score()
        add("action_nats", scores.action_nats)
        add("action_tokens", scores.action_tokens)
        add("language_nats", scores.language_nats)
        add("text_tokens", scores.text_tokens)
        add("exact_match", scores.exact)
        add("exact_chunk", scores.exact_chunk)
        add("exact_at_change", scores.exact & changed)
        add("changes", changed)
        if swapped is not None and rows.start < grounding and int(scores.action_tokens):
            no_words = dataset.no_text.expand(rows.stop - rows.start, -1)
            exact_swapped = scorer.exact(swapped[rows])
            add("exact_match_grounding", scores.exact)
            add("exact_match_swapped", exact_swapped)
            add("exact_match_no_words", scorer.exact(no_words))
            add("only_own", scores.exact & ~exact_swapped)
            add("only_swapped", exact_swapped & ~scores.exact)
    return _means({name: value.item() for name, value in sums.items()}, windows, grounding)


def _batches(start: int, stop: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` windows."""
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))


def _means(sums: dict[str, float], windows: int, grounding: int) -> dict[str, float]:
    """Scores as the log has them: sums over all windows, and over the first `grounding`."""
    scores = {}
    if sums["action_tokens"]:
        scores["action_nats_per_token"] = sums["action_nats"] / sums["action_tokens"]
    if "language_nats" in sums:
        scores["language"] = sums["language_nats"] / max(sums["text_tokens"], 1.0)
    if not sums["action_tokens"]:
        return scores
    for name in ("exact_match", "exact_chunk"):
        if name in sums:
            scores[name] = sums[name] / windows
    if "exact_match_grounding" in sums:
        scores |= {name: sums[name] / grounding for name in _GROUNDING}
        interval = paired_interval(sums["only_own"], sums["only_swapped"], grounding)
        scores["grounding_low"], scores["grounding_high"] = interval
        scores["grounding_windows"] = float(grounding)
    scores["change_accuracy"] = sums["exact_at_change"] / max(sums["changes"], 1.0)
    return scores


@dataclass(frozen=True)
class IafmScorer:
    """Scores of the newest frame of windows, earlier actions masked as in play."""

    model: IAFM
    dataset: WindowDataset
    config: RunConfig
    autocast: Autocast
    batch: Batch

    def score(self) -> WindowScores:
        batch, model = self.batch, self.config.model
        text_tokens = count_tokens(batch, model.visual_tokens).text
        with self.autocast():
            outputs = self.model(batch)
            language = losses(self.model, batch, outputs, self.config.loss).language
            logits = self._logits(outputs)
        chunk = batch.actions[:, -1, 1:]  # (B, A - 1), all but START
        targets = self._targets()
        nats = F.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=0, reduction="sum"
        )
        return WindowScores(
            nats,
            (targets != 0).sum(),
            _agrees(logits, targets),
            language * text_tokens,
            text_tokens,
            _agrees(logits, chunk) if model.action_chunk > 1 else None,
        )

    def exact(self, instruction_ids: Tensor) -> Tensor:
        batch = dataclasses.replace(self.batch, instruction_ids=instruction_ids)
        with self.autocast():
            logits = self._logits(self.model(batch))
        return _agrees(logits, self._targets())

    def _logits(self, outputs: ModelOutput) -> Tensor:
        """(B, A - 1, ids) of the newest frame's action tokens."""
        return self.model.logits(outputs.actions[:, -1, :-1])

    def _targets(self) -> Tensor:
        """(B, A - 1) ids of the newest frame's action, the first of its chunk; 0 where there is none."""
        return self.dataset.first_action(self.batch.actions[:, -1])[:, 1:]


def _agrees(logits: Tensor, targets: Tensor) -> Tensor:
    """(B,) bool: whether all targets (B, A - 1) but 0 are the most probable ids of logits (B, A - 1, ids)."""
    return ((logits.argmax(-1) == targets) | (targets == 0)).all(1)
