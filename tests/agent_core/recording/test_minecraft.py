"""Recordings of the scripted Minecraft player: who played, and who says what was right."""

from pathlib import Path

import numpy as np
import pytest

from agent_core.recording.expert import SEED_LIMIT
from agent_core.recording.minecraft import ScriptedPlan, _capture, record_scripted
from bridges.minecraft.packages import Requirements
from bridges.minecraft.tasks import live_spec
from games import GameSpec
from recorder import CaptureError, CaptureInfo
from recorder.capture.live import LiveRecorder

SPEC = live_spec("128x72")


@pytest.mark.parametrize(
    ("is_rollout", "actor", "teacher", "other"),
    [(False, "expert", "", "noise"), (True, "agent", "scripted-minecraft", "agent")],
)
def test_a_step_says_whether_the_program_did_it(
    monkeypatch: pytest.MonkeyPatch, is_rollout: bool, actor: str, teacher: str, other: str
) -> None:
    """`LiveRecorder`'s process writes what it gets; here is what it gets."""
    infos: list[CaptureInfo] = []
    by: list[str] = []

    def create(
        cls: type[LiveRecorder], /, root: Path, spec: GameSpec, info: CaptureInfo, **_: bool
    ) -> LiveRecorder:
        infos.append(info)
        return cls.__new__(cls)

    monkeypatch.setattr(LiveRecorder, "create", classmethod(create))
    monkeypatch.setattr(LiveRecorder, "step", lambda self, *_, **values: by.append(values["by"]))
    capture = _capture(is_rollout, Path(), SPEC, CaptureInfo(instruction="dig down"))
    for executed in (None, {"left": 1}, None):
        capture.step(np.zeros((72, 128, 3), np.uint8), {"attack": 1}, executed=executed)
    assert [(info.actor, info.teacher, info.instruction) for info in infos] == [
        (actor, teacher, "dig down")
    ]
    assert by == ["expert", other, "expert"]


def test_worlds_that_are_kept_for_evaluation_are_not_recorded(tmp_path: Path) -> None:
    plan = ScriptedPlan(tmp_path, SPEC, 2, SEED_LIMIT - 1, ("dig_down",))
    nothing = Requirements(tmp_path, tmp_path, tmp_path)
    with pytest.raises(CaptureError, match="kept for evaluation"):
        record_scripted(plan, nothing, lambda done, total: None)
