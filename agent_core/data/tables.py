"""Dataset tables: episodes' actions, texts and thoughts as ids, sampling weights by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent_core.config import DataConfig, ModelConfig
from agent_core.data.dataset import Frames, WindowDataset
from agent_core.errors import ConfigError
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import CAPTION, THOUGHT, Vocabulary
from games import Action, GameSpec


class EpisodeLike(Protocol):
    """An episode as `recorder.Episode` has it."""

    @property
    def spec(self) -> GameSpec: ...
    @property
    def header(self) -> Any: ...
    @property
    def actions(self) -> list[Action]: ...
    @property
    def executed(self) -> list[Action]: ...
    @property
    def by(self) -> list[str]: ...
    @property
    def observed(self) -> list[bool]: ...
    @property
    def dropped_before(self) -> dict[int, int]: ...
    @property
    def thoughts(self) -> list[str]: ...
    @property
    def captions(self) -> list[str]: ...
    @property
    def instructions(self) -> list[str]: ...
    def __len__(self) -> int: ...


def build_dataset(
    splits: Mapping[str, Sequence[EpisodeLike]],
    frames: Frames,
    vocabulary: Vocabulary,
    model: ModelConfig,
    data: DataConfig,
    device: torch.device,
) -> WindowDataset:
    """Tables of all splits' episodes, in order; `frames` holds their frames in the same order."""
    episodes = [episode for split in splits.values() for episode in split]
    lengths = np.array([len(e) for e in episodes])
    if (total := int(lengths.sum())) != len(frames):
        raise ValueError(f"{len(frames)} frames for {total} steps")
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    encoder = _Encoder(vocabulary, model)
    executed = [[encoder.ids(e.spec, action) for action in e.executed] for e in episodes]
    wanted = [[encoder.ids(e.spec, action) for action in e.actions] for e in episodes]
    done = [ids for of_episode in executed for ids in of_episode]
    targets = [learned_steps(e) for e in episodes]
    begins = [_stretch_begins(e) for e in episodes]
    labels = [
        chunk
        for of_episode in zip(wanted, executed, begins, targets, strict=True)
        for chunk in _action_chunks(*of_episode, model.action_chunk)
    ]
    width = max(2, *(len(ids) for ids in (*labels, *done)))  # 2: where nothing is ever done
    instructed = [given for e in episodes for given in _instructions(e)]
    texts = [vocabulary.text_ids(text, model.max_text_tokens) for text, _ in instructed]
    no_text = vocabulary.text_ids("", model.max_text_tokens)
    text_width = max(map(len, (*texts, no_text)))
    thought_rows, thoughts = _thought_table(episodes, vocabulary, model, data)

    def table(ids: list[list[int]], width: int) -> Tensor:
        return _padded(ids, width).to(device)

    return WindowDataset(
        _frames_to_device(frames, device) if isinstance(frames, np.ndarray) else frames,
        table(labels, width),
        table(done, width),
        torch.from_numpy(np.repeat(starts, lengths) + np.concatenate(begins)).to(device),
        torch.from_numpy(np.repeat(np.arange(len(texts)), [n for _, n in instructed])).to(device),
        torch.tensor(thought_rows, device=device),
        table(texts, text_width),
        table(thoughts, max(1, *map(len, thoughts)) if len(thoughts) > 1 else 1),
        {name: w.to(device) for name, w in _cumulative_weights(splits, data).items()},
        model.frame_stride,
        model.context_frames,
        table([no_text], text_width)[0],
        vocabulary.end,
        torch.from_numpy(np.concatenate(targets)).to(device),
    )


def learned_steps(episode: EpisodeLike) -> NDArray[np.bool_]:
    """(T,) whether a step's action is learned: it was observed, and somebody played from whom to learn."""
    if not episode.spec.controls:
        return np.ones(len(episode), bool)
    left_out = {"nobody"} if _agent_did_well(episode) else {"nobody", "agent"}
    observed = zip(episode.observed, episode.by, strict=True)
    return np.array([is_observed and by not in left_out for is_observed, by in observed], bool)


def _agent_did_well(episode: EpisodeLike) -> bool:
    """Whether the actions of steps that the agent played are learned: they are an expert's, or nothing went wrong.

    Where a person took over, the agent's own steps are what led there (HG-DAgger, Kelly et al. 2019).
    """
    if "agent" not in episode.by or episode.header.teacher:
        return True
    return episode.header.success is not False and "human" not in episode.by


def _stretch_begins(episode: EpisodeLike) -> NDArray[np.int64]:
    """(T,) the first step of the unbroken stretch that each step is in.

    One begins behind every dropped step, and with every new instruction, which empties the context in play too.
    """
    begins = np.zeros(len(episode), np.int64)
    for step in (*episode.dropped_before, *_instruction_begins(episode)):
        begins[step] = step
    return np.maximum.accumulate(begins)


def _instruction_begins(episode: EpisodeLike) -> list[int]:
    """The steps from which on another instruction is in force."""
    return [i for i, (a, b) in enumerate(pairwise(episode.instructions), 1) if a != b]


def _instructions(episode: EpisodeLike) -> list[tuple[str, int]]:
    """An episode's instructions one after another, each with the number of its steps."""
    begins = [0, *_instruction_begins(episode), len(episode)]
    return [(episode.instructions[a], b - a) for a, b in pairwise(begins) if a < b]


def _padded(ids: list[list[int]], width: int) -> Tensor:
    """(len(ids), width) int64, padded with 0."""
    out = np.zeros((len(ids), width), np.int64)
    for row, values in zip(out, ids, strict=True):
        row[: len(values)] = values
    return torch.from_numpy(out)


def _thought_table(
    episodes: Sequence[EpisodeLike], vocabulary: Vocabulary, model: ModelConfig, data: DataConfig
) -> tuple[list[int], list[list[int]]]:
    """The row of every step's thought or caption, and the rows: ids of the distinct ones, the first empty."""
    rows = {(THOUGHT, ""): 0}
    targets = [pair for e in episodes for pair in _thought_targets(e, data.thoughts)]
    row_of_step = [rows.setdefault(pair, len(rows)) for pair in targets]
    ids = [
        vocabulary.thought_ids(text, model.max_thought_tokens, kind) if text else []
        for kind, text in rows
    ]
    return row_of_step, ids


def _cumulative_weights(
    splits: Mapping[str, Sequence[EpisodeLike]], data: DataConfig
) -> dict[str, Tensor]:
    """By split, and by split and game: cumulative sampling weight over the steps of all splits, (M,) float64."""
    names = np.array(
        [e.spec.name for split in splits.values() for e in split for _ in range(len(e))]
    )
    cumulative, begin = {}, 0
    for name, split in splits.items():
        weights = np.zeros(len(names))
        size = sum(len(e) for e in split)
        weights[begin : begin + size] = _episode_weights(split, data) * _step_weights(split, data)
        begin += size
        cumulative[name] = torch.from_numpy(np.cumsum(weights))
        for game in sorted({e.spec.name for e in split}):
            of_game = np.where(names == game, weights, 0)
            cumulative[f"{name}/{game}"] = torch.from_numpy(np.cumsum(of_game))
    return cumulative


def _action_chunks(
    wanted: list[list[int]],
    executed: list[list[int]],
    begins: NDArray[np.int64],
    targets: NDArray[np.bool_],
    length: int,
) -> list[list[int]]:
    """Each step's action and those of the `length` - 1 steps after it: START, action, END, action, END, …

    Fewer at the episode's end, before a gap and before a step that is no target. None behind a step where the game did
    something else than was wanted: what was wanted next answers to that.
    """
    chunks = []
    for first in range(len(wanted)):
        chunk = list(wanted[first])
        for step in range(first + 1, min(first + length, len(wanted))):
            if wanted[step - 1] != executed[step - 1] or begins[step] > first or not targets[step]:
                break
            chunk += wanted[step][1:]
        chunks.append(chunk)
    return chunks


def _episode_weights(episodes: Sequence[EpisodeLike], data: DataConfig) -> NDArray[np.float64]:
    """A weight per step: every task of every game evenly, or every step, times the task's in the configuration."""
    tasks = [(f"{e.spec.name}/{e.header.task}", e.header.task) for e in episodes]
    counts: dict[str, int] = {}
    for (full, _), e in zip(tasks, episodes, strict=True):
        counts[full] = counts.get(full, 0) + len(e)
    factors, even = data.task_weights, data.mixture == "tasks"
    weights = [
        factors.get(full, factors.get(task, 1.0)) / (counts[full] if even else 1.0)
        for full, task in tasks
    ]
    return np.repeat(weights, [len(e) for e in episodes])


def _thought_targets(episode: EpisodeLike, thoughts: bool) -> list[tuple[int, str]]:
    """The target text of each step: the caption where there is one, else the thought."""
    return [
        (CAPTION, caption) if caption else (THOUGHT, thought if thoughts else "")
        for caption, thought in zip(episode.captions, episode.thoughts, strict=True)
    ]


def _step_weights(episodes: Sequence[EpisodeLike], data: DataConfig) -> NDArray[np.float64]:
    """A factor per step: for idle steps, and for those whose action differs from the one before; 0 for no targets."""
    factors = []
    for e in episodes:
        null = e.spec.null_action()
        idle = [action == null for action in e.actions]
        changed = np.array([True, *(a != b for a, b in pairwise(e.actions))])
        changed |= _stretch_begins(e) == np.arange(len(e))
        factors.append(
            np.where(idle, data.noop_sample_weight, 1.0)
            * np.where(changed, data.change_sample_weight, 1.0)
            * learned_steps(e)
        )
    return np.concatenate(factors) if factors else np.zeros(0)


def _frames_to_device(frames: NDArray[np.uint8], device: torch.device) -> Tensor:
    """On the device where it takes at most half of its free memory, else in main memory."""
    if device.type != "cuda" or frames.nbytes > torch.cuda.mem_get_info(device)[0] * 0.5:
        if not frames.flags.writeable and device.type != "cuda":
            frames = np.lib.stride_tricks.as_strided(frames, writeable=True)
        return torch.from_numpy(frames if frames.flags.writeable else np.array(frames))
    out = torch.empty(frames.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(frames), 16384):
        out[start : start + 16384] = torch.from_numpy(np.array(frames[start : start + 16384]))
    return out


class _Encoder:
    """Actions to ids, each distinct action once; raises `ConfigError` for a game whose actions have no room."""

    def __init__(self, vocabulary: Vocabulary, model: ModelConfig) -> None:
        self._vocabulary = vocabulary
        self._model = model
        self._codecs: dict[str, ActionCodec] = {}
        self._ids: dict[tuple[Any, ...], list[int]] = {}

    def ids(self, spec: GameSpec, action: Action) -> list[int]:
        if not spec.controls:
            return []  # not even the markers: there is no action to learn
        key = (spec.id, *action.values())
        if key not in self._ids:
            if spec.id not in self._codecs:
                self._codecs[spec.id] = self._codec(spec)
            self._ids[key] = self._codecs[spec.id].encode(action)
        return self._ids[key]

    def _codec(self, spec: GameSpec) -> ActionCodec:
        codec, model = ActionCodec(spec, self._vocabulary), self._model
        if (needed := codec.max_chunk_tokens(model.action_chunk)) > model.max_action_tokens:
            raise ConfigError(
                f"model.max_action_tokens={model.max_action_tokens} is too few: {spec.id} needs {needed} "
                f"for model.action_chunk={model.action_chunk}"
            )
        return codec
