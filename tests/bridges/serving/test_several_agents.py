"""Several agents of one game: a session each, one connection."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bridges.errors import PolicyError
from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.protocol.frames import Codec, pack
from bridges.protocol.messages import Act, Answer, Control, ErrorMessage, Event, Instruct, State
from bridges.serving import gathering
from bridges.serving.dispatcher import Dispatcher
from bridges.serving.limits import ServerLimits
from bridges.testing.memory_client import (
    PIXELS,
    MemoryClient,
    MirrorPolicy,
    attach_game,
    open_console,
    run_dispatcher,
)
from games import GameSpec
from games.voxel import SPEC


class Countdown(MirrorPolicy):
    """Attaches as many players as it has places, and counts those that were closed."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places, self.seeds, self.closed = places, list[int | None](), 0
        self.batches: list[int] = []

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        if len(self.seeds) == self.places:
            raise PolicyError("no place left")
        self.seeds.append(seed)
        return Player(self)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        self.batches.append(len(requests))
        return super().act(requests)


class Player:
    spec, warnings = SPEC, ()

    def __init__(self, policy: Countdown) -> None:
        self._policy = policy

    def reset(self) -> None:
        pass

    def close(self) -> None:
        self._policy.closed += 1


def test_each_agent_has_its_own_session() -> None:
    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, "go", mode="lockstep", agents=3)
        await client.send({"type": "instruct", "text": "dig", "agent": 1})
        await client.send({"type": "control", "owner": "human", "agent": 2})
        for agent in range(3):
            await client.send(pack(PIXELS, 1, 0, agent=agent))
        acts = await client.hears(Act, 3)
        answers = sorted((act.agent, act.observation, act.words, act.owner) for act in acts)
        assert answers == [(0, 1, "go", "agent"), (1, 1, "dig", "agent"), (2, 1, "go", "human")]
        names = [session.session for session in bridge.state(0).sessions]
        assert len(set(names)) == 3
        assert {act.agent: act.session for act in acts} == dict(enumerate(names))
        assert client.peer.connection.in_flight == 0
        assert [control.agent for control in await client.hears(Control)] == [2]

    run_dispatcher(play)


def test_consoles_see_which_agent_a_session_is() -> None:
    async def play(bridge: Dispatcher) -> None:
        clients = [await attach_game(bridge, agents=2), await attach_game(bridge)]
        titles = [session.title for session in bridge.state(0).sessions]
        assert len(clients) == 2
        assert titles == [f"Player 1: {SPEC.title}", f"Player 2: {SPEC.title}", SPEC.title]

    run_dispatcher(play)


def test_an_episodes_end_is_one_agents() -> None:
    async def play(bridge: Dispatcher) -> None:
        client, viewer = await attach_game(bridge, agents=2), await open_console(bridge)
        await client.send({"type": "event", "terminated": True, "success": True, "agent": 1})
        tallies = [(session.episodes, session.successes) for session in bridge.state(0).sessions]
        assert tallies == [(0, 0), (1, 1)]
        (event,) = await viewer.hears(Event)
        assert event.session == bridge.state(0).sessions[1].session

    run_dispatcher(play)


def test_a_question_is_about_one_agent_and_a_console_names_its_session() -> None:
    async def play(bridge: Dispatcher) -> None:
        client, tool = await attach_game(bridge, agents=2), await open_console(bridge, "query")
        await client.send({"type": "query", "id": 1, "kind": "why", "agent": 1})
        assert (await client.hears(Answer))[0].id == 1
        first = bridge.state(0).sessions[0].session
        await tool.send({"type": "instruct", "text": "dig", "session": first})
        (instruct,) = await client.hears(Instruct)
        assert (instruct.agent, instruct.session) == (0, first)
        goals = [session.instruction for session in bridge.state(0).sessions]
        assert goals == ["dig", "go"]

    run_dispatcher(play)


def test_failures_and_ended_observations_name_their_agent() -> None:
    policy = MirrorPolicy()

    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, "fail", mode="lockstep", agents=2)
        await client.send(pack(PIXELS, 4, 0, agent=1))
        (error,) = await client.hears(ErrorMessage)
        assert (error.code, error.observation, error.agent) == ("policy_failed", 4, 1)
        await client.send({"type": "instruct", "text": "go", "agent": 1})
        await client.send(pack(PIXELS, 5, 0, agent=1))
        await client.send({"type": "event", "terminated": True, "agent": 1})
        (_, error) = await client.hears(ErrorMessage, 2)
        assert (error.code, error.observation, error.agent) == ("episode_over", 5, 1)
        assert client.peer.connection.in_flight == 0

    run_dispatcher(play, policy)


def test_they_come_and_go_together_with_seeds_of_their_own() -> None:
    policy = Countdown(places=5)

    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, agents=3, seed=7)
        assert policy.seeds == [7, 8, 9]
        refused = await attach_game(bridge, agents=3)
        (error,) = await refused.hears(ErrorMessage)
        assert (error.code, error.message) == ("unplayable", "no place left")
        assert (policy.closed, len(bridge.sessions)) == (2, 3)
        viewer = await open_console(bridge)
        bridge.leave(client.peer)
        assert len(bridge.sessions) == 0
        bridge.report(0.0)
        assert (await viewer.hears(State, 2))[-1].sessions == ()
        async with asyncio.timeout(60):
            while policy.closed < 5:
                await asyncio.sleep(0)

    run_dispatcher(play, policy)


def test_a_server_has_room_for_so_many_agents() -> None:
    limits = replace(ServerLimits(), sessions=3)

    async def play(bridge: Dispatcher) -> None:
        clients = [MemoryClient(bridge) for _ in range(2)]
        for client in clients:
            hello: dict[str, Any] = {"spec": SPEC.model_dump(mode="json"), "agents": 2}
            await client.send({"type": "hello", **hello})
        assert len(bridge.sessions) == 2
        assert clients[1].wire.ended == (4429, "at most 3 agents are attached at once")

    run_dispatcher(play, limits=limits)


@pytest.mark.parametrize("agents", [1, 4])
def test_agents_whose_pictures_wait_are_answered_in_one_batch(agents: int) -> None:
    policy = Countdown(places=agents + 1)

    async def play(bridge: Dispatcher) -> None:
        blocker = await attach_game(bridge, "wait")
        client = await attach_game(bridge, agents=agents)
        await blocker.picture(1)
        while not policy.begun.is_set():
            await asyncio.sleep(0)
        for agent in range(agents):
            await client.send(pack(PIXELS, 1, 0, agent=agent))
        policy.gate.set()
        await client.hears(Act, agents)
        assert policy.batches == [1, agents]

    run_dispatcher(play, policy)


@pytest.mark.parametrize("codec", [Codec.RGB, Codec.PNG])
def test_in_lockstep_the_pictures_of_a_step_wait_for_each_other(
    codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "GATHER_S", 1e9)
    policy = Countdown(places=3)

    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, mode="lockstep", agents=3)
        for agent in range(3):
            await client.send(pack(PIXELS, 1, 0, codec, agent=agent))
        await client.hears(Act, 3)
        policy.batches.clear()
        for agent in range(3):
            await client.send(pack(PIXELS, 2, 0, codec, agent=agent))
            for _ in range(20):
                await asyncio.sleep(0.001)
        await client.hears(Act, 6)
        assert policy.batches == [3]

    run_dispatcher(play, policy)


def test_agents_that_take_turns_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "GATHER_S", 1e9)
    policy = Countdown(places=2)

    async def play(bridge: Dispatcher) -> None:
        client = await attach_game(bridge, mode="lockstep", agents=2)
        for number in range(4):
            await client.send(pack(PIXELS, number, 0, agent=number % 2))
            await client.hears(Act, number + 1)
        assert policy.batches == [1, 1, 1, 1]

    run_dispatcher(play, policy)
