"""Losses: the paper's Eq. 5, computed by hand."""

from __future__ import annotations

import pytest
import torch

from agent_core.config import LossConfig, ModelConfig
from agent_core.model import IAFM, ModelOutput
from agent_core.model.batch import Batch
from agent_core.model.conv_stem import normalize_pixels
from agent_core.training.loss import MaskedPatches, losses

CONFIG = ModelConfig(
    width=16,
    layers=1,
    heads=2,
    stem_widths=(4, 4, 8),
    frame_height=16,
    frame_width=16,
    pooled_grid=(2, 1),
)
WORDS = 300


def example() -> tuple[IAFM, Batch, ModelOutput]:
    torch.manual_seed(0)
    model = IAFM(CONFIG, WORDS).eval()
    batch = Batch(
        torch.randint(0, 255, (2, 2, 16, 16, 3), dtype=torch.uint8),
        torch.tensor([[True, True], [False, True]]),
        torch.tensor([[1, 20, 2], [1, 2, 0]]),
        torch.tensor([[[290, 291, 0], [290, 295, 291]], [[290, 291, 0], [290, 291, 0]]]),
        torch.tensor([[False, True], [True, True]]),
        torch.tensor([[3, 30, 2], [0, 0, 0]]),
        torch.tensor([True, False]),
        torch.zeros(2, dtype=torch.long),
    )
    return model, batch, model(batch)


def nats(model: IAFM, hidden: torch.Tensor, target: int) -> float:
    return -float(model.logits(hidden).log_softmax(-1)[target])


def by_hand(model: IAFM, out: ModelOutput) -> tuple[float, float]:
    """Sums over the 5 words and 3 action tokens that are targets."""
    language = nats(model, out.text[0, 0], 20) + nats(model, out.text[0, 1], 2)
    language += nats(model, out.text[1, 0], 2)
    language += nats(model, out.thought[0, 0], 30) + nats(model, out.thought[0, 1], 2)
    action = nats(model, out.actions[0, 1, 0], 295) + nats(model, out.actions[0, 1, 1], 291)
    return language, action + nats(model, out.actions[1, 1, 0], 291)


@torch.no_grad()
def test_equation_five() -> None:
    model, batch, out = example()
    language, action = by_hand(model, out)
    loss = losses(model, batch, out, LossConfig())
    tokens = 5 + 3 + 3 * 2 + 7  # instruction, thought, visual tokens and actions of frames present
    assert loss.total.item() == pytest.approx((language + action) / tokens, rel=1e-5)
    assert loss.language.item() == pytest.approx(language / 5, rel=1e-5)
    assert loss.action.item() == pytest.approx(action / 3, rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_equation_five_with_hidden_patches(weight: float) -> None:
    """L_mae joins the numerator; hidden patches are visual tokens all the same, so |V| stays."""
    model, batch, out = example()
    language, action = by_hand(model, out)
    pictures = normalize_pixels(batch.frames)[:2]
    patches = torch.tensor([[[True, False], [True, True]]])
    loss = losses(model, batch, out, LossConfig(mae=weight), MaskedPatches(patches, pictures))
    predicted = model.mae_decoder(out.patches[:1].flatten(0, 1), patches[0])
    error = (predicted - model.mae_decoder.targets(pictures)).square().mean(2)
    mae = float(error[0, 0] + error[1, 0] + error[1, 1])
    assert mae > 0.1
    tokens = 5 + 3 + 3 * 2 + 7
    total = (language + action + weight * mae) / tokens
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    assert loss.mae.item() == pytest.approx(mae / 3, rel=1e-5)
    mean = LossConfig(mae=weight, normalization="mean")
    total = language / 5 + action / 3 + weight * mae / 3
    loss = losses(model, batch, out, mean, MaskedPatches(patches, pictures))
    assert loss.total.item() == pytest.approx(total, rel=1e-5)


@torch.no_grad()
def test_mean_of_means_and_weights() -> None:
    model, batch, out = example()
    language, action = by_hand(model, out)
    config = LossConfig(normalization="mean", language=0.5, action=2.0)
    total = losses(model, batch, out, config).total.item()
    assert total == pytest.approx(0.5 * language / 5 + 2 * action / 3, rel=1e-5)


@torch.no_grad()
def test_only_hidden_patches_count() -> None:
    model, batch, out = example()
    pictures = normalize_pixels(batch.frames)
    patches = torch.zeros(1, 2, 2, dtype=torch.bool)
    patches[0, 1, 1] = True
    loss = losses(model, batch, out, LossConfig(), MaskedPatches(patches, pictures[:2]))
    predicted = model.mae_decoder(out.patches[:1].flatten(0, 1), patches[0])
    error = (predicted - model.mae_decoder.targets(pictures[:2])).square().mean(2)
    assert loss.mae.item() == pytest.approx(error[1, 1].item(), rel=1e-5)
    unmasked = losses(
        model, batch, out, LossConfig(), MaskedPatches(~patches & False, pictures[:2])
    )
    assert unmasked.mae.item() == 0
