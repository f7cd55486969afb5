"""The agent's own play as data: a person's corrections and an expert's labels are learned, mistakes are not."""

from pathlib import Path

import numpy as np
import pytest

from agent_core.config import DataConfig, RunConfig
from agent_core.data.corpus import load_splits
from agent_core.data.tables import learned_steps
from recorder import CaptureError, CaptureInfo, CaptureWriter
from tests.recorder.damaged_captures import SPEC


def record(root: Path, by: list[str], *, success: bool | None, teacher: str = "") -> None:
    info = CaptureInfo(actor="agent", teacher=teacher)
    with CaptureWriter.create(root, SPEC, info, disk_needed=0) as capture:
        for who in by:
            capture.step(np.zeros(SPEC.frame.shape, np.uint8), {"jump": 1}, by=who)
        capture.close(success=success)


def learned(root: Path) -> list[bool]:
    """The steps of the only episode whose actions are learned."""
    config = RunConfig(data=DataConfig(episodes=(str(root),), validation=0))
    splits, _, _ = load_splits(config, root / "run")
    (episode,) = splits["train"]
    return [bool(is_learned) for is_learned in learned_steps(episode)]


@pytest.mark.parametrize("success", [True, None])
def test_play_of_the_agent_that_went_well_is_learned(tmp_path: Path, success: bool | None) -> None:
    record(tmp_path, ["agent", "nobody", "agent"], success=success)
    assert learned(tmp_path) == [True, False, True]


@pytest.mark.parametrize("success", [True, False])
def test_of_corrected_play_the_person_is_learned_from(tmp_path: Path, success: bool) -> None:
    record(tmp_path, ["agent", "agent", "human", "agent"], success=success)
    assert learned(tmp_path) == [False, False, True, False]


def test_the_labels_of_an_expert_are_learned_whatever_the_agent_did(tmp_path: Path) -> None:
    record(tmp_path, ["agent", "agent"], success=False, teacher="scripted")
    assert learned(tmp_path) == [True, True]


def test_failures_of_the_agent_are_not_learned(tmp_path: Path) -> None:
    record(tmp_path, ["agent", "agent"], success=False)
    with pytest.raises(CaptureError, match="none of 1 episodes was a success"):
        learned(tmp_path)
