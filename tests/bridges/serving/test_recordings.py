"""Recordings on a server: no policy, credit as the recorder goes on, and what becomes of each episode."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from bridges.listener import Attached, Observation
from bridges.protocol.frames import Codec, pack, unpack
from bridges.protocol.messages import Correct, ErrorMessage, Instruct, State, Welcome
from bridges.protocol.record_messages import Credit, RecordState
from bridges.serving.dispatcher import Dispatcher
from bridges.serving.no_policy import NoPolicy
from bridges.testing.memory_client import LIMITS, MemoryClient, open_console, run_dispatcher
from games.voxel import SPEC


@dataclass(frozen=True)
class Episode:
    name: str = "e"
    pictures: int = 1
    bytes: int = 18
    sha256: str = "ab"
    steps: int = 1
    dropped: int = 0
    error: str = ""


@dataclass(frozen=True)
class Recorded:
    pictures: int = 0
    endings: int = 0
    ended: tuple[Episode, ...] = ()
    problems: int = 0
    problem: str = ""
    episodes: int = 0
    steps: int = 0
    dropped: int = 0


class Recorder:
    """A listener that says what the test wants; what it hears is in `heard`."""

    records = True

    def __init__(self) -> None:
        self.says: Recorded | None = Recorded()
        self.heard: list[Any] = []
        self.attached: list[Attached] = []

    def on_attach(self, session: str, attached: Attached) -> None:
        self.attached.append(attached)

    def on_observation(self, session: str, observation: Observation) -> None:
        assert observation.picture is not None
        self.heard.append((observation.index, observation.picture.number, observation.instruction))
        if observation.index == 99:
            raise RuntimeError("a secret")

    def on_text(self, session: str, kind: str, text: str, source: str) -> None:
        self.heard.append((kind, text, source))

    def on_event(self, session: str, event: Any) -> None:
        self.heard.append("end")

    def on_lost(self, session: str) -> None:
        self.heard.append("lost")

    def on_leave(self, session: str) -> None:
        self.heard.append("left")

    def on_decision(self, *_: Any) -> None:
        raise AssertionError("nobody decides")

    on_control = on_decision

    def close(self) -> None:
        """Nothing to close."""

    def recorded(self, session: str) -> Any:
        return self.says


class Policy(NoPolicy):
    """Fails a test that asks it anything."""

    def attach(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a recording has no policy")

    act = ask = attach


async def attach(bridge: Dispatcher, **hello: Any) -> MemoryClient:
    client = MemoryClient(bridge)
    spec = SPEC.model_dump(mode="json")
    await client.send(
        {"type": "hello", "role": "record", "spec": spec, "instruction": "go", **hello}
    )
    return client


async def heard(recorder: Recorder, count: int) -> list[Any]:
    """Wait for what a recorder hears, in its own thread."""
    async with asyncio.timeout(60):
        while len(recorder.heard) < count:
            await asyncio.sleep(0)
    return recorder.heard


def welcome_of(client: MemoryClient) -> Welcome:
    welcome = client.messages[0]
    assert isinstance(welcome, Welcome)
    return welcome


def errors(client: MemoryClient) -> list[ErrorMessage]:
    return [message for message in client.messages if isinstance(message, ErrorMessage)]


def run(play: Any, recorder: Recorder, **options: Any) -> None:
    run_dispatcher(play, Policy(), listeners=[recorder], **options)


def test_everything_reaches_the_recorder_and_no_policy() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, mode="realtime", owner="agent")
        welcome = welcome_of(game)
        assert (welcome.policy, welcome.owner, welcome.resume) == ("", "human", "")
        assert welcome.credit == Credit(picture=64, bytes=8 << 20)
        await game.picture(1)
        await game.send({"type": "instruct", "text": "dig"})
        await game.send({"type": "say", "text": "so"})
        for number in (2, 3):
            await game.picture(number)
        await game.send({"type": "event", "terminated": True, "success": True})
        assert await heard(recorder, 6) == [
            (0, 1, "go"), ("instruct", "dig", "game"), ("say", "so", "game"), (1, 2, "dig"), (2, 3, "dig"), "end",
        ]  # fmt: skip
        assert len(game.messages) == 1
        (attached,) = recorder.attached
        assert (attached.policy, attached.owner, attached.lockstep) == (None, "human", False)
        (state,) = bridge.state(0).sessions
        assert (state.role, state.episodes, state.successes, state.owner) == (
            "record",
            1,
            1,
            "human",
        )
        await game.send({"type": "bye"})
        bridge.leave(game.peer)
        assert (await heard(recorder, 7))[-1] == "left"
        assert bridge.health(0).waiting == 0

    recorder = Recorder()
    run(play, recorder)


def test_a_server_that_does_not_record_says_so() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge)
        (error,) = errors(game)
        assert (error.code, error.hint) == (
            "not_recording",
            "start it with `iafm serve --record DIR`",
        )
        assert game.wire.ended is not None
        assert game.wire.ended[0] == 4400
        assert len(bridge.sessions) == 0

    run_dispatcher(play)


def test_a_server_without_a_policy_plays_nothing() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, role="play")
        (error,) = errors(game)
        assert (error.code, error.message) == (
            "unplayable", "this server has no player, it only records",
        )  # fmt: skip
        assert "role record" in error.hint

    run_dispatcher(play, NoPolicy(), listeners=[Recorder()])


def test_credit_follows_the_recorder() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge)
        for number in range(1, 21):
            await game.picture(number)
        await heard(recorder, 20)
        recorder.says = Recorded(pictures=3)
        bridge.tick(0)
        bridge.tick(0)
        assert game.messages[1:] == [Credit(picture=67, bytes=(8 << 20) + 150, recorded=3)]
        recorder.says = Recorded(pictures=19)
        await game.picture(21)  # a quarter of the window is told as soon as the recorder has it
        assert (await game.hears(Credit, 2))[1].recorded == 19

    recorder = Recorder()
    run(play, recorder)


def test_the_state_of_an_episode_comes_once_and_after_its_credit() -> None:
    async def play(bridge: Dispatcher) -> None:
        game, console = await attach(bridge), await open_console(bridge)
        for number in (1, 2):
            await game.picture(number)
            await game.send({"type": "event", "truncated": True})
        recorder.says = Recorded(2, 2, (Episode("a"), Episode("b", error="full", dropped=1)))
        bridge.tick(0)
        bridge.tick(0)
        credit, first, second = game.messages[1:]
        assert isinstance(credit, Credit)
        assert credit.recorded == 2
        assert first == RecordState(episode="a", pictures=1, bytes=18, sha256="ab", steps=1)
        assert (second.episode, second.error, second.dropped) == ("b", "full", 1)
        bridge.report(0)
        assert (await console.hears(State, 2))[-1].sessions[0].role == "record"

    recorder = Recorder()
    run(play, recorder)


def test_a_problem_is_told_at_once() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge)
        await game.picture(1)
        recorder.says = Recorded(pictures=1, problems=2, problem="the disk is full")
        bridge.tick(0)
        bridge.tick(0)
        assert [(error.code, error.message) for error in errors(game)] == [
            ("recording_failed", "the disk is full")
        ]
        assert game.wire.ended is None

    recorder = Recorder()
    run(play, recorder)


@pytest.mark.parametrize("how", ["the session", "the recorder", "before it begins"])
def test_a_recorder_that_fails_ends_the_recording(how: str) -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge)
        if how != "before it begins":
            bridge.tick(0)
        recorder.says = None if how == "the session" else Recorded()
        if how != "the session":
            bridge._listeners._threads[0]._is_active = False
        bridge.tick(0)
        assert [error.code for error in errors(game)] == ["recording_failed"]
        assert game.wire.ended is not None
        assert game.wire.ended[0] == 4400

    recorder = Recorder()
    run(play, recorder)


def test_a_recording_that_is_resumed_misses_nothing() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, resumable=True)
        for number in (1, 2, 3):
            await game.picture(number)
        game.peer.connection.close(1006, "")
        bridge.leave(game.peer)
        recorder.says = Recorded(2, 1, (Episode(),))
        bridge.tick(0)
        again = await attach(bridge, resumable=True, resume=welcome_of(game).resume)
        welcome = welcome_of(again)
        assert (welcome.resumed, welcome.observation) == (True, 3)
        assert welcome.credit == Credit(picture=66, bytes=(8 << 20) + 100, recorded=2)
        assert isinstance(again.messages[1], RecordState)
        for number in (3, 4):
            await again.picture(number)
        assert [number for _, number, _ in await heard(recorder, 4)] == [1, 2, 3, 4]
        assert errors(again) == []
        assert "lost" not in recorder.heard

    recorder = Recorder()
    run(play, recorder)


def test_another_role_does_not_resume_a_recording() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, resumable=True, mode="lockstep")
        game.peer.connection.close(1006, "")
        bridge.leave(game.peer)
        key = welcome_of(game).resume
        other = await attach(bridge, role="play", resumable=True, resume=key, mode="lockstep")
        assert errors(other)[0].code == "unplayable"

    run_dispatcher(play, NoPolicy(), listeners=[Recorder()])


def test_a_recording_that_fails_while_it_is_lost_is_over() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, resumable=True)
        bridge.tick(0)
        game.peer.connection.close(1006, "")
        bridge.leave(game.peer)
        recorder.says = None
        bridge.tick(0)
        recorder.says = Recorded()
        again = await attach(bridge, resumable=True, resume=welcome_of(game).resume)
        assert not welcome_of(again).resumed

    recorder = Recorder()
    run(play, recorder)


def test_a_console_speaks_to_a_recording_and_sees_it() -> None:
    async def play(bridge: Dispatcher) -> None:
        game, console = await attach(bridge), await open_console(bridge)
        await console.send({"type": "instruct", "text": "dig"})
        await console.send({"type": "correct", "text": "further"})
        assert [message.text for message in await game.hears(Instruct)] == ["dig"]
        assert [message.text for message in await game.hears(Correct)] == ["further"]
        await console.send({"type": "control", "owner": "agent"})
        await console.send({"type": "query", "id": 4, "kind": "why"})
        assert [(error.code, error.id) for error in await console.hears(ErrorMessage, 2)] == [
            ("not_allowed", None), ("not_allowed", 4),
        ]  # fmt: skip
        await game.picture(1, np.full((8, 8, 3), 200, np.uint8), Codec.PNG)
        async with asyncio.timeout(60):
            while not (pictures := [data for data in console.wire.data if isinstance(data, bytes)]):
                await asyncio.sleep(0)
        picture = unpack(pictures[0])
        assert (picture.number, picture.codec) == (1, Codec.JPEG)
        assert abs(picture.decode().mean() - 200) < 2

    recorder = Recorder()
    run(play, recorder)


def test_a_picture_that_does_not_decode_is_not_shown() -> None:
    async def play(bridge: Dispatcher) -> None:
        game, console = await attach(bridge), await open_console(bridge)
        whole = pack(np.zeros((8, 8, 3), np.uint8), 1, 0, Codec.JPEG)
        await game.send(whole[:-20] + bytes(20))
        async with asyncio.timeout(60):
            while bridge._pictures._encoding:
                await asyncio.sleep(0)
        game.now = 1.0
        await game.picture(2)
        async with asyncio.timeout(60):
            while not (pictures := [data for data in console.wire.data if isinstance(data, bytes)]):
                await asyncio.sleep(0)
        assert unpack(pictures[0]).number == 2
        assert bridge.health(0).errors == 0

    run(play, Recorder())


def test_recordings_count_among_the_agents() -> None:
    async def play(bridge: Dispatcher) -> None:
        await attach(bridge)
        other = await attach(bridge)
        assert errors(other)[0].code == "too_many"

    run(play, Recorder(), limits=replace(LIMITS, sessions=1))
