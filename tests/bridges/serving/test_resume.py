"""Resumed sessions: what survives a lost connection, and for how long, without a socket."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from bridges.protocol.frames import pack
from bridges.protocol.messages import (
    Ack,
    Act,
    Answer,
    ErrorMessage,
    Instruct,
    State,
    Welcome,
)
from bridges.serving.dispatcher import Dispatcher
from bridges.testing.memory_client import (
    LIMITS,
    PIXELS,
    MemoryClient,
    MirrorPolicy,
    attach_game,
    open_console,
    run_dispatcher,
)
from games.voxel import SPEC


def welcome_of(client: MemoryClient) -> Welcome:
    welcome = client.messages[0]
    assert isinstance(welcome, Welcome)
    return welcome


def lose(bridge: Dispatcher, client: MemoryClient, code: int = 1006) -> None:
    client.peer.connection.close(code, "")
    bridge.leave(client.peer)


async def attach(
    bridge: Dispatcher, instruction: str = "go", now: float = 0, **hello: Any
) -> MemoryClient:
    client = MemoryClient(bridge)
    client.now = now
    values = {"spec": SPEC.model_dump(mode="json"), "instruction": instruction, "resumable": True}
    await client.send({"type": "hello", **values, **hello})
    return client


async def resume(
    bridge: Dispatcher, lost: MemoryClient, now: float = 0, **hello: Any
) -> MemoryClient:
    return await attach(bridge, now=now, **{"resume": welcome_of(lost).resume, **hello})


def test_a_resumed_session_is_the_same() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, owner="shared")
        await game.send({"type": "instruct", "text": "dig", "seq": 1})
        await game.send({"type": "event", "terminated": True, "success": True, "seq": 2})
        lose(bridge, game)
        assert not bridge.state(0).sessions[0].connected
        again = await resume(bridge, game, instruction="other")
        welcome = welcome_of(again)
        assert (welcome.session, welcome.resumed, welcome.received) == (game.session, True, 2)
        assert (welcome.instruction, welcome.owner) == ("dig", "shared")
        assert welcome.resume == welcome_of(game).resume
        state = bridge.state(0).sessions[0]
        assert (state.episodes, state.successes, state.connected) == (1, 1, True)
        await again.picture(1)
        assert (await again.hears(Act))[0].words == "dig"

    run_dispatcher(play)


def test_a_text_that_comes_again_counts_once() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge)
        event = {"type": "event", "terminated": True, "seq": 1}
        await game.send(event)
        await game.send(event)
        lose(bridge, game)
        again = await resume(bridge, game)
        await again.send(event)
        await again.send({**event, "seq": 2})
        assert bridge.state(0).sessions[0].episodes == 2
        acks = [message.received for message in again.messages if isinstance(message, Ack)]
        assert acks == [1, 2]

    run_dispatcher(play)


def test_texts_that_were_not_acknowledged_come_again() -> None:
    async def play(bridge: Dispatcher) -> None:
        game, console = await attach(bridge), await open_console(bridge)
        for text in "abc":
            await console.send({"type": "instruct", "text": text})
        await game.send({"type": "ack", "received": 1})
        lose(bridge, game)
        await console.send({"type": "instruct", "text": "d"})
        again = await resume(bridge, game, received=2)
        assert [message.text for message in await again.hears(Instruct, 2)] == ["c", "d"]

    run_dispatcher(play)


@pytest.mark.parametrize("detached", [False, True])
def test_an_answer_that_comes_too_late_for_its_connection_reaches_the_next(detached: bool) -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, "wait")
        await game.picture(1)
        await game.send({"type": "query", "id": 7, "kind": "why", "seq": 1})
        game.peer.connection.close(1006, "")
        if detached:
            bridge.leave(game.peer)
        policy.gate.set()
        assert game.peer.session is not None
        assert game.peer.session.resumption is not None
        async with asyncio.timeout(60):
            while not game.peer.session.resumption.mailbox.waiting():
                await asyncio.sleep(0)
        if not detached:
            bridge.leave(game.peer)
        again = await resume(bridge, game)
        assert (await again.hears(Answer))[0].id == 7

    policy = MirrorPolicy()
    run_dispatcher(play, policy)


def test_in_realtime_no_action_is_stale() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, "wait")
        await game.picture(1)
        await asyncio.to_thread(policy.begun.wait, 60)
        await game.picture(2)
        lose(bridge, game)
        again = await resume(bridge, game, now=5)
        policy.gate.set()
        await again.picture(3)
        acts = await again.hears(Act)
        assert [act.observation for act in acts] == [3]
        assert acts[0].dropped == 1
        assert welcome_of(again).observation is None

    policy = MirrorPolicy()
    run_dispatcher(play, policy)


def test_in_lockstep_every_picture_is_answered_once() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, "wait", mode="lockstep")
        for number in (1, 2):
            await game.picture(number)
        lose(bridge, game)
        policy.gate.set()
        again = await resume(bridge, game, mode="lockstep")
        assert welcome_of(again).observation == 2
        await again.picture(3)
        assert [act.observation for act in await again.hears(Act, 3)] == [1, 2, 3]
        assert len(policy.executed) == 3

    policy = MirrorPolicy()
    run_dispatcher(play, policy)


def test_a_second_connection_takes_the_session_over() -> None:
    async def play(bridge: Dispatcher) -> None:
        first = await attach(bridge)
        second = await resume(bridge, first)
        assert first.wire.ended is not None
        assert first.wire.ended[0] == 4409
        bridge.leave(first.peer)
        await second.picture(1)
        assert (await second.hears(Act))[0].session == first.session
        assert len(bridge.sessions) == 1

    run_dispatcher(play)


@pytest.mark.parametrize(
    "hello",
    [
        {"resume": "nobody's"},
        {"resume": ""},
        {"mode": "lockstep"},
        {"spec": SPEC.model_copy(update={"step_hz": 7.0}).model_dump(mode="json")},
    ],
)
def test_what_does_not_fit_is_a_new_session(hello: dict[str, Any]) -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge)
        lose(bridge, game)
        other = await resume(bridge, game, **hello)
        assert not welcome_of(other).resumed
        assert welcome_of(other).session != game.session
        assert len({welcome_of(other).resume, welcome_of(game).resume, ""}) == 3

    run_dispatcher(play)


@pytest.mark.parametrize("code", [1000, 1001, 4400, 4429])
def test_an_end_is_an_end(code: int) -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge)
        lose(bridge, game, code)
        assert len(bridge.sessions) == 0

    run_dispatcher(play)


@pytest.mark.parametrize("agents", [1, 2])
def test_a_session_without_a_key_ends_with_its_connection(agents: int) -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach_game(bridge, agents=agents)
        assert welcome_of(game).resume == ""
        assert all("seq" not in text for text in map(str, game.wire.data))
        lose(bridge, game)
        assert len(bridge.sessions) == 0

    run_dispatcher(play)


def test_detached_sessions_end_in_time_and_are_few() -> None:
    async def play(bridge: Dispatcher) -> None:
        games = [await attach(bridge) for _ in range(4)]
        for game in games[:3]:
            lose(bridge, game)
        bridge.tick(time.monotonic())
        names = {state.session for state in bridge.state(0).sessions}
        assert names == {game.session for game in games[1:]}
        bridge.tick(time.monotonic() + LIMITS.resume_s + 1)
        assert [state.session for state in bridge.state(0).sessions] == [games[3].session]
        assert not welcome_of(await resume(bridge, games[1])).resumed

    run_dispatcher(play, limits=replace(LIMITS, detached=2))


def test_consoles_see_that_a_game_lost_its_connection() -> None:
    async def play(bridge: Dispatcher) -> None:
        game, console = await attach(bridge), await open_console(bridge)
        lose(bridge, game)
        bridge.report(0)
        states = await console.hears(State, 2)
        assert [state.sessions[0].connected for state in states] == [True, False]

    run_dispatcher(play)


def test_an_error_of_a_text_reaches_the_next_connection() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge)
        await game.send({"type": "query", "id": 3, "kind": "who", "seq": 1})
        lose(bridge, game)
        again = await resume(bridge, game)
        assert [error.id for error in await again.hears(ErrorMessage)] == [3]

    run_dispatcher(play)


# --- several agents ---


def test_agents_resume_together() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, agents=3)
        await game.send({"type": "instruct", "text": "dig", "agent": 1, "seq": 1})
        await game.send({"type": "event", "terminated": True, "agent": 2, "seq": 2})
        names = [state.session for state in bridge.state(0).sessions]
        lose(bridge, game)
        assert [state.connected for state in bridge.state(0).sessions] == [False] * 3
        again = await resume(bridge, game, agents=3)
        welcome = welcome_of(again)
        assert (welcome.session, welcome.resumed, welcome.received) == (names[0], True, 2)
        states = bridge.state(0).sessions
        assert [state.session for state in states] == names
        assert [state.connected for state in states] == [True] * 3
        assert [state.episodes for state in states] == [0, 0, 1]
        for agent in range(3):
            await again.send(pack(PIXELS, 1, 0, agent=agent))
        acts = await again.hears(Act, 3)
        answers = {act.agent: (act.session, act.words) for act in acts}
        assert answers == {0: (names[0], "go"), 1: (names[1], "dig"), 2: (names[2], "go")}

    run_dispatcher(play)


def test_their_texts_have_one_numbering() -> None:
    async def play(bridge: Dispatcher) -> None:
        game, console = await attach(bridge, agents=2), await open_console(bridge)
        names = [state.session for state in bridge.state(0).sessions]
        for text, agent in (("a", 0), ("b", 1), ("c", 0), ("d", 1)):
            if text == "d":
                lose(bridge, game)
            await console.send({"type": "instruct", "text": text, "session": names[agent]})
        again = await resume(bridge, game, agents=2, received=1)
        texts = [(message.agent, message.text) for message in await again.hears(Instruct, 3)]
        assert texts == [(1, "b"), (0, "c"), (1, "d")]

    run_dispatcher(play)


def test_in_lockstep_each_agents_newest_picture_is_named() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, "wait", mode="lockstep", agents=3)
        for number, agent in ((1, 0), (2, 0), (7, 2)):
            await game.send(pack(PIXELS, number, 0, agent=agent))
        lose(bridge, game)
        policy.gate.set()
        again = await resume(bridge, game, mode="lockstep", agents=3)
        welcome = welcome_of(again)
        assert (welcome.observation, welcome.observations) == (2, (2, None, 7))
        await again.send(pack(PIXELS, 1, 0, agent=1))
        answers = [(act.agent, act.observation) for act in await again.hears(Act, 4)]
        assert sorted(answers) == [(0, 1), (0, 2), (1, 1), (2, 7)]

    policy = MirrorPolicy()
    run_dispatcher(play, policy)


def test_in_realtime_no_agents_action_is_stale() -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, "wait", agents=2)
        for agent in range(2):
            await game.send(pack(PIXELS, 1, 0, agent=agent))
        await asyncio.to_thread(policy.begun.wait, 60)
        lose(bridge, game)
        again = await resume(bridge, game, now=5, agents=2)
        policy.gate.set()
        await again.send(pack(PIXELS, 2, 0, agent=1))
        acts = await again.hears(Act)
        assert [(act.agent, act.observation) for act in acts] == [(1, 2)]
        assert welcome_of(again).observations == (None, None)

    policy = MirrorPolicy()
    run_dispatcher(play, policy)


def test_a_second_connection_takes_all_agents_over() -> None:
    async def play(bridge: Dispatcher) -> None:
        first = await attach(bridge, agents=2)
        second = await resume(bridge, first, agents=2)
        assert first.wire.ended is not None
        assert first.wire.ended[0] == 4409
        bridge.leave(first.peer)
        assert [state.connected for state in bridge.state(0).sessions] == [True, True]
        for agent in range(2):
            await second.send(pack(PIXELS, 1, 0, agent=agent))
        assert len(await second.hears(Act, 2)) == 2
        lose(bridge, second, 1000)
        assert len(bridge.sessions) == 0

    run_dispatcher(play)


@pytest.mark.parametrize("agents", [1, 2, 4])
def test_another_number_of_agents_is_a_new_session(agents: int) -> None:
    async def play(bridge: Dispatcher) -> None:
        game = await attach(bridge, agents=3)
        lose(bridge, game)
        other = await resume(bridge, game, agents=agents)
        assert not welcome_of(other).resumed
        assert len(bridge.sessions) == 3 + agents

    run_dispatcher(play)


def test_detached_agents_end_together() -> None:
    async def play(bridge: Dispatcher) -> None:
        games = [await attach(bridge, agents=agents) for agents in (1, 3, 2)]
        for game in games:
            lose(bridge, game)
        bridge.tick(time.monotonic())
        assert len(bridge.sessions) == 2
        assert not welcome_of(await resume(bridge, games[1], agents=3)).resumed
        assert welcome_of(await resume(bridge, games[2], agents=2)).resumed
        lose(bridge, games[2])
        bridge.tick(time.monotonic() + LIMITS.resume_s + 1)
        assert {state.connected for state in bridge.state(0).sessions} == {True}

    run_dispatcher(play, limits=replace(LIMITS, detached=4))
