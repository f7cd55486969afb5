"""The arena of the demo: goals of four fighters, typed ones, the ends of matches."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from agent_core.__main__ import main
from agent_core.cli.brawl_demo import ArenaDemo, Tally, examples, goals_of_seat
from games.brawl import TASKS


class StubClient:
    """A connection of four agents without answers: the fighters rest."""

    def __init__(self) -> None:
        self.agents = [SimpleNamespace(console_instruction=None) for _ in range(4)]
        self.instructions: dict[int, str] = {}
        self.events: list[dict[str, Any]] = []

    def act_all(self, frames: dict[int, Any]) -> dict[int, None]:
        return dict.fromkeys(frames)

    def instruct(self, text: str, *, agent: int) -> None:
        self.instructions[agent] = text

    def event(self, **values: Any) -> None:
        self.events.append(values)


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ArenaDemo:
    """A demo whose pictures are not drawn."""
    monkeypatch.setattr("agent_core.cli.brawl_demo.draw", lambda match, seat: None)
    return ArenaDemo(StubClient(), 7, lambda note: None, Tally())  # type: ignore[arg-type]


def test_fighters_begin_with_different_goals_that_their_seats_can_have() -> None:
    firsts = [goals_of_seat(seat)[0] for seat in range(4)]
    assert len({goal.order for goal in firsts}) == 4
    for seat in range(4):
        assert all(seat in TASKS[goal.task].seats for goal in goals_of_seat(seat))
    assert "defend point B" in examples()


def test_a_missed_goal_is_followed_by_the_next(demo: ArenaDemo) -> None:
    client: Any = demo.client
    tank = demo.fighters[0]
    first, second = tank.own[:2]
    assert client.instructions[0] == first.instruction
    tank.elapsed = TASKS[first.task].limit - 1
    demo.step()
    assert client.events[0] | {"success": False, "task": first.task, "agent": 0} == client.events[0]
    assert client.instructions[0] == second.instruction
    assert (demo.tally.episodes, demo.tally.successes, demo.tally.unjudged) == (1, 0, 0)


def test_a_typed_goal_counts_until_it_is_released(demo: ArenaDemo) -> None:
    client: Any = demo.client
    own = demo.fighters[2].goal
    client.agents[2].console_instruction = "Hold point C"
    demo.step()
    assert demo.fighters[2].goal.task == "defend_point"
    assert demo.fighters[2].judge.goal.order.about == "C"
    client.agents[2].console_instruction = "sing a song"
    demo.step()
    demo.fighters[2].elapsed = 10**6
    demo.step()
    assert client.events[-1]["success"] is None
    assert demo.tally.unjudged == 1
    client.agents[2].console_instruction = None
    demo.step()
    assert demo.fighters[2].goal == own


def test_a_match_that_ends_is_followed_by_another(demo: ArenaDemo) -> None:
    match = demo.bout.match
    match.score[1] = 100
    demo.step()
    tally = demo.tally
    assert (tally.matches, tally.wins) == (1, 0)
    assert (tally.episodes, tally.unjudged) == (4, 3)  # the one that was to win has missed it
    assert demo.bout.match is not match
    assert all(fighter.judge.match is demo.bout.match for fighter in demo.fighters)


@pytest.mark.slow
def test_four_fighters_play_over_a_websocket(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["demo", "brawl", "--policy", "random", "--headless", "--episodes", "1", "--fast"]
    assert main([*argv, "--port", "0", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["episodes"] >= 1
    assert report["hz"] > 0
