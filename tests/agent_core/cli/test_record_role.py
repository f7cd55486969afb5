"""Role record over sockets: what a person plays is on disk exactly as it was sent, also where the connection is cut."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent_core.__main__ import main
from agent_core.config import DataConfig, ModelConfig, RunConfig
from agent_core.data.corpus import build_training_data, load_splits
from bridges.client import connect
from bridges.console_client import instruct
from bridges.errors import BridgeError
from bridges.protocol.messages import MAX_MESSAGE
from bridges.protocol.record_lane import RecordWindow
from bridges.record_client import RecordClient, record
from bridges.serving.limits import ServerLimits
from bridges.serving.no_policy import NoPolicy
from bridges.serving.server import BridgeServer
from bridges.testing.background_server import background_server
from bridges.testing.dropping_proxy import dropping_proxy
from games import Action, Button, Camera, Frame, FrameSize, GameSpec
from recorder import CaptureWriter, Episode, Tap, open_episodes, validate
from recorder.capture.tap import CreateCapture
from recorder.format.manifest import DiskFullError

SPEC = GameSpec(
    id="walk-v0",
    title="Walk",
    frame=FrameSize(height=16, width=16),
    step_hz=20,
    controls=(Button(name="go"), Camera(name="look", pitch_bins=(-2, 0, 2), yaw_bins=(-2, 0, 2))),
)
LIMITS = ServerLimits(record_window=RecordWindow(pictures=4, size=2 * MAX_MESSAGE))
"""Little credit, so that the game has to wait for it."""


def frame_of(number: int) -> Frame:
    return np.full(SPEC.frame.shape, 10 + 6 * number, np.uint8)


def action_of(number: int) -> dict[str, Any]:
    return {"go": number % 2, "look": [0, 2 if number % 3 else -2]}


def numbers(episode: Episode) -> list[int]:
    """The numbers of its pictures."""
    return [round((float(frame.mean()) - 10) / 6) for frame in episode.frames()]


def actions(first: int, last: int) -> list[Action]:
    return [SPEC.normalize(action_of(number)) for number in range(first, last)]


@contextmanager
def recording_server(
    folder: Path, create: CreateCapture | None = None, limits: ServerLimits = LIMITS
) -> Iterator[BridgeServer]:
    with background_server(NoPolicy(), limits=limits, listeners=[Tap(folder, create)]) as server:
        yield server


def play(recorder: RecordClient, first: int, last: int) -> None:
    """A person's steps."""
    for number in range(first, last):
        executed = {"go": 0} if number == 5 else None
        recorder.step(frame_of(number), action_of(number), executed=executed, reward=number)
        if number % 10 == 3:
            recorder.say(f"step {number}")


def in_order(folder: Path) -> list[Episode]:
    return sorted(open_episodes(folder), key=lambda episode: numbers(episode)[0])


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_episodes_on_disk_are_what_was_sent(tmp_path: Path, mode: str) -> None:
    with (
        recording_server(tmp_path) as server,
        record(server.url, SPEC, instruction="walk on", mode=mode) as recorder,
    ):
        play(recorder, 0, 25)
        first = recorder.end(success=True, task="walk")
        instruct(server.url, "walk back")
        with recorder._connection.updated:
            assert recorder._connection.updated.wait_for(
                lambda: recorder.instruction == "walk back", 60
            )
        recorder.correct("not there")
        play(recorder, 25, 38)
        second = recorder.end(success=False, truncated=True)
        (state,) = server.state().sessions
        assert (state.role, state.episodes, state.successes) == ("record", 2, 1)
        assert state.recording is not None
        assert (state.recording.episodes, state.recording.steps) == (2, 38)
    episodes = in_order(tmp_path)
    assert [e.folder.name for e in episodes] == [first.episode, second.episode]
    assert [first.steps, second.steps, first.dropped, first.error] == [25, 13, 0, ""]
    assert not [problem for episode in episodes for problem in validate(episode)]
    assert numbers(episodes[0]) == list(range(25))
    assert numbers(episodes[1]) == list(range(25, 38))
    assert episodes[0].actions == actions(0, 25)
    assert episodes[1].actions == actions(25, 38)
    done = actions(0, 25)
    done[5] = SPEC.normalize({"go": 0})
    assert episodes[0].executed == done
    assert {who for episode in episodes for who in episode.by} == {"human"}
    assert episodes[0].rewards == list(range(25))
    assert [t.text for t in episodes[0].texts] == ["step 3", "step 13", "step 23"]
    assert [(t.i0, t.text) for t in episodes[1].texts] == [(0, "not there"), (9, "step 33")]
    headers = [episode.header for episode in episodes]
    assert [h.instruction for h in headers] == ["walk on", "walk back"]
    assert [(h.actor, h.success, h.author) for h in headers] == [
        ("human", True, ""),
        ("human", False, ""),
    ]
    assert headers[0].task == "walk"
    assert {h.clock for h in headers} == {"lockstep" if mode == "lockstep" else "wallclock"}


def test_what_was_recorded_is_training_data(tmp_path: Path) -> None:
    with (
        recording_server(tmp_path / "data") as server,
        record(server.url, SPEC, instruction="walk on", mode="lockstep") as recorder,
    ):
        for first in (0, 10):
            play(recorder, first, first + 10)
            recorder.end(success=True)
    sizes: dict[str, Any] = {
        "frame_height": 16,
        "frame_width": 16,
        "pooled_grid": (1, 1),
        "context_frames": 2,
    }
    small: dict[str, Any] = {
        "width": 16,
        "layers": 1,
        "heads": 2,
        "stem_widths": (8, 8, 8),
        "text_vocab_size": 300,
    }
    config = RunConfig(
        model=ModelConfig.model_validate({**sizes, **small}),
        data=DataConfig.model_validate(
            {"episodes": (str(tmp_path / "data"),), "validation": 0, "window_frames": 3}
        ),
    )
    splits, frames, _ = load_splits(config, tmp_path / "run")
    data = build_training_data(config, splits, frames)
    assert sum(len(episode) for episode in splits["train"]) == 20
    assert data.dataset is not None


@pytest.mark.parametrize("cut_at", [1, 700, 2500, 5000])
def test_a_cut_in_the_middle_is_not_seen_on_disk(tmp_path: Path, cut_at: int) -> None:
    states: list[str] = []
    with (
        recording_server(tmp_path) as server,
        dropping_proxy(server.port) as proxy,
        record(
            f"ws://127.0.0.1:{proxy.port}", SPEC, mode="lockstep", jitter=lambda: 0.0,
            on_state=lambda state, detail: states.append(state),
        ) as recorder,
    ):  # fmt: skip
        play(recorder, 0, 5)
        proxy.arm(cut_at)
        play(recorder, 5, 30)
        recorder.end(success=True)
    assert states.count("reconnecting") == 1
    (episode,) = open_episodes(tmp_path)
    assert not validate(episode)
    assert numbers(episode) == list(range(30))
    assert episode.actions == actions(0, 30)
    assert episode.rewards == list(range(30))
    assert episode.dropped_before == {}
    assert [(t.i0, t.text) for t in episode.texts] == [
        (4, "step 3"),
        (14, "step 13"),
        (24, "step 23"),
    ]


def test_a_restarted_server_gets_what_is_not_recorded(tmp_path: Path) -> None:
    with recording_server(tmp_path) as server:
        port = server.port
        recorder = record(server.url, SPEC, mode="lockstep", jitter=lambda: 0.0)
        play(recorder, 0, 10)
        waiting = recorder._session
        with recorder._connection.updated:
            assert recorder._connection.updated.wait_for(
                lambda: len(waiting.waiting_pictures) == 1, 60
            )
    with background_server(NoPolicy(), port=port, listeners=[Tap(tmp_path)]):
        play(recorder, 10, 20)
        state = recorder.end(success=True)
        recorder.close()
    first, second = in_order(tmp_path)
    assert first.manifest.status == "interrupted"
    assert (numbers(first), numbers(second)) == (list(range(9)), list(range(9, 20)))
    assert state.pictures == 11
    assert second.actions == actions(9, 20)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    errors: list[str] = []

    def create(*_: Any, **__: Any) -> CaptureWriter:
        raise DiskFullError("no room in /srv")

    with (
        recording_server(tmp_path, create) as server,
        record(server.url, SPEC, on_error=lambda error: errors.append(error.code)) as recorder,
    ):
        play(recorder, 0, 6)
        with pytest.raises(BridgeError, match="the server's disk is full; steps 0, not 6"):
            recorder.end()
    assert errors == ["recording_failed"]


def with_server(call: Callable[[BridgeServer, RecordClient], None], folder: Path) -> None:
    with recording_server(folder) as server, record(server.url, SPEC) as recorder:
        call(server, recorder)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"action": {"jump": 1}}, "jump"),
        ({"action": {}, "executed": {"go": 5}}, "executed"),
        ({"action": {}, "reward": 1e99}, "reward"),
        ({"action": {}, "state": {"x": float("nan")}}, "state"),
    ],
)
def test_a_wrong_value_is_refused_before_it_is_sent(
    tmp_path: Path, values: dict[str, Any], problem: str
) -> None:
    def call(server: BridgeServer, recorder: RecordClient) -> None:
        with pytest.raises(BridgeError, match=problem):
            recorder.step(frame_of(0), **values)
        with pytest.raises(BridgeError, match="at least one step"):
            recorder.end()

    with_server(call, tmp_path)


def test_a_server_says_what_it_does_not_do(tmp_path: Path) -> None:
    with background_server(NoPolicy()) as server:
        with pytest.raises(
            BridgeError, match=r"does not record; start it with `iafm serve --record DIR`"
        ):
            record(server.url, SPEC)
        with pytest.raises(BridgeError, match="it only records; attach with role record"):
            connect(server.url, SPEC)


def test_a_server_without_policy_has_to_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--policy", "none"]) == 2
    assert "--record DIR" in capsys.readouterr().err


@contextmanager
def served(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`iafm serve` in a process of its own, and its port; it is killed at the end."""
    command = ["-m", "agent_core", "serve", "--policy", "none", "--record", str(folder)]
    with subprocess.Popen(
        [sys.executable, *command, "--port", str(port), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())["port"]
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_a_server_that_is_killed_loses_nothing(tmp_path: Path, mode: str) -> None:
    with served(tmp_path, 0) as (process, port):
        recorder = record(f"ws://127.0.0.1:{port}", SPEC, mode=mode, jitter=lambda: 0.0)
        play(recorder, 0, 20)
        session, updated = recorder._session, recorder._connection.updated
        with updated:
            assert updated.wait_for(lambda: len(session.waiting_pictures) < 20, 60)
        process.kill()
        process.wait()
    with served(tmp_path, port):
        play(recorder, 20, 30)
        state = recorder.end(success=True)
        recorder.close()
    assert main(["episodes", "recover", str(tmp_path)]) == 0
    first, second = in_order(tmp_path)
    assert second.folder.name == state.episode
    on_disk = [*numbers(first), *numbers(second)]
    assert sorted(set(on_disk)) == list(range(30))
    assert numbers(second) == list(range(30 - state.steps, 30))
    for episode in (first, second):
        assert not validate(episode)
        assert episode.actions == [SPEC.normalize(action_of(n)) for n in numbers(episode)]
