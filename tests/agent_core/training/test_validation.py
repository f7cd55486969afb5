"""Validation: which windows are predicted with other instructions, and what their scores are shares of."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agent_core.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from agent_core.data.dataset import WindowDataset, WindowDraw
from agent_core.data.tables import build_dataset
from agent_core.tokens.vocabulary import build_vocabulary
from agent_core.training.report import grounding_warnings
from agent_core.training.validation import GROUNDING_WINDOWS, WindowScores, scores_by_game
from games import GameSpec
from games.voxel.spec import SPEC

MODEL = ModelConfig(frame_height=8, frame_width=8, pooled_grid=(1, 1), context_frames=2)
DATA = DataConfig(window_frames=2)
INSTRUCTIONS = ("chop a tree", "hunt the pig")
VOCABULARY = build_vocabulary([SPEC], INSTRUCTIONS, 300)


class FakeEpisode:
    """Four steps of doing nothing."""

    def __init__(self, spec: GameSpec, instruction: str) -> None:
        self.spec = spec
        self.actions = self.executed = [SPEC.null_action()] * 4
        self.thoughts = self.captions = [""] * 4
        self.instructions = [instruction] * 4
        self.by, self.observed = ["expert"] * 4, [True] * 4
        self.dropped_before: dict[int, int] = {}
        self.header = SimpleNamespace(instruction=instruction, task="wood")

    def __len__(self) -> int:
        return 4


def dataset_of(*games: str, instructions: tuple[str, ...] = INSTRUCTIONS) -> WindowDataset:
    specs = [SPEC.model_copy(update={"id": game}) for game in games]
    episodes = [FakeEpisode(spec, words) for spec in specs for words in instructions]
    frames = np.zeros((4 * len(episodes), 8, 8, 3), np.uint8)
    device = torch.device("cpu")
    return build_dataset({"validation": episodes}, frames, VOCABULARY, MODEL, DATA, device)


@dataclass
class Scorer:
    """A model that is right with the windows' instructions, and wrong with all others."""

    windows: int
    sizes: list[int]

    def score(self) -> WindowScores:
        tokens = torch.tensor(float(self.windows))
        return WindowScores(0.5 * tokens, tokens, torch.ones(self.windows, dtype=torch.bool))

    def exact(self, instruction_ids: torch.Tensor) -> torch.Tensor:
        assert len(instruction_ids) == self.windows
        self.sizes.append(self.windows)
        return torch.zeros(self.windows, dtype=torch.bool)


@pytest.mark.parametrize(
    ("games", "windows", "grounding"),
    [
        (("one-v0",), 3, [1]),
        (("one-v0",), 240, [50, 10]),
        (("one-v0",), 2500, [50] * 10 + [12]),
        (("one-v0", "two-v0"), 2500, ([50] * 5 + [6]) * 2),
    ],
    ids=["a few windows", "a quarter of them", "512 at most", "two games"],
)
def test_other_instructions_are_tried_on_the_first_windows_alone(
    games: tuple[str, ...], windows: int, grounding: list[int]
) -> None:
    train = TrainConfig(steps=1, device="cpu", validation_windows=windows)
    config = RunConfig(model=MODEL, data=DATA, train=train)
    read_sizes: list[int] = []
    exact_sizes: list[int] = []

    def read(draw: WindowDraw) -> Scorer:
        read_sizes.append(len(draw.last))
        return Scorer(len(draw.last), exact_sizes)

    scores = scores_by_game(read, dataset_of(*games), config, "validation", max_batch=50)
    assert sum(read_sizes) == windows
    assert exact_sizes == [size for size in grounding for _ in range(2)]  # none, and another
    assert scores["grounding_windows"] == sum(grounding) <= GROUNDING_WINDOWS
    assert scores["exact_match"] == scores["exact_match_grounding"] == 1.0
    assert scores["exact_match_swapped"] == scores["exact_match_no_words"] == 0.0
    assert -0.6 < scores["grounding_low"] < scores["grounding_high"] == 1.0
    assert (scores["grounding_low"] > 0) == (not grounding_warnings(scores)) == (windows > 3)
    assert scores["action_nats_per_token"] == 0.5


def test_one_instruction_is_not_compared_with_another() -> None:
    config = RunConfig(model=MODEL, data=DATA, train=TrainConfig(steps=1, device="cpu"))
    dataset = dataset_of("one-v0", instructions=("chop a tree",) * 2)
    sizes: list[int] = []

    def read(draw: WindowDraw) -> Scorer:
        return Scorer(len(draw.last), sizes)

    scores = scores_by_game(read, dataset, config, "validation", max_batch=2048)
    assert scores["exact_match"] == 1.0
    assert not [name for name in scores if "swapped" in name or "grounding" in name]
    assert sizes == []
    assert grounding_warnings(scores) == ()
