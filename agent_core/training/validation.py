"""How good are weights on episodes held out? Losses and accuracy on fixed windows, for each game and in the mean.

Where the model writes chunks, all figures are of a chunk's first action, as of a model without; `exact_chunk` is the
share of chunks that are right as a whole. Which windows are drawn and what they score does not depend on how many are
computed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from agent_core.config import DataConfig, RunConfig
from agent_core.data.dataset import WindowDataset
from agent_core.model.batch import Batch
from agent_core.model.iafm import IAFM
from agent_core.training.loss import count_tokens, losses

Autocast = Callable[[], AbstractContextManager[object]]


def draw_validation(
    dataset: WindowDataset, split: str, size: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Steps that windows end on, and how many steps before each its next frame lies: (size,) both."""
    total = dataset.cumulative_weights[split]
    draw = torch.rand(size, generator=generator, device=dataset.device, dtype=torch.float64)
    last = torch.searchsorted(total, draw * total[-1], right=True).clamp(max=len(total) - 1)
    offset = torch.randint(
        1, dataset.frame_stride + 1, (size,), generator=generator, device=dataset.device
    )
    return last, offset


def whole_windows(
    dataset: WindowDataset, last: torch.Tensor, offset: torch.Tensor, data: DataConfig
) -> Batch:
    """Windows as in play: none is cut short, and no earlier action is seen."""
    length = torch.full_like(last, data.window_frames)
    hidden = torch.ones_like(last, dtype=torch.bool)
    turn = last % dataset.context_frames
    return dataset.build_windows(last, offset, length, hidden, turn, data.window_frames)


@torch.no_grad()
def scores_by_game(
    model: IAFM,
    dataset: WindowDataset,
    config: RunConfig,
    split: str,
    autocast: Autocast,
    max_batch: int,
) -> dict[str, float]:
    """The scores; where several games are trained, their mean, and those of each as "action/voxel".

    The model sees `at_once` windows at a time.
    """
    games, windows = dataset.games(split), config.train.validation_windows

    def score(part: str, windows: int) -> dict[str, float]:
        return _scores(model, dataset, config, part, windows, autocast, max_batch)

    if len(games) < 2:
        return score(split, windows)
    each = {g: score(f"{split}/{g}", max(1, windows // len(games))) for g in games}
    known: dict[str, list[float]] = {}
    for scores in each.values():
        for name, value in scores.items():
            known.setdefault(name, []).append(value)
    mean = {name: sum(values) / len(values) for name, values in known.items()}
    return mean | {f"{n}/{g}": value for g, found in each.items() for n, value in found.items()}


def _scores(
    model: IAFM,
    dataset: WindowDataset,
    config: RunConfig,
    split: str,
    windows: int,
    autocast: Autocast,
    max_batch: int,
) -> dict[str, float]:
    """Losses and accuracy on the newest frame of fixed windows; of words alone where nothing is done."""
    generator = torch.Generator(dataset.device).manual_seed(7)
    drawn = draw_validation(dataset, split, windows, generator)
    sums = torch.zeros(8, device=dataset.device)
    for last, offset in zip(*(torch.split(ids, max_batch) for ids in drawn), strict=True):
        batch, changed = (
            whole_windows(dataset, last, offset, config.data),
            dataset.action_changed(last),
        )
        words = count_tokens(batch, config.model.visual_tokens).text
        with autocast():
            outputs = model(batch)
            found = losses(model, batch, outputs, config.loss)
            logits = model.logits(outputs.actions[:, -1, :-1])
        chunk = batch.actions[:, -1]
        targets = dataset.first_action(chunk)[:, 1:]
        agrees = logits.argmax(-1) == chunk[:, 1:]
        right = (agrees | (targets == 0)).all(1)
        nats = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=0, reduction="sum"
        )
        sums += torch.stack(
            [
                nats,
                (targets != 0).sum(),
                found.language * words,
                words,
                right.sum(),
                (right & changed).sum(),
                changed.sum(),
                (agrees | (chunk[:, 1:] == 0)).all(1).sum(),
            ]
        )
    nats_, tokens, told, words_, right_, at_change, changes, whole = sums.tolist()
    language = told / max(words_, 1.0)
    if not tokens:
        return {"language": language}
    scores = {
        "action": nats_ / tokens,
        "language": language,
        "exact_match": right_ / windows,
        "change_accuracy": at_change / max(changes, 1.0),
    }
    return scores if config.model.action_chunk == 1 else {**scores, "exact_chunk": whole / windows}
