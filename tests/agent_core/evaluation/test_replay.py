"""Episodes as matches that are read at any place."""

import numpy as np
import pytest

from agent_core.evaluation.replay import EpisodeSteps, gaps, match_of, recorded_match
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


def test_missing_steps_are_named(episode: Episode) -> None:
    assert recorded_match(episode).steps[5].dropped_before == 2
    assert [step.dropped_before for step in match_of(episode).steps][4:7] == [0, 2, 0]
    assert gaps(episode) == f"{episode.id}: 2 steps are missing, before step 5"
