"""Window dataset: frames, targets and masks of windows, sampling weights, swapped instructions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agent_core.config import DataConfig, ModelConfig
from agent_core.data.dataset import WindowDataset, WindowDraw
from agent_core.data.tables import build_dataset
from agent_core.errors import ConfigError
from agent_core.model.batch import Batch
from agent_core.tokens.vocabulary import CAPTION, THOUGHT, build_vocabulary
from games import Action
from games.voxel.spec import SPEC

VOCABULARY = build_vocabulary([SPEC], ["chop a tree", "hunt the pig"], 300)
STRIDE = 3


def action(**pressed: int) -> Action:
    return {**SPEC.null_action(), **pressed}


class Tape:
    """An episode whose frame i is painted with `first + i`; at step 4 the game did not do what was wanted."""

    spec = SPEC

    def __init__(self, steps: int, first: int, task: str, text: str) -> None:
        self.pictures = np.empty((steps, 8, 8, 3), np.uint8)
        self.pictures[:] = (first + np.arange(steps))[:, None, None, None]
        self.actions = [action(forward=i % 2) for i in range(steps)]
        self.executed = [action(attack=1) if i == 4 else a for i, a in enumerate(self.actions)]
        self.thoughts = ["walk" if i == 2 else "" for i in range(steps)]
        self.captions = ["a wall" if i == 3 else "" for i in range(steps)]
        self.instructions = [text] * steps
        self.by, self.observed = ["expert"] * steps, [True] * steps
        self.dropped_before: dict[int, int] = {}
        self.header = SimpleNamespace(instruction=text, task=task)

    def __len__(self) -> int:
        return len(self.actions)


LONG, SHORT = Tape(12, 100, "wood", "chop a tree"), Tape(4, 50, "meat", "hunt the pig")


def store_of(**changes: int) -> WindowDataset:
    splits = {"train": [LONG, SHORT], "validation": [Tape(5, 0, "wood", "chop a tree")]}
    frames = np.concatenate([e.pictures for split in splits.values() for e in split])
    sizes = {"frame_height": 8, "frame_width": 8, "pooled_grid": (1, 1), "context_frames": 3}
    model = ModelConfig.model_validate({**sizes, "frame_stride": STRIDE, **changes})
    return build_dataset(splits, frames, VOCABULARY, model, DataConfig(), torch.device("cpu"))


@pytest.fixture(scope="module")
def store() -> WindowDataset:
    return store_of()


def cut(store: WindowDataset, last: int, offset: int, hidden: bool, length: int = 4) -> Batch:
    """One window of four frames."""
    draw = WindowDraw(
        last=torch.tensor([last]),
        offset=torch.tensor([offset]),
        length=torch.tensor([length]),
        actions_masked=torch.tensor([hidden]),
        position_offset=torch.tensor([2]),
    )
    return store.build_windows(draw, 4)


def test_a_window_holds_every_third_frame_and_the_newest(store: WindowDataset) -> None:
    batch = cut(store, 9, 2, True)
    assert batch.frames[0, :, 0, 0, 0].tolist() == [101, 104, 107, 109]
    assert batch.frame_mask.all()


def test_no_window_reaches_into_another_episode(store: WindowDataset) -> None:
    batch = cut(store, 12 + 2, 1, True)  # the short episode's third step
    assert batch.frame_mask[0].tolist() == [False, False, True, True]
    assert batch.frames[0, 2:, 0, 0, 0].tolist() == [51, 52]
    assert VOCABULARY.decode_text(batch.instruction_ids[0].tolist()) == "hunt the pig"
    assert VOCABULARY.decode_text(batch.thought_ids[0].tolist()) == "walk"


def test_a_caption_is_said_where_there_is_one(store: WindowDataset) -> None:
    walk, wall = (cut(store, 12 + i, 1, True).thought_ids[0].tolist() for i in (2, 3))
    assert (walk[0], VOCABULARY.decode_text(walk)) == (THOUGHT, "walk")
    assert (wall[0], VOCABULARY.decode_text(wall)) == (CAPTION, "a wall")


def test_only_an_episodes_first_frame_must_stand_in_block_0(store: WindowDataset) -> None:
    assert cut(store, 11, 2, True).position_offset.tolist() == [2]
    assert cut(store, 4, 1, True).position_offset.tolist() == [0]


def test_a_short_window_forgets(store: WindowDataset) -> None:
    assert cut(store, 9, 2, True, length=2).frame_mask[0].tolist() == [False, False, True, True]


def test_seen_actions_are_those_done_and_targets_those_wanted(store: WindowDataset) -> None:
    walk = VOCABULARY.meaning_to_id["move.forward"]
    hit = VOCABULARY.meaning_to_id["attack.primary"]
    hidden, shown = cut(store, 7, 3, True), cut(store, 7, 3, False)  # frames 1, 4 and 7 of "wood"
    assert hidden.loss_mask.all()
    assert hit not in hidden.actions
    assert hit in shown.actions[0, 2]
    assert shown.loss_mask[0].tolist() == [True, True, False, True]
    newest = cut(store, 4, 3, False)  # the wanted one, although the game did another
    assert hit not in newest.actions[0, 3]
    assert newest.loss_mask[0, 3]
    assert walk in cut(store, 5, 3, False).actions[0, 3]


def test_tasks_are_drawn_evenly_and_parts_never_mix(store: WindowDataset) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = store.sample("train", 4000, DataConfig(window_frames=2), generator)
    meat = (batch.frames[:, -1, 0, 0, 0] < 60).float().mean().item()
    assert meat == pytest.approx(0.5, abs=0.03)  # although it has a quarter of the steps
    assert batch.frames[:, -1].min() >= 50
    draw = store.draw_windows("validation", 100, DataConfig(), generator, training=False)
    held_out = store.build_windows(draw, 6)
    assert held_out.frames[:, -1].max() < 5
    assert held_out.actions_masked.all()
    assert (draw.length == 6).all()
    assert store.steps("validation") == 5


def test_draws_depend_on_the_generator_alone(store: WindowDataset) -> None:
    first, second = (
        store.sample("train", 16, DataConfig(), torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(first.frames, second.frames)
    assert torch.equal(first.actions, second.actions)


def test_single_frames_are_drawn_as_often_as_asked_and_in_training_alone(
    store: WindowDataset,
) -> None:
    config = DataConfig(truncate_prob=0, single_frame_prob=0.75, window_frames=4)
    for training, share in ((True, 0.75), (False, 0)):
        generator = torch.Generator().manual_seed(0)
        draw = store.draw_windows("train", 2000, config, generator, training=training)
        assert {*draw.length.tolist()} <= {1, 4}
        assert (draw.length == 1).float().mean() == pytest.approx(share, abs=0.03)


def test_rows_are_read_of_the_same_draw(store: WindowDataset) -> None:
    whole, rows = (
        store.sample("train", 16, DataConfig(), torch.Generator().manual_seed(3), part)
        for part in (slice(None), slice(1, None, 2))
    )
    assert torch.equal(whole.frames[1::2], rows.frames)


def test_swapped_instructions_are_another_episodes(store: WindowDataset) -> None:
    draw = store.draw_windows(
        "train", 50, DataConfig(), torch.Generator().manual_seed(0), training=False
    )
    swapped = store.swapped_instructions("train", draw.last, torch.Generator().manual_seed(1))
    assert swapped is not None
    texts = [VOCABULARY.decode_text(ids.tolist()) for ids in swapped]
    instructions = [
        VOCABULARY.decode_text(store.texts[store.text_index[last]].tolist()) for last in draw.last
    ]
    assert {*zip(instructions, texts, strict=True)} == {
        ("chop a tree", "hunt the pig"),
        ("hunt the pig", "chop a tree"),
    }
    alone = store.swapped_instructions("validation", torch.tensor([17]), torch.Generator())
    assert alone is None
    assert VOCABULARY.decode_text(store.no_text.tolist()) == ""


def test_changes_of_the_wanted_action_are_found(store: WindowDataset) -> None:
    assert store.action_changed(torch.tensor([0, 1, 12, 13])).tolist() == [False, True, False, True]


def test_a_chunk_holds_the_next_actions_of_its_episode() -> None:
    store = store_of(action_chunk=3, max_action_tokens=31)
    walk, (start, end) = (
        VOCABULARY.meaning_to_id["move.forward"],
        (VOCABULARY.start, VOCABULARY.end),
    )
    stood, walked = (end,), (walk, end)  # even and odd steps

    def chunks(last: int) -> list[list[int]]:
        batch = cut(store, last, 3, True)
        assert batch.loss_mask.all()
        return [[i for i in ids if i] for ids in batch.actions[0].tolist()]

    assert chunks(7)[1:] == [
        [start, *walked, *stood, *walked],
        [start, *stood],  # the game did something else at step 4, and 5 answers to that
        [start, *walked, *stood, *walked],
    ]
    assert chunks(3)[-1] == [start, *walked, *stood]
    assert chunks(10)[-1] == [start, *stood, *walked]  # the last but one step of "wood"
    assert chunks(11)[-1] == [start, *walked]
    assert chunks(12 + 1)[-1] == [start, *walked, *stood, *walked]


def test_a_change_is_one_of_the_first_action_of_a_chunk() -> None:
    steps = torch.arange(16)
    store = store_of(action_chunk=2, max_action_tokens=21)
    assert store.action_changed(steps).tolist() == store_of().action_changed(steps).tolist()
    first = store.first_action(store.target_actions)
    assert first[:, :3].tolist() == store_of().target_actions[:, :3].tolist()
    assert not first[:, 3:].any()


def test_actions_without_room_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"max_action_tokens=12 .* voxel-v0 needs 31 for model\.action_chunk=3"
    ):
        store_of(action_chunk=3)


def test_games_are_told_apart_and_weighed_by_name() -> None:
    other = Tape(4, 50, "wood", "chop a tree")
    other.spec = SPEC.model_copy(update={"id": "other-v0"})
    episodes = [Tape(12, 100, "wood", "chop a tree"), other]
    frames = np.concatenate([e.pictures for e in episodes])
    model = ModelConfig(frame_height=8, frame_width=8, pooled_grid=(1, 1))
    data = DataConfig(window_frames=2, task_weights={"wood": 1.0, "other/wood": 3.0})
    store = build_dataset(
        {"train": episodes, "validation": []}, frames, VOCABULARY, model, data, torch.device("cpu")
    )
    assert store.games("train") == ("other", "voxel")
    assert store.games("validation") == ()
    share = store.cumulative_weights["train/other"][-1] / store.cumulative_weights["train"][-1]
    assert share.item() == pytest.approx(0.75)
    drawn = store.sample("train/other", 50, data, torch.Generator().manual_seed(0))
    assert drawn.frames[:, -1].max() < 60
