"""Training data: a run's episodes opened, split and decoded, their vocabulary, all windows as tensors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent_core.config import RunConfig
from agent_core.data.dataset import Frames, WindowDataset
from agent_core.data.tables import EpisodeLike, build_dataset
from agent_core.device import pick_device
from agent_core.errors import ConfigError
from agent_core.tokens.vocabulary import Vocabulary, build_vocabulary, spec_meanings
from agent_core.weights.checkpoint import load
from agent_core.weights.pretrained import opt_tokenizer
from games import GameSpec, did_you_mean
from games.registry import UnknownGameError
from games.registry import load as load_game
from recorder import CaptureError, EpisodeSet, decode_cache, jpeg_cache, open_episodes

logger = logging.getLogger("iafm.train")
__all__ = ["Frames", "TrainingData", "build_training_data", "load_splits"]


@dataclass
class TrainingData:
    """Episodes ready to train on."""

    dataset: WindowDataset
    vocabulary: Vocabulary
    specs: tuple[GameSpec, ...]
    episodes: int


def load_splits(
    config: RunConfig, run_dir: Path
) -> tuple[dict[str, Sequence[EpisodeLike]], Frames]:
    """Open, filter and split the configured episodes; decode their frames once, resized to the model's size."""
    if not config.data.episodes:
        raise ConfigError("data.episodes names no folder; record some episodes with `iafm record`")
    opened = [e for path in config.data.episodes for e in open_episodes(Path(path))]
    episodes = EpisodeSet([e for e in opened if len(e)])
    if (
        config.data.only_successful
    ):  # in rollouts of the agent the expert's labels count all the same
        episodes = EpisodeSet(
            [e for e in episodes if e.header.success is not False or e.header.actor == "agent"]
        )
    if not len(episodes):
        raise CaptureError(
            f"none of {len(opened)} episodes was a success; set data.only_successful=false"
        )
    size = (config.model.frame_height, config.model.frame_width)
    training, validation = episodes.split(config.data.validation)
    cache = Path(config.data.cache or run_dir / "cache") / "frames"
    ordered = EpisodeSet([*training, *validation])
    decode = jpeg_cache if config.data.cache_format == "jpeg" else decode_cache
    frames: Frames = decode(ordered, cache, size=size, progress=_report_decoded)
    return {"train": list(training), "validation": list(validation)}, frames


def build_training_data(
    config: RunConfig, splits: Mapping[str, Sequence[EpisodeLike]], frames: Frames
) -> TrainingData:
    """Build the vocabulary from the training texts, and the tensors of all windows."""
    if not splits["train"]:
        raise ConfigError(f"data.validation={config.data.validation} leaves no episode to train on")
    _check_tasks(config.data.task_weights, [e for split in splits.values() for e in split])
    specs = tuple({e.spec.id: e.spec for split in splits.values() for e in split}.values())
    thoughts = {t for e in splits["train"] for t in e.thoughts} if config.data.thoughts else set()
    thoughts |= {caption for e in splits["train"] for caption in e.captions}
    instructions = {e.header.instruction for e in splits["train"]}
    vocabulary, specs = _vocabulary(config, specs, instructions | thoughts)
    _warn_of_cuts(config, vocabulary, instructions, thoughts)
    device = pick_device(config.train.device)
    dataset = build_dataset(splits, frames, vocabulary, config.model, config.data, device)
    if not dataset.steps("train"):
        raise ConfigError("data.task_weights and data.noop_sample_weight leave no step to train on")
    return TrainingData(dataset, vocabulary, specs, sum(map(len, splits.values())))


def _vocabulary(
    config: RunConfig, specs: tuple[GameSpec, ...], texts: set[str]
) -> tuple[Vocabulary, tuple[GameSpec, ...]]:
    """The vocabulary of a new run, or of the weights it begins with; and all games that it knows."""
    if config.train.init_from:
        before = load(config.train.init_from)
        specs = tuple({spec.id: spec for spec in (*before.header.specs, *specs)}.values())
        return before.vocabulary.extend(specs), specs
    if config.train.opt_weights:
        meanings = dict.fromkeys(m for spec in specs for m in spec_meanings(spec))
        return Vocabulary(opt_tokenizer(config.train.opt_weights), tuple(meanings)), specs
    return build_vocabulary(specs, texts, config.model.text_vocab_size), specs


def _warn_of_cuts(
    config: RunConfig, vocabulary: Vocabulary, instructions: set[str], thoughts: set[str]
) -> None:
    """Log how many texts are longer than the model has room for."""
    model = config.model
    for kind, texts, setting, size in (
        ("instructions", instructions, "max_text_tokens", model.max_text_tokens),
        ("thoughts and captions", thoughts, "max_thought_tokens", model.max_thought_tokens),
    ):
        lengths = [len(vocabulary.encode_text(text)) for text in texts]
        if long := sum(length > size - 2 for length in lengths):
            logger.warning(
                "%d of %d %s are cut to %d tokens, the longest has %d: model.%s is %d, two of them markers",
                long, len(texts), kind, size - 2, max(lengths), setting, size,
            )  # fmt: skip


def _check_tasks(weights: Mapping[str, float], episodes: Sequence[EpisodeLike]) -> None:
    """Raises `ConfigError` for a task that neither these episodes nor their games have.

    `free` is weighed by default and need not be there; nor need other games, as in `pong/win_point`.
    """
    games = {e.spec.name for e in episodes}
    tasks = {(e.spec.name, e.header.task) for e in episodes} | {(game, "free") for game in games}
    for game in games:
        with suppress(UnknownGameError):  # recorded elsewhere
            tasks |= {(game, task) for task in load_game(game).tasks}
    known = {task for _, task in tasks} | {f"{game}/{task}" for game, task in tasks}
    for name in weights:
        game, slash, _ = name.partition("/")
        if name not in known and (game in games or not slash):
            raise ConfigError(
                f"data.task_weights: no task called {name!r}{did_you_mean(name, known)}"
            )


def _report_decoded(done: int, total: int) -> None:
    if done == total or done % 500 == 0:
        logger.info("decoded %d of %d episodes", done, total)
