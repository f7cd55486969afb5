"""Gaps and steps without a player: what training does with what the data says about itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agent_core.baseline.sequences import SEQUENCE_LENGTH, build_sequences
from agent_core.config import DataConfig, ModelConfig, RunConfig
from agent_core.data.corpus import build_training_data
from agent_core.data.dataset import WindowDataset, WindowDraw
from agent_core.data.tables import build_dataset
from agent_core.errors import ConfigError
from agent_core.tokens.vocabulary import build_vocabulary
from games import GameSpec
from recorder import CaptureInfo, CaptureWriter, open_episodes
from tests.recorder.damaged_captures import SPEC

WATCHED = SPEC.model_copy(update={"id": "watched-v0", "controls": (), "exclusive": ()})
GAP, STEPS = 5, 12
UNOBSERVED, NOBODY = 8, 10


def dataset(root: Path, spec: GameSpec = SPEC, **changes: int) -> WindowDataset:
    """One episode: four steps are missing before step 5, step 8 was not observed, nobody played at step 10.

    Frame i is a grey of 20 i; jump is down on odd steps.
    """
    with CaptureWriter.create(root, spec, CaptureInfo(), disk_needed=0) as capture:
        for i in range(STEPS):
            if i == GAP:
                capture.count_dropped(4)
            capture.step(
                np.full(spec.frame.shape, 20 * i, np.uint8),
                {"jump": i % 2} if spec.controls else {},
                observed=i != UNOBSERVED,
                by="nobody" if i == NOBODY else None,
            )
    episodes = open_episodes(root)
    sizes = {"frame_height": 16, "frame_width": 24, "pooled_grid": (1, 1), "context_frames": 3}
    settings = {**sizes, "frame_stride": 1, "max_action_tokens": 40, **changes}
    vocabulary = build_vocabulary((spec,), {""}, 300)
    model = ModelConfig.model_validate(settings)
    splits = {"train": list(episodes), "validation": []}
    device = torch.device("cpu")
    return build_dataset(
        splits, episodes[0].frames(), vocabulary, model, DataConfig(change_sample_weight=3), device
    )


@pytest.fixture
def store(tmp_path: Path) -> WindowDataset:
    return dataset(tmp_path)


def draw(last: int) -> WindowDraw:
    """A window that ends on a step; earlier actions are seen."""
    one = torch.tensor([1])
    return WindowDraw(torch.tensor([last]), one, one * 4, torch.tensor([False]), one)


def greys(frames: torch.Tensor) -> list[int]:
    return [round(value / 20) for value in frames[:, 0, 0, 0].tolist()]


@pytest.mark.parametrize(("last", "first"), [(4, 1), (5, 5), (6, 5), (7, 5), (8, 5), (9, 6)])
def test_no_window_reaches_over_a_gap(store: WindowDataset, last: int, first: int) -> None:
    batch = store.build_windows(draw(last), 4)
    present = batch.frame_mask[0]
    assert greys(batch.frames[0][present]) == list(range(first, last + 1))


def test_the_baselines_sequences_do_not_either(store: WindowDataset) -> None:
    before, behind = (build_sequences(store, torch.tensor([last])) for last in (2, 7))
    assert before.loss_mask[0].tolist() == [i < GAP for i in range(SEQUENCE_LENGTH)]
    assert greys(before.frames[0][:GAP]) == list(range(GAP))
    steps = range(GAP, GAP + SEQUENCE_LENGTH)
    is_learned = [i < STEPS and i not in (UNOBSERVED, NOBODY) for i in steps]
    assert behind.loss_mask[0].tolist() == is_learned
    assert behind.target_index.tolist() == [7 - GAP]


def test_steps_without_a_player_are_context_alone(store: WindowDataset) -> None:
    drawn = store.is_drawn("train").nonzero()[:, 0].tolist()
    assert drawn == [i for i in range(STEPS) if i not in (UNOBSERVED, NOBODY)]
    batch = store.build_windows(draw(NOBODY + 1), 4)
    assert greys(batch.frames[0]) == [8, 9, 10, 11]
    assert batch.frame_mask.all()
    assert batch.loss_mask[0].tolist() == [False, True, False, True]


def test_a_gap_begins_a_change(store: WindowDataset) -> None:
    weights = torch.diff(store.cumulative_weights["train"], prepend=torch.zeros(1).double())
    assert weights[GAP] == weights[0] > 0
    assert not store.action_changed(torch.tensor([GAP]))


def test_chunks_end_before_a_gap_and_before_what_nobody_played(tmp_path: Path) -> None:
    store = dataset(tmp_path, action_chunk=4)
    ends = (store.target_actions == store.end).sum(1).tolist()
    assert ends == [4, 4, 3, 2, 1, 3, 2, 1, 2, 1, 2, 1]


def test_pictures_without_actions_need_no_player(tmp_path: Path) -> None:
    assert dataset(tmp_path, WATCHED).steps("train") == STEPS


def test_nothing_to_learn_is_an_error(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo(), disk_needed=0) as capture:
        for _ in range(3):
            capture.step(np.zeros(SPEC.frame.shape, np.uint8), {}, by="nobody")
    episodes = open_episodes(tmp_path)
    splits = {"train": list(episodes), "validation": []}
    with pytest.raises(ConfigError, match="nobody played leave no step"):
        build_training_data(RunConfig(), splits, np.zeros((3, 72, 128, 3), np.uint8))
