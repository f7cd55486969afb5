"""Player's process: its events, its failures in one line, and an end that leaves nothing running."""

import json
import os
import select
from pathlib import Path

import pytest

from bridges.minecraft import process
from bridges.minecraft.packages import Requirements
from bridges.minecraft.process import MinecraftError, PlayerOptions, PlayerProcess
from bridges.minecraft.tasks import TASKS, live_spec
from games.minecraft import SPEC

OPTIONS = PlayerOptions(live_spec(), url="ws://127.0.0.1:1/v1", tasks=("dig_down",), seed=3)


def needed(tmp_path: Path, script: str) -> Requirements:
    """A shell script stands for Node: it gets the options on stdin as a player does."""
    node = tmp_path / "node"
    node.write_text(f"#!/bin/sh\nread options\n{script}\n")
    node.chmod(0o755)
    return Requirements(node, Path("/usr/bin/chromium"), tmp_path / "packages")


def has_ended(process_fd: int, within_s: float = 10) -> bool:
    """Whether a process ends in time; `process_fd` is its `os.pidfd_open`."""
    return bool(select.select([process_fd], [], [], within_s)[0])


def events(tmp_path: Path, script: str) -> list[process.Event]:
    with PlayerProcess(OPTIONS, needed(tmp_path, script)) as player:
        return list(player.events())


def test_events_come_until_the_player_is_done(tmp_path: Path) -> None:
    script = """echo '{"event": "ready"}'; echo '{"event": "alive"}'; echo '{"event": "done", "frames": 3}'"""
    names = [event["event"] for event in events(tmp_path, script)]
    assert names == ["ready", "alive", "done"]


def test_the_options_are_one_line_of_json(tmp_path: Path) -> None:
    events(tmp_path, f"""echo "$options" > {tmp_path}/options; echo '{{"event": "done"}}'""")
    options = json.loads((tmp_path / "options").read_text())
    assert options["embedded"] is True
    assert options["size"] == {"width": 224, "height": 224}
    assert options["tasks"] == ["dig_down"]
    assert options["packages"] == str(tmp_path / "packages")
    assert [control["name"] for control in options["spec"]["controls"]] == [
        control.name for control in SPEC.controls
    ]


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("""echo '{"event": "failed", "message": "it is full"}'; exit 1""", "it is full"),
        ("echo 'TypeError: x is not a function' >&2; exit 1", "process ended: TypeError: x is"),
        ("exit 0", "the player's process ended$"),
        ("echo nonsense", "something that is no event"),
        ("echo 5", "something that is no event"),
        ("yes | tr -d '\\n' | head -c 200000", "too much at once"),
    ],
)
def test_a_failure_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, line: str
) -> None:
    monkeypatch.setattr(process, "CLOSING_S", 0.2)
    with pytest.raises(MinecraftError, match=line) as caught:
        events(tmp_path, script)
    assert "\n" not in str(caught.value)


def test_a_silent_player_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SILENCE_S", 0.1)
    with pytest.raises(MinecraftError, match="silent"):
        events(tmp_path, "read forever")


def test_a_node_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    missing = Requirements(tmp_path / "none", tmp_path, tmp_path)
    with pytest.raises(MinecraftError, match="none does not start: No such file"):
        PlayerProcess(OPTIONS, missing)


def test_nothing_is_left_of_a_player_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "CLOSING_S", 0.1)
    child = 'sleep 600 & echo "{\\"event\\": \\"ready\\", \\"child\\": $!}"; trap "" TERM; wait'
    with PlayerProcess(OPTIONS, needed(tmp_path, child)) as player:
        ready = next(player.events())
        assert os.getpgid(ready["child"]) == player.pid
        child_fd = os.pidfd_open(ready["child"])
        assert not has_ended(child_fd, 0)
    assert has_ended(child_fd)
    os.close(child_fd)


def test_a_player_ends_with_its_input(tmp_path: Path) -> None:
    with PlayerProcess(OPTIONS, needed(tmp_path, 'echo \'{"event": "ready"}\'; read end')) as one:
        next(one.events())
    assert one.returncode is not None


def test_tasks_have_one_name_each() -> None:
    assert len(set(TASKS)) == len(TASKS)
    assert live_spec("640x360").frame == SPEC.frame
    assert live_spec().controls == SPEC.controls
