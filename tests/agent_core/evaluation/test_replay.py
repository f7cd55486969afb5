"""Episodes as matches that are read at any place."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from agent_core.evaluation.replay import (
    EpisodeSteps,
    MatchReplay,
    gaps,
    match_of,
    recorded_match,
)
from bridges.replay import Answers, Match, RecordedStep, ReplayClient
from games.voxel import SPEC
from recorder import CaptureInfo, CaptureWriter, Episode, open_episodes

STEPS = EpisodeSteps.CHUNK + 6


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Episode:
    """Step n has a picture of shade 3 n; "forward" is pressed at odd ones, and before step 5 some are missing."""
    root = tmp_path_factory.mktemp("data")
    with CaptureWriter.create(
        root, SPEC, CaptureInfo(instruction="walk"), disk_needed=0
    ) as capture:
        for n in range(STEPS):
            if n == 5:
                capture.count_dropped(2)
            capture.step(np.full(SPEC.frame.shape, 3 * n, np.uint8), {"forward": n % 2}, reward=n)
    return open_episodes(root)[0]


def test_steps_are_the_same_in_order_and_at_any_place(episode: Episode) -> None:
    match = recorded_match(episode)
    assert (match.name, len(match.steps)) == (episode.id, STEPS)
    in_order = list(match_of(episode).steps)
    assert len(in_order) == STEPS
    for n in (0, STEPS - 1, EpisodeSteps.CHUNK, EpisodeSteps.CHUNK - 1, 7):
        step = match.steps[n]
        assert abs(int(step.frame[0, 0, 0]) - 3 * n) <= 2
        assert (step.frame == in_order[n].frame).all()
        assert step.dropped_before == in_order[n].dropped_before == 0
        assert (step.executed["forward"], step.instruction, step.reward) == (n % 2, "walk", n)
    assert [step.reward for step in match.steps[1:6:2]] == [1, 3, 5]
    with pytest.raises(IndexError):
        match.steps[STEPS]


class Idle:
    """Stands for a connection whose player has no answer."""

    def replay(self, match: Match, on_step: Callable[[RecordedStep, Answers], object]) -> None:
        for step in match.steps:
            on_step(step, {"teacher_forced": None, "free_running": None})


def test_the_scores_are_against_what_the_player_wanted(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo(), disk_needed=0) as capture:
        for _ in range(4):
            frame = np.zeros(SPEC.frame.shape, np.uint8)
            capture.step(frame, {"forward": 1}, executed={"back": 1})
    replay = MatchReplay(cast(ReplayClient, Idle()), SPEC)
    assert replay.run(open_episodes(tmp_path)[0]) is None
    report = replay.report()
    assert (report["steps"], report["failed"]) == (4, 8)
    for player in ("agent", "noop", "repeat_last"):
        assert report[player]["exact"] == report["by_match"][0][player]["exact"] == 0
        assert report[player]["buttons"]["forward"] == 0
    assert report["repeat_last"]["buttons"]["back"] == 0  # what was done before is what it repeats
    assert report["noop"]["buttons"]["back"] is None


def test_missing_steps_are_named(episode: Episode) -> None:
    assert recorded_match(episode).steps[5].dropped_before == 2
    assert [step.dropped_before for step in match_of(episode).steps][4:7] == [0, 2, 0]
    assert gaps(episode) == f"{episode.id}: 2 steps are missing, before step 5"
