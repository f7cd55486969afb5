"""Where do training windows come from? All episodes as flat tensors on the device, windows by gather.

Frames of all episodes lie behind each other in one uint8 tensor; actions and texts are ids in padded tables. A batch
is a few index operations, no work per sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent_core.config import ConfigError, DataConfig, ModelConfig
from agent_core.model.batch import Batch
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import CAPTION, THOUGHT, Vocabulary
from games import Action, GameSpec


class About(Protocol):
    """What windows need to know of an episode's header."""

    @property
    def instruction(self) -> str: ...
    @property
    def task(self) -> str: ...


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
    def thoughts(self) -> list[str]: ...
    @property
    def captions(self) -> list[str]: ...
    def __len__(self) -> int: ...


class FrameSource(Protocol):
    """Frames (M, H, W, 3) that are read when they are asked for, as `recorder.JpegFrames` gives them."""

    shape: tuple[int, int, int, int]

    def __len__(self) -> int: ...
    def read(self, indices: NDArray[np.int64], /) -> NDArray[np.uint8]: ...


Frames = NDArray[np.uint8] | FrameSource
"""(M, H, W, 3)."""


@dataclass
class WindowDataset:
    """All steps (M) of all episodes (E) as tensors."""

    frames: Tensor | FrameSource
    """(M, H, W, 3) uint8; may stay on the CPU where the device is too small, or on the disk as JPEGs."""
    target_actions: Tensor
    """(M, A) ids of the wanted actions: a chunk from each step on."""
    executed: Tensor
    """(M, A) ids of what the game did."""
    episode_start: Tensor
    """(M,) index of the episode's first step."""
    episode_index: Tensor
    """(M,)."""
    thought: Tensor
    """(M,) row of `thoughts`."""
    texts: Tensor
    """(E, W) instruction ids."""
    thoughts: Tensor
    """(U, K) ids; row 0 is empty."""
    cumulative_weights: dict[str, Tensor]
    """By part ("train", "validation") and by part and game ("train/voxel"): cumulated weight of every step, float64."""
    frame_stride: int
    context_frames: int
    end: int
    """The id that closes an action."""

    @property
    def device(self) -> torch.device:
        return self.target_actions.device

    def games(self, split: str) -> tuple[str, ...]:
        """The games that windows of a part may come from, by their specs' names."""
        found = [name for name in self.cumulative_weights if name.startswith(f"{split}/")]
        return tuple(name.partition("/")[2] for name in found if self.steps(name))

    def steps(self, split: str) -> int:
        """Steps that windows of a part may end on."""
        weights = torch.diff(
            self.cumulative_weights[split], prepend=self.cumulative_weights[split].new_zeros(1)
        )
        return int((weights > 0).sum())

    def sample(
        self,
        split: str,
        size: int,
        config: DataConfig,
        generator: torch.Generator,
        *,
        training: bool = True,
        max_rows: slice = slice(None),
    ) -> Batch:
        """Draw windows and read `rows` of them; validation ones are whole and hide earlier actions, as in play."""
        total = self.cumulative_weights[split]
        draw = torch.rand(size, generator=generator, device=self.device, dtype=torch.float64)
        last = torch.searchsorted(total, draw * total[-1], right=True).clamp(max=len(total) - 1)
        count = config.window_frames
        offset = torch.randint(
            1, self.frame_stride + 1, (size,), generator=generator, device=self.device
        )
        chance = torch.rand(3, size, generator=generator, device=self.device)
        length = torch.full((size,), count, device=self.device)
        hidden = torch.ones(size, dtype=torch.bool, device=self.device)
        if training:
            shorter = 1 + (chance[1] * count).long().clamp(max=count - 1)
            length = torch.where(chance[0] < config.truncate_prob, shorter, length)
            hidden = chance[2] < config.mask_actions_prob
        turn = torch.randint(
            0, self.context_frames, (size,), generator=generator, device=self.device
        )
        return self.build_windows(
            last[max_rows],
            offset[max_rows],
            length[max_rows],
            hidden[max_rows],
            turn[max_rows],
            count,
        )

    def build_windows(
        self,
        last: Tensor,
        offset: Tensor,
        length: Tensor,
        actions_masked: Tensor,
        position_offset: Tensor,
        count: int,
    ) -> Batch:
        """Windows ending on steps `last` (B,); the frame before lies `offset` (B,) steps back, then every stride.

        An episode's first frame stands in block 0, as in play; other windows begin in block `turn` (B,).
        """
        back = (
            torch.arange(count - 2, -2, -1, device=self.device) * self.frame_stride
        )  # …, s, 0, -s
        steps = last[:, None] - offset[:, None] - back[None]
        steps[:, -1] = last
        first = self.episode_start[last][:, None]
        young = torch.arange(count - 1, -1, -1, device=self.device)[None] < length[:, None]
        present = (steps >= first) & young
        steps = torch.maximum(steps, first)
        labels, executed = self.target_actions[steps], self.executed[steps]
        same = (labels == executed).all(2)
        newest = torch.arange(count, device=self.device) == count - 1
        wanted = actions_masked[:, None] | newest[None]
        return Batch(
            self.read_frames(steps),
            present,
            self.texts[self.episode_index[last]],
            torch.where(wanted[:, :, None], labels, executed),
            wanted | same,
            self.thoughts[self.thought[last]],
            actions_masked,
            torch.where(present[:, 0], position_offset, 0),
        )

    def read_frames(self, steps: Tensor) -> Tensor:
        """The frames of steps (…): (…, H, W, 3) uint8 on the device.

        From main memory they go to a GPU through pages that it can fetch itself, while the processor goes on.
        """
        if isinstance(self.frames, Tensor) and self.frames.device == self.device:
            return self.frames[steps]
        wanted = steps.flatten().cpu()
        size, on_gpu = (len(wanted), *self.frames.shape[1:]), self.device.type == "cuda"
        found = torch.empty(size, dtype=torch.uint8, pin_memory=on_gpu)
        if isinstance(self.frames, Tensor):
            torch.index_select(self.frames, 0, wanted, out=found)
        else:
            found.copy_(torch.from_numpy(self.frames.read(wanted.numpy())))
        return found.to(self.device, non_blocking=True).view(*steps.shape, *size[1:])

    def action_changed(self, last: Tensor) -> Tensor:
        """(B,) bool: the wanted action differs from the step before (an episode's first step does not count)."""
        before = torch.maximum(last - 1, self.episode_start[last])
        now, then = (
            self.first_action(self.target_actions[last]),
            self.first_action(self.target_actions[before]),
        )
        return (now != then).any(1)

    def first_action(self, ids: Tensor) -> Tensor:
        """Of chunks (…, A) what stands up to their first END; 0 behind it."""
        ends = (ids == self.end).long()
        out: Tensor = ids * (ends.cumsum(-1) == ends)
        return out


def build_dataset(
    splits: dict[str, Sequence[EpisodeLike]],
    frames: Frames,
    vocabulary: Vocabulary,
    model: ModelConfig,
    data: DataConfig,
    device: torch.device,
) -> WindowDataset:
    """Tables of all parts' episodes, in order; `frames` holds their frames in the same order."""
    episodes = [episode for part in splits.values() for episode in part]
    lengths = np.array([len(e) for e in episodes])
    total = int(lengths.sum())
    if total != len(frames):
        raise ValueError(f"{len(frames)} frames for {total} steps")
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    encoder = _Encoder(vocabulary, model)
    done = [[encoder.ids(e.spec, action) for action in e.executed] for e in episodes]
    wanted = [[encoder.ids(e.spec, action) for action in e.actions] for e in episodes]
    executed = [ids for of_one in done for ids in of_one]
    labels = [
        c
        for pair in zip(wanted, done, strict=True)
        for c in _action_chunks(*pair, model.action_chunk)
    ]
    rows = {(THOUGHT, ""): 0}
    said = [pair for e in episodes for pair in _thought_targets(e, data.thoughts)]
    thought = [rows.setdefault(pair, len(rows)) for pair in said]
    texts = [vocabulary.text_ids(e.header.instruction, model.max_text_tokens) for e in episodes]
    told = [
        vocabulary.thought_ids(text, model.max_thought_tokens, kind) if text else []
        for kind, text in rows
    ]
    width = max(2, *(len(ids) for ids in (*labels, *executed)))  # 2: where nothing is ever done
    words = max(map(len, texts))
    spoken = max(1, *map(len, told)) if len(told) > 1 else 1

    def table(ids: list[list[int]], size: int) -> Tensor:
        out = np.zeros((len(ids), size), np.int64)
        for row, values in zip(out, ids, strict=True):
            row[: len(values)] = values
        return torch.from_numpy(out).to(device)

    cumulative, begin = {}, 0
    game_of = np.repeat([e.spec.name for e in episodes], lengths)
    for name, part in splits.items():
        weights = np.zeros(total)
        size = sum(len(e) for e in part)
        weights[begin : begin + size] = _episode_weights(part, data) * _step_weights(part, data)
        begin += size
        cumulative[name] = torch.from_numpy(np.cumsum(weights)).to(device)
        for game in sorted({e.spec.name for e in part}):
            chosen = np.where(game_of == game, weights, 0)
            cumulative[f"{name}/{game}"] = torch.from_numpy(np.cumsum(chosen)).to(device)
    return WindowDataset(
        _frames_to_device(frames, device) if isinstance(frames, np.ndarray) else frames,
        table(labels, width),
        table(executed, width),
        torch.from_numpy(np.repeat(starts, lengths)).to(device),
        torch.from_numpy(np.repeat(np.arange(len(episodes)), lengths)).to(device),
        torch.tensor(thought, device=device),
        table(texts, words),
        table(told, min(spoken, model.max_thought_tokens)),
        cumulative,
        model.frame_stride,
        model.context_frames,
        vocabulary.end,
    )


def _action_chunks(wanted: list[list[int]], done: list[list[int]], length: int) -> list[list[int]]:
    """Each step's action and those of the `length` - 1 steps after it: START, action, END, action, END, …

    Fewer at the episode's end, and none behind a step where the game did something else than was wanted: what was
    wanted next answers to that.
    """
    chunks = []
    for first in range(len(wanted)):
        chunk = list(wanted[first])
        for step in range(first + 1, min(first + length, len(wanted))):
            if wanted[step - 1] != done[step - 1]:
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
    of = data.task_weights
    even = data.mixture == "tasks"
    each = [
        of.get(full, of.get(task, 1.0)) / (counts[full] if even else 1.0) for full, task in tasks
    ]
    return np.repeat(each, [len(e) for e in episodes])


def _thought_targets(episode: EpisodeLike, thoughts: bool) -> list[tuple[int, str]]:
    """What is to be said at each step: the caption where there is one, else the thought."""
    return [
        (CAPTION, caption) if caption else (THOUGHT, thought if thoughts else "")
        for caption, thought in zip(episode.captions, episode.thoughts, strict=True)
    ]


def _step_weights(episodes: Sequence[EpisodeLike], data: DataConfig) -> NDArray[np.float64]:
    """A factor per step: of idle steps, and of those whose action is another than the one before."""
    factors = []
    for e in episodes:
        idle = [action == e.spec.null_action() for action in e.actions]
        changed = [True, *(a != b for a, b in pairwise(e.actions))]
        factors.append(
            np.where(idle, data.noop_sample_weight, 1.0)
            * np.where(changed, data.change_sample_weight, 1.0)
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
        self._attached: dict[str, ActionCodec] = {}
        self._known: dict[tuple[Any, ...], list[int]] = {}

    def ids(self, spec: GameSpec, action: Action) -> list[int]:
        if not spec.controls:
            return []  # not even the markers: there is no action to learn
        key = (spec.id, *action.values())
        if key not in self._known:
            if spec.id not in self._attached:
                self._attached[spec.id] = self._attach(spec)
            self._known[key] = self._attached[spec.id].encode(action)
        return self._known[key]

    def _attach(self, spec: GameSpec) -> ActionCodec:
        attachment, model = ActionCodec(spec, self._vocabulary), self._model
        if (needed := attachment.max_chunk_tokens(model.action_chunk)) > model.max_action_tokens:
            raise ConfigError(
                f"model.max_action_tokens={model.max_action_tokens} is too few: {spec.id} needs {needed} "
                f"for model.action_chunk={model.action_chunk}"
            )
        return attachment
