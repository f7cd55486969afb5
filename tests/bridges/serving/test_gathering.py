"""Gathering: pictures of one step wait for each other, a bounded time, without a clock."""

from dataclasses import dataclass

import pytest

from bridges.serving.gathering import GATHER_S, Gathering, rests_s


@dataclass
class Game:
    gathering: Gathering | None


def step(group: Gathering, now: float, *agents: int) -> list[float]:
    """Pictures of these agents come at once and are answered; how long each would have waited."""
    rests = []
    for ready, agent in enumerate(agents, 1):
        group.arrived(agent, now)
        rests.append(group.rest_s(ready, now))
    for agent in agents:
        group.settled(agent)
    return rests


def test_as_many_are_awaited_as_came_together_before() -> None:
    group, wait = Gathering(), pytest.approx(GATHER_S)
    assert step(group, 1, 0, 1, 2) == [0, 0, 0]
    assert step(group, 2, 1, 0, 2) == [wait, wait, 0]
    assert step(group, 3, 0, 1) == [wait, wait]
    assert step(group, 4, 1, 0) == [wait, 0]
    assert step(group, 5, 1) == [wait]
    assert step(group, 6, 0) == [0]


def test_the_wait_is_bounded_from_the_first_on() -> None:
    group = Gathering()
    step(group, 1, 0, 1)
    group.arrived(0, 10)
    assert group.rest_s(1, 10 + GATHER_S / 2) == pytest.approx(GATHER_S / 2)
    assert group.rest_s(1, 10 + GATHER_S) == 0
    group.arrived(1, 11)
    assert group.rest_s(1, 11) == 0


def test_two_pictures_of_one_agent_are_no_two_agents() -> None:
    group = Gathering()
    for _ in range(2):
        group.arrived(0, 1)
    group.settled(0, 2)
    assert step(group, 2, 0) == [0]
    group.settled(0, 5)
    assert step(group, 3, 0) == [0]


def test_each_connection_waits_for_its_own() -> None:
    both, other = Gathering(), Gathering()
    for group, agents in ((both, (0, 1)), (other, (0, 1, 2))):
        step(group, 1, *agents)
        for agent in agents[:2]:
            group.arrived(agent, 2)
    games = [Game(both), Game(None), Game(other), Game(both), Game(other)]
    assert [rest > 0 for rest in rests_s(games, 2)] == [False, False, True, False, True]
    assert rests_s(games, 3) == [0] * 5
