"""Run fingerprint: the settings, data and vocabulary that a resumed run must share with its beginning.

The budget, the optimizer's settings and how the work is laid out (device, precision, processes, micro-batches,
intervals) may change from one resumption to the next; what the weights mean and what they are trained on may not.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_core.config import RunConfig
from agent_core.data.corpus import TrainingData
from agent_core.data.dataset import WindowDataset
from agent_core.errors import TrainError
from agent_core.tokens.vocabulary import Vocabulary
from agent_core.training.run_dir import BEST, LAST
from agent_core.weights.checkpoint import HEADER, read_header
from recorder.format.atomic import current_or_old

_TITLES = {"iafm": "an IAFM", "cnn-gru": "a CNN+GRU"}
_TRAIN_SETTINGS = ("batch", "seed", "init_from", "clip_weights", "opt_weights")
_FREE_DATA_SETTINGS = ("episodes", "cache", "cache_format", "strict")
"""Where episodes lie, how their frames are cached and what is done with damaged ones; the episodes themselves are
compared by content."""


@dataclass(frozen=True)
class RunFingerprint:
    """What must match; `network` is the kind of model ("iafm", "cnn-gru")."""

    network: str
    settings: dict[str, Any]
    """By name ("model.width"), as JSON."""
    vocabulary: str
    data: str
    """Hash of all steps' actions, texts and splits."""
    episodes: int
    steps: int

    def check(self, saved: RunFingerprint, folder: Path, best: Path) -> None:
        """Raises `TrainError` that names the first difference from the run saved in `folder`, and the ways out."""
        way_out = "take another folder with --run, or begin anew with --fresh"
        if saved.network != self.network:
            raise TrainError(
                f"{folder} holds {_TITLES.get(saved.network, saved.network)}; {way_out}"
            )
        names = sorted({*self.settings, *saved.settings})
        for name in names:
            before, now = saved.settings.get(name), self.settings.get(name)
            if before != now:
                raise TrainError(
                    f"{folder} belongs to another model or data set: {name} was {before!r}, now {now!r}; {way_out}"
                )
        if (saved.data, saved.vocabulary) != (self.data, self.vocabulary):
            if self.network == "iafm":
                way_out += (
                    f", or start from its weights in another folder with train.init_from={best}"
                )
            size, size_now = (f"{r.episodes} episodes of {r.steps} steps" for r in (saved, self))
            raise TrainError(
                f"{folder} belongs to another model or data set: it began with {size}, these are {size_now}"
                f"{', but other ones' if size == size_now else ''}; {way_out}"
            )


def refuse_other_network(run_dir: Path, network: str) -> None:
    """Raises `TrainError` where the folder holds checkpoints of another kind of network."""
    for name in (BEST, LAST):
        header = current_or_old(run_dir / name) / HEADER
        if header.exists() and (kind := read_header(header).get("kind", "iafm")) != network:
            title = _TITLES.get(kind, kind)
            raise TrainError(f"{run_dir} holds {title}; take another folder with --run")


def fingerprint(network: str, config: RunConfig, corpus: TrainingData) -> RunFingerprint:
    """Of a run that is about to begin or to be resumed."""
    raw = config.model_dump(mode="json")
    settings = {f"{s}.{name}": value for s in ("model", "loss") for name, value in raw[s].items()}
    settings |= {
        f"data.{name}": value
        for name, value in raw["data"].items()
        if name not in _FREE_DATA_SETTINGS
    }
    settings |= {f"train.{name}": raw["train"][name] for name in _TRAIN_SETTINGS}
    dataset = corpus.dataset
    return RunFingerprint(
        network,
        settings,
        _of_vocabulary(corpus.vocabulary),
        _of_dataset(dataset),
        corpus.episodes,
        len(dataset.target_actions),
    )


def _of_vocabulary(vocabulary: Vocabulary) -> str:
    """Weights learned with other ids must not be resumed with these."""
    text = json.dumps([vocabulary.tokenizer_json, vocabulary.action_meanings])
    return hashlib.sha256(text.encode()).hexdigest()


def _of_dataset(dataset: WindowDataset) -> str:
    """Of every table but the frames, which follow from the episodes."""
    digest = hashlib.sha256()
    tables = (
        dataset.target_actions,
        dataset.executed,
        dataset.episode_start,
        dataset.text_index,
        dataset.is_target,
        dataset.texts,
        dataset.thought,
        dataset.thoughts,
        *(dataset.is_drawn(name) for name in sorted(dataset.cumulative_weights)),
    )
    for table in tables:
        digest.update(str(tuple(table.shape)).encode())
        digest.update(table.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
