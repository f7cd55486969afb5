"""Instructions that change within an episode: each step is learned under its own, and no window mixes two."""

from pathlib import Path

import numpy as np
import torch

from agent_core.baseline.sequences import build_sequences
from agent_core.config import DataConfig, ModelConfig, RunConfig
from agent_core.data.corpus import build_training_data
from agent_core.data.tables import build_dataset
from agent_core.tokens.vocabulary import build_vocabulary
from recorder import CaptureInfo, CaptureWriter, Episode, open_episodes
from tests.agent_core.data.test_gaps import draw, greys
from tests.recorder.damaged_captures import SPEC

FIRST, SECOND = "chop a tree", "hunt the pig"
SIZES = {"frame_height": 16, "frame_width": 24, "pooled_grid": (1, 1), "context_frames": 3}
MODEL = ModelConfig.model_validate({**SIZES, "frame_stride": 1, "max_action_tokens": 40})


def record(root: Path, steps: int = 9) -> Episode:
    """At step 3 another instruction, corrected later, and taken back at step 7. Frame i is a grey of 20 i."""
    info = CaptureInfo(instruction=FIRST)
    with CaptureWriter.create(root, SPEC, info, disk_needed=0) as capture:
        for i in range(steps):
            if i == 3:
                misspelt = capture.text(style="instruction", text="hunt the pgi")
            if i == 7:
                capture.text(style="instruction", text="")
            capture.step(np.full(SPEC.frame.shape, 20 * i, np.uint8), {"jump": i % 2})
        capture.text(style="instruction", text=SECOND, i0=3, supersedes=misspelt)
    (episode,) = open_episodes(root)
    return episode


def test_an_episode_has_the_instruction_of_each_step(tmp_path: Path) -> None:
    assert record(tmp_path).instructions == [FIRST] * 3 + [SECOND] * 4 + [FIRST] * 2


def test_windows_have_the_instruction_of_their_steps(tmp_path: Path) -> None:
    episode = record(tmp_path)
    vocabulary = build_vocabulary((SPEC,), {FIRST, SECOND}, 300)
    splits = {"train": [episode], "validation": []}
    store = build_dataset(
        splits, episode.frames(), vocabulary, MODEL, DataConfig(), torch.device("cpu")
    )
    rows = {text: vocabulary.text_ids(text, MODEL.max_text_tokens) for text in (FIRST, SECOND)}
    for last, text, seen in [(2, FIRST, [0, 1, 2]), (3, SECOND, [3]), (5, SECOND, [3, 4, 5]),
                             (6, SECOND, [4, 5, 6]), (7, FIRST, [7])]:  # fmt: skip
        window = store.build_windows(draw(last), 3)
        assert window.instruction_ids[0].tolist()[: len(rows[text])] == rows[text]
        assert greys(window.frames[0][window.frame_mask[0]]) == seen
        of_baseline = build_sequences(store, torch.tensor([last]))
        assert of_baseline.text[0].tolist() == window.instruction_ids[0].tolist()
        inside = greys(of_baseline.frames[0][of_baseline.present[0]])
        assert seen[-1] in inside
        assert {episode.instructions[grey] for grey in inside} == {text}


def test_the_vocabulary_knows_the_words_of_every_instruction(tmp_path: Path) -> None:
    episode = record(tmp_path)
    config = RunConfig.model_validate({"model": MODEL.model_dump(), "data": {"thoughts": False}})
    data = build_training_data(config, {"train": [episode], "validation": []}, episode.frames())
    alone = build_vocabulary((SPEC,), {FIRST}, config.model.text_vocab_size)
    assert len(data.vocabulary.encode_text(SECOND)) < len(alone.encode_text(SECOND))
