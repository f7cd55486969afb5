"""Game states of an episode: those of the wire and of a Bleeding Edge file, without what is damaged."""

from pathlib import Path

import numpy as np

from agent_core.evaluation.game_states import game_states
from agent_core.evaluation.replay import match_of, recorded_match
from games.voxel import SPEC
from recorder import CaptureInfo, CaptureWriter, open_episodes
from recorder.format.manifest import EVENTS


def test_what_the_game_said_goes_with_its_step(tmp_path: Path) -> None:
    health, ball = {"health": 9, "place": [1.5, 2]}, {"values": [0.5, -1.0]}
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo(), disk_needed=0) as capture:
        for step in range(6):
            if step == 1:
                capture.event("state", score=2.0, state=health)
            elif step == 2:
                capture.event("bleeding_edge_state", values=[0.5, -1.0])
            elif step == 3:
                capture.event("state", score=2.0)
            elif step == 4:
                capture.event("state", state={"log": "x" * 17_000})
            capture.step(np.zeros(SPEC.frame.shape, np.uint8), {})
    with (capture.folder / EVENTS).open("a") as file:
        file.write(
            '{"kind": "state", "i": 5, "state": {"x": NaN}}\n{"kind": "state", "i": "5"}\n?\n'
        )
    (episode,) = open_episodes(tmp_path)
    assert game_states(episode) == {1: health, 2: ball}
    expected = [None, health, ball, None, None, None]
    assert [step.state for step in match_of(episode).steps] == expected
    assert [step.state for step in recorded_match(episode).steps] == expected
