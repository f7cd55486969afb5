"""Episode statistics: lengths, instructions and rates; what is no one game's is refused."""

from pathlib import Path

import numpy as np
import pytest

from agent_core.data.episode_statistics import episode_statistics
from agent_core.errors import ConfigError
from games import Button, FrameSize, GameSpec
from recorder import CaptureError, CaptureInfo, CaptureWriter


def game(name: str) -> GameSpec:
    controls = (Button(name="jump"), Button(name="duck"))
    return GameSpec(
        id=f"{name}-v0",
        title=name,
        frame=FrameSize(height=16, width=16),
        step_hz=10,
        controls=controls,
    )


def record(
    root: Path, held: list[str], instruction: str, name: str = "hop", success: bool | None = True
) -> None:
    spec, info = game(name), CaptureInfo(instruction=instruction)
    with CaptureWriter.create(root, spec, info, disk_needed=0) as capture:
        for button in held:
            capture.step(np.zeros((16, 16, 3), np.uint8), {button: 1} if button else {})
        capture.close(success=success)


def test_lengths_instructions_and_rates(tmp_path: Path) -> None:
    record(tmp_path / "a", ["jump", "jump", "", "duck"], "jump twice")
    record(tmp_path / "a", ["", ""], "wait")
    record(tmp_path / "b", ["duck"] * 6, "wait", success=None)
    record(tmp_path / "b", ["duck"] * 90, "fail", success=False)
    data = episode_statistics([str(tmp_path / "a"), str(tmp_path / "b")], "hop")
    assert (data.spec, data.episodes, data.steps, data.median_steps) == (game("hop"), 3, 12, 4)
    assert data.instructions == ("jump twice", "wait")
    assert (data.noop_share, data.change_share) == (3 / 12, 2 / 12)


def test_instructions_given_on_the_way_count(tmp_path: Path) -> None:
    with CaptureWriter.create(
        tmp_path, game("hop"), CaptureInfo(instruction="a"), disk_needed=0
    ) as capture:
        for text in ("", "b"):
            if text:
                capture.text(style="instruction", text=text, source="console")
            capture.step(np.zeros((16, 16, 3), np.uint8), {})
        capture.close(success=True)
    assert episode_statistics([str(tmp_path)], "hop").instructions == ("a", "b")


def test_failures_count_where_there_is_nothing_else(tmp_path: Path) -> None:
    record(tmp_path, ["jump"], "", success=False)
    assert episode_statistics([str(tmp_path)], "hop-v0").episodes == 1


def test_an_episode_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    record(tmp_path, ["jump"], "a")
    record(tmp_path, ["duck"], "b")
    damaged = sorted(tmp_path.iterdir())[0] / "actions.jsonl"
    damaged.write_text("no JSON\n")
    assert episode_statistics([str(tmp_path)], "hop").noop_share == 0


def test_what_is_no_one_game_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name one with --data"):
        episode_statistics([], "hop")
    with pytest.raises(CaptureError, match="no episodes in"):
        episode_statistics([str(tmp_path)], "hop")
    record(tmp_path, ["jump"], "a", "skip")
    with pytest.raises(ConfigError, match="of skip, not of hop: --game skip trains on them"):
        episode_statistics([str(tmp_path)], "hop")
    record(tmp_path, ["jump"], "a", "hop")
    with pytest.raises(
        ConfigError, match="of hop-v0 and skip-v0: settings are chosen for one game"
    ):
        episode_statistics([str(tmp_path)], "hop")
