"""Initial weights: random, a checkpoint's, or CLIP's and OPT's; on the training device."""

from __future__ import annotations

from pathlib import Path

import torch

from agent_core.config import RunConfig
from agent_core.data.corpus import TrainingData
from agent_core.errors import TrainError
from agent_core.model.block import Block
from agent_core.model.iafm import IAFM
from agent_core.weights.checkpoint import load
from agent_core.weights.pretrained import import_clip, import_opt


def build_model(config: RunConfig, corpus: TrainingData) -> IAFM:
    """The model before its first step, the same on every process."""
    torch.manual_seed(config.train.seed)
    model = IAFM(config.model, corpus.vocabulary.size).to(corpus.dataset.device)
    to_channels_last(model)
    if config.train.clip_weights:
        import_clip(model, config.train.clip_weights)
    if config.train.opt_weights:
        import_opt(model, config.train.opt_weights)
    if config.train.init_from:
        _init_from(model, config, corpus.dataset.device)
    for module in model.modules():
        if isinstance(module, Block):
            module.activation_checkpointing = config.train.activation_checkpointing
    return model


def build_ema(model: IAFM, config: RunConfig, corpus: TrainingData) -> IAFM:
    """A copy of the model for the EMA: not trained, in evaluation mode."""
    ema_model = IAFM(config.model, corpus.vocabulary.size).to(corpus.dataset.device)
    to_channels_last(ema_model)
    ema_model.load_state_dict(model.state_dict())
    return ema_model.requires_grad_(False).eval()


def to_channels_last(model: IAFM) -> None:
    """Convolutions in the memory layout of the frames."""
    model.vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _init_from(model: IAFM, config: RunConfig, device: torch.device) -> None:
    """Take the weights of a checkpoint; raises `TrainError` where its sizes are others.

    Ids of meanings that it never learned come behind its ids and begin with random weights. Text conditioning that it
    lacks begins by changing nothing.
    """
    folder = Path(config.train.init_from)
    checkpoint = load(folder, device)
    sizes = checkpoint.header.model
    if not sizes.text_conditioning and model.text_conditioning is not None:
        model.text_conditioning.disable()
        sizes = sizes.model_copy(update={"text_conditioning": config.model.text_conditioning})
    if sizes != config.model:
        raise TrainError(f"{folder} has other sizes than this run: take its [model] settings")
    initial = model.state_dict()
    weights = {**initial, **checkpoint.model.state_dict()}
    for name in ("token.weight", "output_bias"):
        if name in weights:
            weights[name] = torch.cat([weights[name], initial[name][len(weights[name]) :]])
    model.load_state_dict(weights)
