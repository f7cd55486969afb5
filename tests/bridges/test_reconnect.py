"""Reconnecting client: what it does when the server fails, restarts, refuses or stays away."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest

from bridges.client import BridgeClient, connect
from bridges.connection import open_connection
from bridges.console_client import watch
from bridges.errors import AnswerError, BridgeError
from bridges.play import Start, play
from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.protocol.backoff import Backoff
from bridges.protocol.messages import Act, Event, Hello, State
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from bridges.testing.background_server import background_server
from bridges.testing.dropping_proxy import DroppingProxy, dropping_proxy
from games import Button, FrameSize, GameSpec
from games.voxel import VoxelEnv

SPEC = GameSpec(
    id="bell-v0",
    title="Bell",
    frame=FrameSize(height=16, width=16),
    step_hz=20,
    controls=(Button(name="ring", label="ring"),),
)
FRAME = np.zeros(SPEC.frame.shape, np.uint8)
QUICK = Backoff(first_s=0.001, cap_s=0.01)


class Moody(RandomPolicy):
    """Fails at chosen pictures (counted from 0) and at every question but "why"."""

    def __init__(self, *failing: int) -> None:
        super().__init__()
        self.failing, self.count = failing, 0

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        self.count += 1
        if self.count - 1 in self.failing:
            raise RuntimeError("a bad moment")
        return super().act(requests)

    def ask(self, player: PolicySession, question: str) -> str:
        if question != "why":
            raise RuntimeError("a bad question")
        return "because"


class States:
    """States that a client was in, and a way to wait for one."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def __call__(self, state: str, detail: str) -> None:
        with self._changed:
            self.seen.append((state, detail))
            self._changed.notify_all()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.seen]

    def wait_for(self, *names: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: tuple(self.names[-len(names) :]) == names, 60)


@contextmanager
def behind_a_proxy(
    policy: RandomPolicy | None = None, **options: Any
) -> Iterator[tuple[BridgeClient, States, DroppingProxy, BridgeServer]]:
    states = States()
    with (
        background_server(policy or RandomPolicy()) as server,
        dropping_proxy(server.port) as proxy,
        connect(
            f"127.0.0.1:{proxy.port}", SPEC, on_state=states, **{"backoff": QUICK, **options}
        ) as game,
    ):
        yield game, states, proxy, server


def test_an_error_is_its_pictures_alone() -> None:
    errors: list[AnswerError] = []
    with (
        background_server(Moody(1)) as server,
        connect(server.url, SPEC, on_error=errors.append) as game,
    ):
        game.act(FRAME)
        with pytest.raises(AnswerError, match="the policy failed") as caught:
            game.act(FRAME)
        assert caught.value.code == "policy_failed"
        assert game.act(FRAME).observation == 3
        with pytest.raises(AnswerError) as caught:
            game.ask("caption")
        assert caught.value.code == "policy_failed"
        assert game.ask("why") == "because"
    assert [error.code for error in errors] == ["policy_failed", "policy_failed"]


def test_realtime_play_goes_on_after_an_error() -> None:
    failed = threading.Event()
    with (
        background_server(Moody(0)) as server,
        connect(server.url, SPEC, mode="realtime", on_error=lambda error: failed.set()) as game,
    ):
        game.send(FRAME)
        assert failed.wait(60)
        assert game.current_action() is None
        assert game.act(FRAME) is not None
        assert game.current_action() is not None


def test_a_rollout_plays_the_null_action_where_a_picture_has_no_answer() -> None:
    acts: list[Act | None] = []
    with background_server(Moody(1)) as server:
        report = play(
            VoxelEnv(), server.url, [Start(0)], on_step=lambda act, info: acts.append(act),
            stop=lambda report: report.steps == 3,
        )  # fmt: skip
    assert [act is None for act in acts] == [False, True, False]
    assert report.summary()["failed"] == 1


def test_twenty_failures_in_a_row_are_the_end() -> None:
    states = States()
    with (
        background_server(Moody(*range(20))) as server,
        connect(server.url, SPEC, on_state=states) as game,
    ):
        for _ in range(19):
            with pytest.raises(AnswerError):
                game.act(FRAME)
        with pytest.raises(BridgeError):
            game.act(FRAME)
        states.wait_for("playing", "closed")
        with pytest.raises(BridgeError, match="4400 20 pictures in a row failed"):
            game.act(FRAME)


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_a_lost_connection_is_resumed(mode: str) -> None:
    with behind_a_proxy(mode=mode) as (game, states, proxy, server):
        session = game.act(FRAME).session
        proxy.arm(1)
        game.instruct("ring")
        states.wait_for("reconnecting", "playing")
        assert states.seen[-1][1].startswith(f"resumed {session} after ")
        assert game.act(FRAME).session == session
        assert game.ask("why")
        assert [state.instruction for state in server.state().sessions] == ["ring"]


def test_keys_are_released_while_there_is_no_connection() -> None:
    tries = threading.Event()
    with behind_a_proxy(mode="realtime", sleep=lambda seconds: tries.wait(60)) as (
        game,
        states,
        proxy,
        _,
    ):
        game.act(FRAME)
        assert game.current_action() is not None
        proxy.arm(1)
        game.send(FRAME)
        states.wait_for("reconnecting")
        assert game.current_action() is None
        assert not game.is_connected
        game.send(FRAME)
        with pytest.raises(AnswerError) as caught:
            game.act(FRAME)
        assert caught.value.code == "connection_lost"
        tries.set()
        states.wait_for("playing")
        assert game.current_action() is None
        assert game.act(FRAME).observation == 5


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_play_goes_on_with_a_server_that_was_restarted(mode: str) -> None:
    states, played, enough = States(), [threading.Event(), threading.Event()], threading.Event()
    sessions: list[str] = []

    def on_step(act: Act | None, info: dict[str, Any]) -> None:
        if act is not None and act.session not in sessions:
            sessions.append(act.session)
            played[len(sessions) - 1].set()

    def rollout(url: str) -> None:
        play(
            VoxelEnv(), url, [Start(0)], mode=mode, pace_hz=100, on_step=on_step, on_state=states,
            stop=lambda report: enough.is_set(),
        )  # fmt: skip

    with background_server(RandomPolicy()) as server:
        port = server.port
        thread = threading.Thread(target=rollout, args=(server.url,))
        thread.start()
        assert played[0].wait(60)
    with background_server(RandomPolicy(), port=port) as second:
        assert played[1].wait(60)
        assert [state.session for state in second.state().sessions] == sessions[1:]
        enough.set()
        thread.join()
    assert states.seen[-2][1].startswith(f"attached anew as {sessions[1]} after ")
    assert states.names == ["connecting", "playing", "reconnecting", "playing", "closed"]


def test_a_client_gives_up_after_its_patience() -> None:
    now, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    states = States()
    with background_server(RandomPolicy()) as server:
        game = connect(
            server.url, SPEC, on_state=states, sleep=sleep, clock=lambda: now[0], jitter=lambda: 1.0,
            backoff=Backoff(first_s=1, cap_s=4, patience_s=12),
        )  # fmt: skip
    states.wait_for("reconnecting", "closed")
    assert slept == [1, 2, 4, 4, 4]
    with pytest.raises(BridgeError, match="no connection for 12 s: no server at"):
        game.act(FRAME)
    with pytest.raises(BridgeError, match="no connection for 12 s"):
        game.current_action()
    game.close()


def test_without_patience_a_lost_connection_is_the_end() -> None:
    with behind_a_proxy(backoff=Backoff(patience_s=0)) as (game, states, proxy, _):
        proxy.arm(1)
        with pytest.raises(BridgeError, match="the server ended the session: connection lost"):
            game.act(FRAME)
        states.wait_for("playing", "closed")


@pytest.mark.parametrize(
    ("options", "code"),
    [({"token": "other"}, "4401"), ({"token": "secret", "mode": "lockstep"}, "")],
)
def test_a_refusal_is_final(options: dict[str, Any], code: str) -> None:
    states = States()
    with background_server(RandomPolicy(), token="secret") as server:
        port = server.port
        connect_options: dict[str, Any] = {"on_state": states, "backoff": QUICK, **options}
        if code:
            with pytest.raises(BridgeError, match=code):
                connect(server.url, SPEC, **connect_options)
            assert states.names == ["connecting"]
            return
        game = connect(server.url, SPEC, **connect_options)
    with background_server(RandomPolicy(), port=port, token="new"):
        states.wait_for("reconnecting", "closed")
        with pytest.raises(BridgeError, match="4401 wrong or missing token"):
            game.act(FRAME)
    game.close()


def test_who_loses_the_session_to_another_does_not_take_it_back() -> None:
    states = States()
    with (
        background_server(RandomPolicy()) as server,
        connect(server.url, SPEC, on_state=states, backoff=QUICK) as game,
    ):
        hello = Hello(spec=SPEC, mode="lockstep", resume=game.welcome.resume)
        exit_stack, _, welcome = open_connection(server.url, hello)
        with exit_stack:
            states.wait_for("playing", "closed")
        assert welcome.session == game.welcome.session
        with pytest.raises(BridgeError, match="4409 another connection resumed this session"):
            game.act(FRAME)


def test_what_was_sent_last_arrives_before_the_end() -> None:
    with behind_a_proxy() as (game, states, proxy, server), closing(watch(server.url)) as messages:
        assert isinstance(next(messages), State)
        game.act(FRAME)
        proxy.arm(1)
        game.event(terminated=True, success=True)
        game.close()
        assert "reconnecting" in states.names
        event = next(message for message in messages if isinstance(message, Event))
        assert event.success


def test_a_lost_connection_does_not_use_up_the_time_for_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries, waits = threading.Event(), list[float]()
    with behind_a_proxy(sleep=lambda seconds: tries.wait(60)) as (game, states, proxy, _):
        game.act(FRAME)
        proxy.arm(1)
        game.send(FRAME)
        states.wait_for("reconnecting")
        original = game._connection.updated.wait

        def wait(seconds: float) -> bool:
            """Three times nothing comes in time."""
            waits.append(seconds)
            if len(waits) <= 3:
                return False
            tries.set()
            return original(seconds)

        monkeypatch.setattr(game._connection.updated, "wait", wait)
        assert game.act(FRAME).observation == 3


def test_a_polite_close_ends_a_session_that_could_be_resumed() -> None:
    with background_server(RandomPolicy()) as server:
        exit_stack, connection, welcome = open_connection(
            server.url, Hello(spec=SPEC, resumable=True)
        )
        with exit_stack:
            assert welcome.resume
            connection.close()
        with closing(watch(server.url)) as messages:
            for state in messages:
                assert isinstance(state, State)
                if not state.sessions:
                    break
                assert state.sessions[0].connected
