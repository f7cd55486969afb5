"""Dispatcher: what games, consoles and tools bring about, without a socket."""

import asyncio

import numpy as np
import pytest

from bridges.protocol.frames import Codec, pack
from bridges.protocol.messages import Act, Answer, ErrorMessage, Instruct, State
from bridges.serving.dispatcher import Dispatcher
from bridges.testing.memory_client import (
    LIMITS,
    PIXELS,
    MirrorPolicy,
    attach_game,
    open_console,
    run_dispatcher,
)
from games.spec import MAX_SIDE


def test_an_instruction_counts_for_the_observations_after_it() -> None:
    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, "first", mode="lockstep")
        await client.picture(1)
        await client.send({"type": "instruct", "text": "second"})
        await client.picture(2)
        acts = await client.hears(Act, 2)
        assert [(act.observation, act.words) for act in acts] == [(1, "first"), (2, "second")]

    run_dispatcher(play)


@pytest.mark.parametrize("mode", ["realtime", "lockstep"])
def test_the_end_of_an_episode_ends_its_observations(mode: str) -> None:
    policy = MirrorPolicy()

    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, "wait", mode=mode)
        await client.picture(1)
        while not policy.begun.is_set():
            await asyncio.sleep(0)
        await client.picture(2)
        await client.send({"type": "event", "terminated": True, "success": True})
        await client.send({"type": "instruct", "text": "go"})
        await client.picture(3)
        policy.gate.set()
        acts = await client.hears(Act, 2)
        assert [(act.observation, act.words) for act in acts] == [(1, "wait"), (3, "go")]
        assert acts[1].dropped == 1
        errors = await client.hears(ErrorMessage, 0)
        expected = [("episode_over", 2)] if mode == "lockstep" else []
        assert [(error.code, error.observation) for error in errors] == expected
        assert client.peer.connection.in_flight == 0

    run_dispatcher(play, policy)


def test_a_session_that_fails_again_and_again_is_closed_and_no_other_suffers() -> None:
    async def play(bridge: Dispatcher) -> None:
        guilty, honest = await attach_game(bridge, "fail"), await attach_game(bridge)
        for number in range(3):
            await guilty.picture(number)
            await honest.picture(number)
            await honest.hears(Act, number + 1)
            errors = await guilty.hears(ErrorMessage, number + 1)
        assert [(error.code, error.observation) for error in errors] == [
            ("policy_failed", number) for number in range(3)
        ]
        assert "secret" not in "".join(map(str, guilty.wire.data))
        assert guilty.wire.ended == (4400, "3 pictures in a row failed: the policy failed")
        assert honest.wire.ended is None
        assert not await honest.hears(ErrorMessage, 0)

    run_dispatcher(play)


def test_a_damaged_picture_is_named() -> None:
    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge)
        await client.send(pack(PIXELS, 8, 0, Codec.PNG).replace(b"IDAT", b"JUNK"))
        (error,) = await client.hears(ErrorMessage)
        assert (error.code, error.observation) == ("bad_picture", 8)
        await client.picture(9)
        (act,) = (await client.hears(Act, 1))[-1:]
        assert act.observation == 9

    run_dispatcher(play)


def test_queries_are_answered_with_their_id_whatever_happens() -> None:
    async def play(bridge: Dispatcher) -> None:
        client, tool = await attach_game(bridge), await open_console(bridge, "query")
        for number, kind in enumerate(("why", "caption", "next_action")):
            await client.send({"type": "query", "id": number, "kind": kind})
        await tool.send({"type": "query", "id": 9, "kind": "why"})
        await tool.send({"type": "query", "id": 10, "kind": "why", "session": "nobody"})
        (answer,) = await client.hears(Answer)
        assert (answer.id, answer.text) == (0, "because")
        errors = await client.hears(ErrorMessage, 2)
        assert [(error.id, error.message) for error in errors] == [
            (1, "nothing to see"),
            (2, "the policy could not answer"),
        ]
        assert (await tool.hears(Answer))[0].id == 9
        (error,) = await tool.hears(ErrorMessage)
        assert (error.code, error.id) == ("no_session", 10)
        assert bridge.health(0).errors == 2

    run_dispatcher(play)


def test_nobody_is_asked_for_a_peer_that_is_gone() -> None:
    policy = MirrorPolicy()

    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, "wait")
        await client.picture(1)
        while not policy.begun.is_set():
            await asyncio.sleep(0)
        tool = await open_console(bridge, "query")
        await tool.send({"type": "query", "kind": "why"})
        await asyncio.sleep(0)
        tool.peer.close(1001, "gone")
        policy.gate.set()
        await client.send({"type": "query", "id": 2, "kind": "caption"})
        await client.hears(ErrorMessage)
        assert policy.asked == ["caption"]

    run_dispatcher(play, policy)


def test_a_game_that_cannot_be_played_hears_why() -> None:
    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, seed=13)
        (error,) = await client.hears(ErrorMessage)
        assert (error.code, error.message) == ("unplayable", "no luck")
        assert client.wire.ended == (4400, "no luck")
        assert len(bridge.sessions) == 0

    run_dispatcher(play)


@pytest.mark.parametrize("shape", [(1, MAX_SIDE, 3), (2, 3, 3)])
def test_a_console_sees_pictures_of_any_legal_shape(shape: tuple[int, int, int]) -> None:
    async def play(bridge: Dispatcher) -> None:
        viewer, client = await open_console(bridge), await attach_game(bridge)
        await client.picture(1, np.zeros(shape, np.uint8))
        await viewer.hears(Act)
        async with asyncio.timeout(60):
            while not any(isinstance(data, bytes) for data in viewer.wire.data):
                await asyncio.sleep(0)
        await client.picture(2)
        await client.hears(Act, 2)
        assert bridge.health(0).errors == 0

    run_dispatcher(play)


def test_a_picture_that_cannot_be_encoded_costs_the_game_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def play(bridge: Dispatcher) -> None:
        async def encode(*_: object) -> bytes:
            raise ValueError("no JPEG")

        monkeypatch.setattr(bridge._pictures.encoder, "encode", encode)
        viewer, client = await open_console(bridge), await attach_game(bridge)
        for number in range(3):
            await client.picture(number)
            await client.hears(Act, number + 1)
        await viewer.hears(Act, 3)
        async with asyncio.timeout(60):
            while bridge.health(0).errors < 1:
                await asyncio.sleep(0)
        assert bridge.health(0).status == "ok"

    run_dispatcher(play)
    assert "background work failed" in caplog.text


def test_pictures_are_encoded_only_for_consoles_that_somebody_sees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play(bridge: Dispatcher) -> None:
        encoded: list[int] = []

        async def encode(frame: object, number: int, t_ns: int, session: str) -> bytes:
            encoded.append(number)
            return b"picture"

        monkeypatch.setattr(bridge._pictures.encoder, "encode", encode)
        client = await attach_game(bridge)
        await client.picture(1)
        await client.hears(Act)
        viewers = [await open_console(bridge) for _ in range(3)]
        await client.picture(2)
        await viewers[2].hears(Act)
        while b"picture" not in viewers[2].wire.data:
            await asyncio.sleep(0)
        for viewer in viewers:
            assert viewer.wire.data.count(b"picture") == 1
            await viewer.send({"type": "subscribe", "pictures": False})
        await client.picture(3)
        await viewers[0].hears(Act, 2)
        await viewers[1].send({"type": "subscribe"})
        await client.picture(4)
        await viewers[1].hears(Act, 3)
        while b"picture" not in viewers[1].wire.data[-2:]:
            await asyncio.sleep(0)
        assert [v.wire.data.count(b"picture") for v in viewers] == [1, 2, 1]
        bridge.leave(viewers[1].peer)
        await client.picture(5)
        await client.hears(Act, 5)
        assert encoded == [2, 4]

    run_dispatcher(play)


def test_a_goal_from_a_console_reaches_game_and_consoles() -> None:
    async def play(bridge: Dispatcher) -> None:
        client, viewer, tool = (
            await attach_game(bridge),
            await open_console(bridge),
            await open_console(bridge, "query"),
        )
        await tool.send({"type": "instruct", "text": "dig"})
        for peer in (client, viewer, tool):
            (instruct,) = await peer.hears(Instruct)
            assert (instruct.text, instruct.session) == ("dig", client.session)
        await tool.send({"type": "subscribe", "session": "nobody"})
        assert (await tool.hears(ErrorMessage))[0].code == "no_session"
        await client.picture(1)
        assert (await client.hears(Act))[0].words == "dig"

    run_dispatcher(play)


def test_figures_go_to_consoles_when_something_changed_or_it_is_time() -> None:
    async def play(bridge: Dispatcher) -> None:
        viewer = await open_console(bridge)
        bridge.report(0.0)
        states = len(await viewer.hears(State))
        bridge.report(0.1)
        assert len(await viewer.hears(State)) == states
        client = await attach_game(bridge)
        bridge.report(0.2)
        assert len((await viewer.hears(State, states + 1))[-1].sessions) == 1
        bridge.report(0.3)
        bridge.report(0.2 + LIMITS.report_s)
        assert len(await viewer.hears(State)) == states + 2
        bridge.leave(client.peer)
        bridge.report(1.3)
        assert (await viewer.hears(State, states + 3))[-1].sessions == ()

    run_dispatcher(play)
