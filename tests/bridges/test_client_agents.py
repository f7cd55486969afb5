"""Client of several agents and cameras over a real socket: who gets what, also after a lost connection."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bridges.client import connect
from bridges.errors import AnswerError, BridgeError
from bridges.policy import Decision, PolicyRequest
from bridges.protocol.backoff import Backoff
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from bridges.testing.dropping_proxy import dropping_proxy
from games import Button, Frame, FrameSize, GameSpec

SPEC = GameSpec(
    id="bell-v0",
    title="Bell",
    frame=FrameSize(height=16, width=16),
    step_hz=20,
    controls=(Button(name="ring", label="ring"),),
)


def shade(value: int) -> Frame:
    return np.full(SPEC.frame.shape, value, np.uint8)


class Reader(RandomPolicy):
    """Says what it sees: the corners of all cameras' pictures, and the goal; fails at "fail"."""

    uses_cameras = True

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        if any(request.instruction == "fail" for request in requests):
            raise RuntimeError("a bad moment")
        return [Decision(action={"ring": 1}, words=words(r), probability=1) for r in requests]


def words(request: PolicyRequest) -> str:
    cameras = {0: request.frame, **request.cameras}
    seen = " ".join(f"{n}:{frame[0, 0, 0]}" for n, frame in sorted(cameras.items()))
    return f"{request.instruction} {seen}"


def test_each_agent_gets_its_own_answer() -> None:
    with (
        background_server(Reader()) as server,
        connect(server.url, SPEC, instruction="go", agents=3) as game,
    ):
        game.instruct("stay", agent=1)
        game.control("human", agent=2)
        acts = game.act_all({agent: shade(10 + agent) for agent in range(3)})
        answers = {agent: (act.words, act.owner) for agent, act in acts.items() if act}
        assert answers == {
            0: ("go 0:10", "agent"),
            1: ("stay 0:11", "agent"),
            2: ("go 0:12", "human"),
        }
        assert game.act(shade(7), agent=1).words == "stay 0:7"
        due = game.current_action(agent=1)
        assert due is not None
        assert (due.agent, due.words) == (1, "stay 0:7")
        assert [agent.instruction for agent in game.agents] == ["go", "stay", "go"]
        assert [agent.owner for agent in game.agents] == ["agent", "agent", "human"]
        game.event(terminated=True, agent=1)
        assert game.current_action(agent=1) is None
        assert game.ask("why", agent=2)
        game.say("hm", agent=2)
        game.correct("no", agent=2)
        assert [session.episodes for session in server.state().sessions] == [0, 1, 0]


def test_an_agent_without_an_answer_leaves_the_others_theirs() -> None:
    errors: list[AnswerError] = []
    with (
        background_server(Reader()) as server,
        connect(server.url, SPEC, agents=2, on_error=errors.append) as game,
    ):
        game.instruct("fail", agent=1)
        acts = game.act_all({0: shade(1), 1: shade(2)}, reports={1: {"reward": 1.0}})
        assert [act and act.words for act in acts.values()] == [" 0:1", None]
        assert [error.code for error in errors] == ["policy_failed"]


def test_pictures_of_several_cameras_are_one_observation() -> None:
    with (
        background_server(Reader()) as server,
        connect(server.url, SPEC, agents=2, cameras=3) as game,
    ):
        cameras = {2: shade(22), 1: np.full((300, 300, 3), 11, np.uint8)}  # one goes as JPEG
        assert game.act(shade(1), cameras=cameras).words == " 0:1 1:11 2:22"
        assert game.act(shade(2)).words == " 0:2"
        acts = game.act_all({0: shade(1), 1: shade(2)}, cameras={1: {2: shade(3)}})
        assert [act and act.words for act in acts.values()] == [" 0:1", " 0:2 2:3"]


@pytest.mark.parametrize("bottom_up", [True, False])
def test_rows_may_begin_at_the_bottom(bottom_up: bool) -> None:
    frame, other = shade(5), shade(6)
    frame[-1], other[-1] = 80, 90
    with background_server(Reader()) as server, connect(server.url, SPEC, cameras=2) as game:
        seen = game.act(frame, cameras={1: other}, bottom_up=bottom_up).words
        assert seen == (" 0:80 1:90" if bottom_up else " 0:5 1:6")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"agent": 2}, "agent 2: connect was called with agents=2"),
        ({"agent": -1}, "agent -1: connect was called with agents=2"),
        ({"cameras": {1: shade(0)}}, "camera 1: connect was called with cameras=1"),
        ({"cameras": {0: shade(0)}}, "and camera 0 is the frame"),
    ],
)
def test_what_was_not_announced_is_one_line(options: dict[str, Any], problem: str) -> None:
    with background_server(Reader()) as server, connect(server.url, SPEC, agents=2) as game:
        with pytest.raises(BridgeError, match=problem):
            game.act(shade(0), **options)
        assert game.act(shade(3)).observation == 1


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_agents_survive_a_lost_connection(mode: str) -> None:
    resumed = threading.Event()

    def on_state(state: str, detail: str) -> None:
        if detail.startswith("resumed"):
            resumed.set()

    with (
        background_server(Reader()) as server,
        dropping_proxy(server.port) as proxy,
        connect(
            f"127.0.0.1:{proxy.port}", SPEC, mode=mode, agents=2, cameras=2, on_state=on_state,
            backoff=Backoff(first_s=0.001, cap_s=0.01),
        ) as game,
    ):  # fmt: skip
        first = game.act(shade(1), agent=1, cameras={1: shade(2)})
        proxy.arm(300)  # within the first picture
        if mode == "lockstep":
            acts = game.act_all({0: shade(3), 1: shade(4)}, cameras={1: {1: shade(5)}})
            assert [act and act.words for act in acts.values()] == [" 0:3", " 0:4 1:5"]
        else:
            game.instruct("go on", agent=1)
            game.send(shade(9))
        assert resumed.wait(60)
        last = game.act(shade(6), agent=1, cameras={1: shade(7)})
        assert last.session == first.session
        assert last.words == ("" if mode == "lockstep" else "go on") + " 0:6 1:7"
        assert len(server.state().sessions) == 2


def test_the_servers_clock_is_compared_with_ours() -> None:
    ahead_s = 1000.0
    with (
        background_server(Reader()) as server,
        connect(server.url, SPEC, clock=lambda: time.monotonic() - ahead_s) as game,
    ):
        difference = game.ask_clock()
        assert 0 <= difference.uncertainty_s < 1
        assert abs(difference.offset_s - ahead_s) <= difference.uncertainty_s + 1e-3
