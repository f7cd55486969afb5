"""Takeover: who owns a player, what was done meanwhile, and what people say, without a socket."""

import asyncio

import pytest

from bridges.protocol.messages import (
    Act,
    Control,
    Correct,
    ErrorMessage,
    Event,
    Say,
    State,
    Welcome,
)
from bridges.serving.dispatcher import Dispatcher
from bridges.testing.memory_client import (
    MirrorPolicy,
    attach_game,
    open_console,
    run_dispatcher,
)
from games.voxel import SPEC

AT_REST = SPEC.null_action()
JUMP, ATTACK = {**AT_REST, "jump": 1}, {**AT_REST, "attack": 1}


def test_what_the_game_did_reaches_the_policy_but_not_over_an_episodes_end() -> None:
    policy = MirrorPolicy()

    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, mode="lockstep")
        for number, executed in enumerate(({"jump": 1}, None, {"attack": 1}), 1):
            await client.picture(number, executed=executed)
        await client.hears(Act, 3)
        await client.send({"type": "event", "terminated": True})
        await client.picture(4, executed={"jump": 1})
        await client.hears(Act, 4)
        assert policy.executed == [JUMP, None, ATTACK, None]

    run_dispatcher(play, policy)


def test_in_realtime_it_is_what_was_done_before_the_picture_that_is_decided() -> None:
    policy = MirrorPolicy()

    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, "wait")
        await client.picture(1)
        while not policy.begun.is_set():
            await asyncio.sleep(0)
        await client.picture(2, executed={"attack": 1})
        await client.picture(3, executed={"jump": 1})
        policy.gate.set()
        acts = await client.hears(Act, 2)
        assert [act.observation for act in acts] == [1, 3]
        assert policy.executed == [None, JUMP]

    run_dispatcher(play, policy)


def test_a_person_takes_over_and_a_console_hands_back() -> None:
    policy = MirrorPolicy()

    async def play(bridge: Dispatcher) -> None:
        viewer = await open_console(bridge)
        client = await attach_game(bridge, mode="lockstep", owner="shared")
        assert (await client.hears(Welcome))[0].owner == "shared"
        await client.picture(1)
        await client.picture(2, input={"jump": 1})
        await client.picture(3)
        acts = await client.hears(Act, 3)
        assert acts[2].owner == "human"
        assert policy.executed == [None, JUMP, AT_REST]
        for peer in (client, viewer):
            (control,) = await peer.hears(Control)
            assert (control.owner, control.session) == ("human", client.session)
        await viewer.send({"type": "control", "owner": "agent", "source": "game"})
        for peer in (client, viewer):
            changes = [(control.owner, control.source) for control in await peer.hears(Control, 2)]
            assert changes == [("human", "game"), ("agent", "console")]
        await client.picture(4, input={"jump": 1})
        await client.picture(5)
        assert [act.owner for act in (await client.hears(Act, 5))[3:]] == ["agent", "agent"]
        assert policy.executed[3:] == [JUMP, None]
        assert bridge.state(0).sessions[0].owner == "agent"

    run_dispatcher(play, policy)


def test_a_game_that_changes_the_owner_hears_it_back_and_so_do_its_consoles() -> None:
    async def play(bridge: Dispatcher) -> None:
        other, client = await attach_game(bridge), await attach_game(bridge)
        viewer, elsewhere = await open_console(bridge), await open_console(bridge)
        await elsewhere.send({"type": "subscribe", "session": other.session})
        await client.send({"type": "control", "owner": "human"})
        for peer in (client, viewer):
            assert [c.owner for c in await peer.hears(Control)] == ["human"]
        assert not await elsewhere.hears(Control, 0)
        assert not await other.hears(Control, 0)
        bridge.report(0.0)
        owners = [s.owner for s in (await viewer.hears(State, 2))[-1].sessions]
        assert owners == ["agent", "human"]

    run_dispatcher(play)


@pytest.mark.parametrize(("kind", "model"), [("correct", Correct), ("say", Say)])
def test_words_go_to_the_consoles_of_their_game_and_from_a_console_to_the_game(
    kind: str, model: type[Correct | Say]
) -> None:
    async def play(bridge: Dispatcher) -> None:
        client, viewer, tool = (
            await attach_game(bridge),
            await open_console(bridge),
            await open_console(bridge, "query"),
        )
        await client.send({"type": kind, "text": "from the game"})
        (heard,) = await viewer.hears(model)
        assert (heard.text, heard.source) == ("from the game", "game")
        await tool.send({"type": kind, "text": "from a tool", "session": client.session})
        for peer in (client, viewer, tool):
            words = (await peer.hears(model))[-1]
            assert (words.text, words.session) == ("from a tool", client.session)
            assert words.source == "console"
        assert len(await client.hears(model)) == 1
        await viewer.send({"type": kind, "text": "to nobody", "session": "x"})
        assert (await viewer.hears(ErrorMessage))[0].code == "no_session"
        await client.picture(1)
        assert (await client.hears(Act))[0].words == "go"

    run_dispatcher(play)


def test_consoles_hear_what_the_last_step_did() -> None:
    async def play(bridge: Dispatcher) -> None:
        client, viewer = await attach_game(bridge), await open_console(bridge)
        await client.send(
            {"type": "event", "terminated": True, "executed": {"jump": 1}, "score": 3}
        )
        (event,) = await viewer.hears(Event)
        assert (event.executed["jump"], event.score, event.session) == (1, 3, client.session)

    run_dispatcher(play)


def test_a_wrong_field_beside_a_picture_is_named_and_the_picture_answered() -> None:
    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, mode="lockstep")
        await client.picture(7, executed={"jmp": 1})
        (error,), (act,) = await client.hears(ErrorMessage), await client.hears(Act)
        assert (error.code, error.observation, act.observation) == ("bad_report", 7, 7)
        assert client.peer.connection.in_flight == 0
        assert bridge.health(0).errors == 0

    run_dispatcher(play)
