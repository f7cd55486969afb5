"""Training data: a run's episodes opened, split and decoded, their vocabulary, all windows as tensors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
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
from recorder import (
    CaptureError,
    Episode,
    EpisodeSet,
    Skipped,
    decode_cache,
    jpeg_cache,
    open_readable,
    without_broken,
)

logger = logging.getLogger("iafm.train")
LOG_FRAMES = 10_000
"""Decoded frames between two lines of the log."""
__all__ = ["Frames", "TrainingData", "build_training_data", "load_splits"]


@dataclass
class TrainingData:
    """Episodes ready to train on."""

    dataset: WindowDataset
    vocabulary: Vocabulary
    specs: tuple[GameSpec, ...]
    episodes: int
    skipped: tuple[Skipped, ...] = ()
    """Episodes that are left out because they cannot be read."""


def load_splits(
    config: RunConfig, run_dir: Path
) -> tuple[dict[str, Sequence[EpisodeLike]], Frames, tuple[Skipped, ...]]:
    """Open, filter and split the configured episodes; decode their frames once, resized to the model's size.

    Returns also which episodes are left out because they cannot be read, each of which is logged. Raises `CaptureError`
    where none remains, and with `data.strict` at the first of those.
    """
    episodes = _open(config)
    usable = _successful(episodes) if config.data.only_successful else episodes
    training, validation = usable.split(config.data.validation)
    ordered = EpisodeSet([*training, *validation], episodes.skipped)
    cache = Path(config.data.cache or run_dir / "cache") / "frames"

    def decode(some: EpisodeSet) -> Frames:
        if not len(some):
            raise CaptureError(f"no video of {len(ordered)} episodes decodes; see the log above")
        size = (config.model.frame_height, config.model.frame_width)
        make = jpeg_cache if config.data.cache_format == "jpeg" else decode_cache
        return make(some, cache, size=size, progress=_log_decoded())

    if config.data.strict:
        frames = decode(ordered)
    else:
        ordered, frames = without_broken(ordered, cache, decode)
    for each in ordered.skipped:
        logger.warning("left out %s: %s", each.source, each.why)
    if ordered.skipped:
        logger.warning("%d episodes are left out, %d remain", len(ordered.skipped), len(ordered))
    training, validation = ordered.split(config.data.validation)
    return {"train": list(training), "validation": list(validation)}, frames, ordered.skipped


def _open(config: RunConfig) -> EpisodeSet:
    """The episodes of all configured folders that can be read, and what cannot."""
    if not config.data.episodes:
        raise ConfigError("data.episodes names no folder; record some episodes with `iafm record`")
    folders = [open_readable(path, strict=config.data.strict) for path in config.data.episodes]
    skipped = [each for folder in folders for each in folder.skipped]
    episodes = EpisodeSet([e for folder in folders for e in folder], skipped)
    if not len(episodes):
        first = skipped[0]
        raise CaptureError(
            f"none of {len(skipped)} episodes can be read; {first.source}: {first.why}"
        )
    return episodes


def _successful(episodes: EpisodeSet) -> EpisodeSet:
    """Those that were no failure; in play of the agent, the labels of an expert or a person count all the same."""
    usable = [e for e in episodes if e.header.success is not False or _is_labelled(e)]
    if not usable:
        raise CaptureError(
            f"none of {len(episodes)} episodes was a success; set data.only_successful=false"
        )
    return EpisodeSet(usable)


def _is_labelled(episode: Episode) -> bool:
    """Whether somebody else than the agent, which played, gave actions to learn."""
    header = episode.header
    return bool(header.teacher) or (header.actor == "agent" and "human" in episode.by)


def build_training_data(
    config: RunConfig,
    splits: Mapping[str, Sequence[EpisodeLike]],
    frames: Frames,
    skipped: tuple[Skipped, ...] = (),
) -> TrainingData:
    """Build the vocabulary from the training texts, and the tensors of all windows."""
    if not splits["train"]:
        raise ConfigError(f"data.validation={config.data.validation} leaves no episode to train on")
    _check_tasks(config.data.task_weights, [e for split in splits.values() for e in split])
    specs = tuple({e.spec.id: e.spec for split in splits.values() for e in split}.values())
    thoughts = {t for e in splits["train"] for t in e.thoughts} if config.data.thoughts else set()
    thoughts |= {caption for e in splits["train"] for caption in e.captions}
    instructions = {text for e in splits["train"] for text in e.instructions}
    vocabulary, specs = _vocabulary(config, specs, instructions | thoughts)
    _warn_of_cuts(config, vocabulary, instructions, thoughts)
    device = pick_device(config.train.device)
    dataset = build_dataset(splits, frames, vocabulary, config.model, config.data, device)
    if not dataset.steps("train"):
        raise ConfigError(
            "data.task_weights, data.noop_sample_weight and steps that nobody played leave no step to train on"
        )
    return TrainingData(dataset, vocabulary, specs, sum(map(len, splits.values())), skipped)


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


def _log_decoded() -> Callable[[int, int], None]:
    """A progress that logs every `LOG_FRAMES` frames."""
    logged = 0

    def log(done: int, total: int) -> None:
        nonlocal logged
        if done == total or done - logged >= LOG_FRAMES:
            logged = done
            logger.info("decoded %s of %s frames", f"{done:,}", f"{total:,}")

    return log
