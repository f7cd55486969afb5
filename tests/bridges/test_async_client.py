"""Asyncio client: a game in an event loop, over a real socket."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from inspect import signature
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import connect as raw_connect

from bridges.async_client import connect
from bridges.client import connect as connect_blocking
from bridges.console_client import instruct, watch
from bridges.errors import AnswerError, BridgeError
from bridges.policy import Decision, PolicyRequest
from bridges.protocol.backoff import Backoff
from bridges.protocol.messages import State
from bridges.protocol.replay_messages import Replay
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from bridges.testing.dropping_proxy import dropping_proxy
from games import Button, FrameSize, GameSpec

SPEC = GameSpec(
    id="bell-v0",
    title="Bell",
    frame=FrameSize(height=16, width=16),
    step_hz=20,
    controls=(Button(name="ring", label="ring"),),
)
FRAME = np.zeros(SPEC.frame.shape, np.uint8)
QUICK = Backoff(first_s=0.001, cap_s=0.01)


class Parrot(RandomPolicy):
    """Says the instruction; fails at "fail"."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        if any(request.instruction == "fail" for request in requests):
            raise RuntimeError("a bad moment")
        return [Decision(action={"ring": 1}, words=r.instruction, probability=1) for r in requests]


def run(play: Callable[[], Awaitable[None]]) -> None:
    async def within_a_minute() -> None:
        async with asyncio.timeout(60):
            await play()

    asyncio.run(within_a_minute())


def test_a_game_plays_in_an_event_loop() -> None:
    async def play() -> None:
        async with connect(server.url, SPEC, instruction="go", agents=2, cameras=2) as game:
            game.instruct("stay", agent=1)
            acts = await asyncio.gather(
                *(game.act(FRAME, agent=agent, cameras={1: FRAME}, reward=1.0) for agent in (0, 1))
            )
            assert [(act.agent, act.words) for act in acts] == [(0, "go"), (1, "stay")]
            due = game.current_action(agent=1)
            assert due is not None
            assert due.words == "stay"
            assert await game.ask("why")
            difference = await game.ask_clock(times=3)
            assert abs(difference.offset_s) <= difference.uncertainty_s + 1e-3
            game.event(terminated=True, agent=1)
            await game.act(FRAME)
            assert [session.episodes for session in server.state().sessions] == [0, 1]

    with background_server(Parrot()) as server:
        run(play)
        with closing(watch(server.url)) as messages:
            assert any(isinstance(state, State) and not state.sessions for state in messages)


def test_a_replay_hears_what_consoles_ask() -> None:
    wishes: list[Replay] = []

    async def play() -> None:
        asked = asyncio.Event()

        def on_message(message: object) -> None:
            if isinstance(message, Replay):
                wishes.append(message)
                asked.set()

        async with connect(server.url, SPEC, replay=True, on_message=on_message) as game:
            game.replay_state(match="noon", step=3, steps=9)
            await game.act(FRAME)
            (session,) = server.state().sessions
            assert session.replay is not None
            assert (session.replay.match, session.replay.step) == ("noon", 3)
            with raw_connect(server.url) as console:
                console.send('{"type": "hello", "role": "watch"}')
                console.send('{"type": "replay", "command": "seek", "step": 5}')
                await asked.wait()

    with background_server(Parrot()) as server:
        run(play)
    assert [(wish.command, wish.step) for wish in wishes] == [("seek", 5)]


def test_both_clients_connect_with_the_same_options() -> None:
    blocking, awaited = (set(signature(each).parameters) for each in (connect_blocking, connect))
    assert blocking - awaited == {"sleep", "jitter"}
    assert awaited <= blocking


def test_an_error_is_its_pictures_alone() -> None:
    errors: list[AnswerError] = []

    async def play() -> None:
        async with connect(server.url, SPEC, on_error=errors.append) as game:
            game.instruct("fail")
            with pytest.raises(AnswerError, match="the policy failed"):
                await game.act(FRAME)
            game.instruct("go")
            assert (await game.act(FRAME)).words == "go"
            with pytest.raises(BridgeError, match=r"query\.kind"):
                await game.ask("who")
            with pytest.raises(BridgeError, match="agent 1: connect was called with agents=1"):
                game.current_action(agent=1)

    with background_server(Parrot()) as server:
        run(play)
    assert [error.code for error in errors] == ["policy_failed"]


def test_a_consoles_instruction_arrives() -> None:
    arrived = asyncio.Event()

    async def play() -> None:
        async with connect(server.url, SPEC, on_message=lambda message: arrived.set()) as game:
            await asyncio.to_thread(instruct, server.url, "ring")
            await arrived.wait()
            assert (game.instruction, game.console_instruction) == ("ring", "ring")

    with background_server(Parrot()) as server:
        run(play)


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_a_lost_connection_is_resumed(mode: str) -> None:
    states: list[str] = []

    async def play() -> None:
        url, resumed = f"127.0.0.1:{proxy.port}", asyncio.Event()

        def on_state(state: str, detail: str) -> None:
            states.append(state)
            if detail.startswith("resumed"):
                resumed.set()

        async with connect(url, SPEC, mode=mode, on_state=on_state, backoff=QUICK) as game:
            session = (await game.act(FRAME)).session
            proxy.arm(1)
            game.instruct("ring")
            await resumed.wait()
            assert game.current_action() is None
            act = await game.act(FRAME)
            assert (act.session, act.words) == (session, "ring")

    with background_server(Parrot()) as server, dropping_proxy(server.port) as proxy:
        run(play)
    assert states == ["connecting", "playing", "reconnecting", "playing", "closed"]


def test_without_patience_a_lost_connection_is_the_end() -> None:
    async def play() -> None:
        url, backoff = f"127.0.0.1:{proxy.port}", Backoff(patience_s=0)
        async with connect(url, SPEC, backoff=backoff) as game:
            proxy.arm(1)
            with pytest.raises(BridgeError, match="the server ended the session: connection lost"):
                await game.act(FRAME)
            with pytest.raises(BridgeError, match="connection lost"):
                game.current_action()

    with background_server(Parrot()) as server, dropping_proxy(server.port) as proxy:
        run(play)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"token": "wrong"}, "4401 wrong or missing token"),
        ({"mode": "turbo"}, r"hello\.mode: Input should be"),
        ({"agents": 17}, r"hello\.agents"),
    ],
)
def test_a_refusal_is_one_line(options: dict[str, Any], problem: str) -> None:
    async def play() -> None:
        with pytest.raises(BridgeError, match=problem):
            async with connect(server.url, SPEC, **options):
                pass

    with background_server(Parrot(), token="secret") as server:
        run(play)


def test_a_server_that_is_away_is_named() -> None:
    async def play() -> None:
        with pytest.raises(BridgeError, match="no server at ws://127"):
            async with connect("127.0.0.1:1", SPEC):
                pass

    run(play)


def test_an_answer_that_does_not_come_is_a_line() -> None:
    async def play() -> None:
        async with connect(server.url, SPEC, mode="realtime") as game:
            await game.act(FRAME)
            game._session.observe = lambda *values, **options: None  # type: ignore[method-assign]
            with pytest.raises(BridgeError, match=r"no action within 0\.01 s"):
                await game.act(FRAME, timeout_s=0.01)

    with background_server(Parrot()) as server:
        run(play)
