"""Grounding: a model whose stem is conditioned on text follows its instruction where one without does not yet."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agent_core.config import LossConfig, ModelConfig, RunConfig
from agent_core.model import IAFM
from agent_core.model.batch import Batch
from agent_core.training.loss import losses
from agent_core.training.optimizer import make_optimizer

COLORS = torch.tensor(
    [[220, 40, 40], [40, 200, 60], [50, 70, 230], [230, 220, 40], [160, 50, 200], [130, 130, 130]]
)
START, END, FIRST_DIRECTION, FIRST_COLOR = 20, 21, 22, 10
STEPS = 500


def squares(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Frames with four squares at their edges, the direction asked for, its colour and another square's colour."""
    colors = torch.rand(count, 6, generator=generator).argsort(1)[:, :4]
    frames = torch.randint(0, 20, (count, 24, 24, 3), generator=generator)
    for direction, (y, x) in enumerate(((1, 9), (17, 9), (9, 1), (9, 17))):
        frames[:, y : y + 6, x : x + 6] += COLORS[colors[:, direction]][:, None, None]
    wanted = torch.randint(0, 4, (count,), generator=generator)
    other = (wanted + torch.randint(1, 4, (count,), generator=generator)) % 4
    of_wanted, of_other = (colors.gather(1, each[:, None])[:, 0] for each in (wanted, other))
    return frames.to(torch.uint8), wanted, of_wanted, of_other


def windows(frames: Tensor, wanted: Tensor, color: Tensor) -> Batch:
    """Windows of one frame; the fourth of six words names the colour."""
    ones = torch.ones(len(frames), 1, dtype=torch.bool)
    words = torch.tensor([1, 7, 8, 0, 9, 2]).repeat(len(frames), 1)
    words[:, 3] = FIRST_COLOR + color
    actions = torch.tensor([START, 0, END]).repeat(len(frames), 1)
    actions[:, 1] = FIRST_DIRECTION + wanted
    none = torch.zeros(len(frames), 1, dtype=torch.long)
    return Batch(frames[:, None], ones, words, actions[:, None], ones, none, ones[:, 0], none[:, 0])


def accuracy_with_true_and_swapped_words(text_conditioning: bool, seed: int) -> list[float]:
    """After training: the share of held-out squares whose direction is the most likely of the four."""
    torch.manual_seed(seed)
    config = ModelConfig(
        width=64, heads=2, layers=2, stem_widths=(32, 32, 32), frame_height=24, frame_width=24,
        pooled_grid=(3, 3), context_frames=1, max_text_tokens=6, max_action_tokens=3,
        global_token=True, text_conditioning=text_conditioning,
    )  # fmt: skip
    model, generator = IAFM(config, 26), torch.Generator().manual_seed(seed)
    run = RunConfig.model_validate({"model": config, "train": {"lr": 1e-3}})
    optimizer = make_optimizer(model, run)
    for _ in range(STEPS):
        batch = windows(*squares(32, generator)[:3])
        loss = losses(model, batch, model(batch), LossConfig()).total
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    frames, wanted, *words = squares(256, torch.Generator().manual_seed(1_000_000))
    with torch.no_grad():
        hidden = [model(windows(frames, wanted, color)).actions[:, 0, 0] for color in words]
    scores = [model.logits(each, FIRST_DIRECTION, FIRST_DIRECTION + 4) for each in hidden]
    return [float((score.argmax(1) == wanted).float().mean()) for score in scores]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_conditioned_stem_listens_early(seed: int) -> None:
    true, swapped = accuracy_with_true_and_swapped_words(True, seed)
    assert true > 0.9
    assert true - swapped > 0.7
    true, swapped = accuracy_with_true_and_swapped_words(False, seed)
    assert true < 0.5
    assert true - swapped < 0.1
