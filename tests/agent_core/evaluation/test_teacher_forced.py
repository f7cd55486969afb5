"""Teacher forcing with the episodes' instructions, with others and with none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agent_core.evaluation.report import next_action_warnings
from agent_core.evaluation.teacher_forced import next_action_report, swapped_instructions
from bridges.policy import Decision, PolicyRequest
from bridges.serving.random_policy import RandomPolicy
from games.voxel import SPEC
from recorder import CaptureInfo, CaptureWriter, EpisodeSet, open_episodes

DOES = {"dig": {"attack": 1}, "walk": {"forward": 1}}


class Listener(RandomPolicy):
    """Does what it is told, if it listens; else what the first episode wants."""

    def __init__(self, listens: bool) -> None:
        super().__init__()
        self.listens = listens

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        words = [request.instruction if self.listens else "dig" for request in requests]
        actions = [SPEC.normalize(DOES.get(text, {})) for text in words]
        return [Decision(action=action, words="", probability=1.0) for action in actions]


def record(root: Path, *instructions: str) -> EpisodeSet:
    for seed, text in enumerate(instructions):
        about = CaptureInfo(instruction=text, task="move", seed=seed)
        with CaptureWriter.create(root, SPEC, about, disk_needed=0) as capture:
            for _ in range(5):
                capture.step(np.zeros(SPEC.frame.shape, np.uint8), DOES[text])
    return open_episodes(root)


def test_other_words_cost_who_listens(tmp_path: Path) -> None:
    episodes = record(tmp_path, "dig", "walk")
    swapped = swapped_instructions(episodes)
    own = [episode.header.instruction for episode in episodes]
    assert swapped == [{"dig": "walk", "walk": "dig"}[text] for text in own]
    policies = {"model": Listener(True), "cnn_gru": Listener(False)}
    report = next_action_report(episodes, policies)
    listens, ignores = report["model"], report["cnn_gru"]
    assert (listens["exact"], listens["exact_swapped"], listens["exact_no_words"]) == (1.0, 0, 0)
    assert (ignores["exact"], ignores["exact_swapped"], ignores["exact_no_words"]) == (
        0.5,
        0.5,
        0.5,
    )
    assert "exact_swapped" not in report["noop"]
    (line,) = next_action_warnings(report)
    assert "of next actions of CNN+GRU the exact match is 50.0%" in line
    assert "(of 10;" in line


def test_one_instruction_has_no_other(tmp_path: Path) -> None:
    episodes = record(tmp_path, "dig", "dig")
    report = next_action_report(episodes, {"model": Listener(False)})
    assert (report["model"]["exact"], report["model"]["exact_swapped"]) == (1.0, None)
    assert next_action_warnings(report) == []


def test_an_instruction_that_changes_counts_from_its_step(tmp_path: Path) -> None:
    about = CaptureInfo(instruction="dig", task="move", seed=0)
    with CaptureWriter.create(tmp_path, SPEC, about, disk_needed=0) as capture:
        for step in range(6):
            if step == 3:
                capture.text(style="instruction", text="walk")
            words = "dig" if step < 3 else "walk"
            capture.step(np.zeros(SPEC.frame.shape, np.uint8), DOES[words])
    report = next_action_report(open_episodes(tmp_path), {"model": Listener(True)})
    assert report["model"]["exact"] == 1.0
