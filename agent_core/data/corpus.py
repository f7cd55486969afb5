"""What is a run trained on? Its episodes, opened, parted and decoded; its words; all windows as tensors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent_core.config import ConfigError, RunConfig
from agent_core.data.dataset import EpisodeLike, Frames, WindowDataset, build_dataset
from agent_core.device import pick_device
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
    """Open, filter and split the configured episodes; decode their frames once, stretched to the model's size."""
    if not config.data.episodes:
        raise ConfigError("data.episodes names no folder; record some episodes with `iafm record`")
    found = [e for path in config.data.episodes for e in open_episodes(Path(path))]
    episodes = EpisodeSet([e for e in found if len(e)])
    if (
        config.data.only_successful
    ):  # where the agent played, the teacher's labels count all the same
        episodes = EpisodeSet(
            [e for e in episodes if e.header.success is not False or e.header.actor == "agent"]
        )
    if not len(episodes):
        raise CaptureError(
            f"none of {len(found)} episodes was a success; set data.only_successful=false"
        )
    size = (config.model.frame_height, config.model.frame_width)
    training, validation = episodes.split(config.data.validation)
    cache = Path(config.data.cache or run_dir / "cache") / "frames"
    ordered = EpisodeSet([*training, *validation])
    decode = jpeg_cache if config.data.cache_format == "jpeg" else decode_cache
    frames: Frames = decode(ordered, cache, size=size, progress=_report_decoded)
    return {"train": list(training), "validation": list(validation)}, frames


def build_training_data(
    config: RunConfig, splits: dict[str, Sequence[EpisodeLike]], frames: Frames
) -> TrainingData:
    """Build the vocabulary from the training texts, and the tensors of all windows."""
    if not splits["train"]:
        raise ConfigError(f"data.validation={config.data.validation} leaves no episode to train on")
    _check_tasks(config.data.task_weights, [e for part in splits.values() for e in part])
    specs = tuple({e.spec.id: e.spec for part in splits.values() for e in part}.values())
    thoughts = {t for e in splits["train"] for t in e.thoughts} if config.data.thoughts else set()
    thoughts |= {caption for e in splits["train"] for caption in e.captions}
    texts = {e.header.instruction for e in splits["train"]} | thoughts
    if config.train.init_from:
        before = load(config.train.init_from)
        vocabulary = before.vocabulary.extend(specs)
        specs = tuple({spec.id: spec for spec in (*before.header.specs, *specs)}.values())
    elif config.train.opt_weights:
        meanings = dict.fromkeys(m for spec in specs for m in spec_meanings(spec))
        vocabulary = Vocabulary(opt_tokenizer(config.train.opt_weights), tuple(meanings))
    else:
        vocabulary = build_vocabulary(specs, texts, config.model.text_vocab_size)
    room = config.model.max_thought_tokens - 2
    if long := sum(len(vocabulary.encode_text(text)) > room for text in thoughts):
        logger.warning(
            "%d of %d thoughts and captions are cut to %d word pieces: model.max_thought_tokens is %d",
            long, len(thoughts), room, config.model.max_thought_tokens,
        )  # fmt: skip
    device = pick_device(config.train.device)
    store = build_dataset(splits, frames, vocabulary, config.model, config.data, device)
    if not store.steps("train"):
        raise ConfigError("data.task_weights and data.noop_sample_weight leave no step to train on")
    return TrainingData(store, vocabulary, specs, sum(map(len, splits.values())))


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
