"""Bridge server: games, consoles and strangers on a loopback port."""

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as raw_connect
from websockets.typing import Origin

from bridges.client import BridgeClient, connect
from bridges.console_client import WatchMessage, ask, watch
from bridges.errors import BridgeError, PolicyError
from bridges.policy import Decision, PlannedAction, Policy, PolicyRequest, PolicySession
from bridges.protocol.messages import Act, Event, Instruct, State
from bridges.serving.limits import ServerLimits
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from bridges.testing.background_server import background_server
from games import Frame, FrameSize, GameSpec
from games.controls import Button

SPEC = GameSpec(
    id="lamp-v0",
    title="Lamp",
    frame=FrameSize(height=16, width=16),
    step_hz=20,
    controls=(Button(name="on", label="switch on"), Button(name="off", label="switch off")),
)
DEADLINE_S = 60.0
"""Most seconds a test waits for what must come."""


def picture(brightness: int) -> Frame:
    return np.full(SPEC.frame.shape, brightness, np.uint8)


class Watchman:
    """A policy that switches on in the dark; records the instructions and batch sizes it got.

    A pass sets `begun`, then waits for `gate`.
    """

    name = "watchman"

    def __init__(self, *, gate_open: bool = True) -> None:
        self.begun, self.gate = threading.Event(), threading.Event()
        if gate_open:
            self.gate.set()
        self.instructions: list[str] = []
        self.batches: list[int] = []

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        if "on" not in spec.by_name:
            raise PolicyError("there is no lamp")
        return RandomPolicy().attach(spec)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        self.begun.set()
        assert self.gate.wait(DEADLINE_S)
        self.batches.append(len(requests))
        self.instructions += [r.instruction for r in requests]
        if any(r.instruction == "fail" for r in requests):
            raise RuntimeError("secret detail")
        return [
            Decision(
                action=SPEC.normalize({"on": int(r.frame.mean() < 100)}),
                words=f"saw {r.frame.mean():.0f}",
                probability=1.0,
            )
            for r in requests
        ]

    def ask(self, player: PolicySession, question: str) -> str:
        return f"asked {question}"


def serving(
    policy: Policy | None = None, *, token: str | None = None, limits: ServerLimits | None = None
) -> AbstractContextManager[BridgeServer]:
    return background_server(policy or Watchman(), token=token, limits=limits)


def test_two_games_get_their_own_actions() -> None:
    with (
        serving() as server,
        connect(server.url, SPEC) as dark,
        connect(server.url, SPEC) as bright,
    ):
        for _ in range(5):
            assert dark.act(picture(0)).action == {"on": 1, "off": 0}
            assert bright.act(picture(200)).words == "saw 200"


def test_in_realtime_the_newest_frame_wins_and_the_rest_are_counted() -> None:
    policy = Watchman(gate_open=False)
    with (
        serving(policy) as server,
        connect(server.url, SPEC, mode="realtime", clock=Clock()) as game,
    ):
        game.send(picture(1))
        assert policy.begun.wait(DEADLINE_S)
        for brightness in range(2, 12):  # during the first pass
            game.send(picture(brightness))
        until(lambda: server.state().sessions[0].dropped == 9)
        policy.gate.set()
        until(lambda: (act := game.current_action()) is not None and act.observation == 11)
        newest = current_action(game)
        assert (newest.words, newest.dropped) == ("saw 11", 9)


def test_lockstep_drops_nothing() -> None:
    policy = Watchman(gate_open=False)
    with serving(policy) as server, connect(server.url, SPEC) as game:
        for i in range(6):
            game.send(picture(i))
        policy.gate.set()
        last = game.act(picture(99))
        assert last.dropped == 0
        assert len(policy.instructions) == 7


def test_waiting_sessions_share_one_batch() -> None:
    policy = Watchman(gate_open=False)
    with serving(policy) as server, ExitStack() as stack:
        first, *others = [stack.enter_context(connect(server.url, SPEC)) for _ in range(4)]
        first.send(picture(1))
        assert policy.begun.wait(DEADLINE_S)
        for game in others:
            game.send(picture(1))
            game.instruct("sent")  # behind the picture on the same connection
        until(lambda: [s.instruction for s in server.state().sessions[1:]] == ["sent"] * 3)
        policy.gate.set()
        until(lambda: len(policy.batches) == 2)
        assert policy.batches == [1, 3]


class Planner(Watchman):
    """A policy that plans two steps ahead: off, on, off."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        on, off = SPEC.normalize({"on": 1}), SPEC.normalize({"off": 1})
        later = (
            PlannedAction(action=on, words="second"),
            PlannedAction(action=off, words="third"),
        )
        plan = Decision(action=off, words="first", probability=1.0, later=later)
        return [plan for _ in requests]


class Clock:
    """A clock that stands at `now` seconds."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_each_client_does_what_is_due_by_its_own_clock() -> None:
    late, fresh = Clock(), Clock()
    with (
        serving(Planner()) as server,
        connect(server.url, SPEC, mode="realtime", clock=late) as behind,
        connect(server.url, SPEC, mode="realtime", clock=fresh) as ahead,
    ):
        answer = ahead.act(picture(0))
        assert [step.words for step in answer.later] == ["second", "third"]
        assert (answer.step_ms, answer.valid_ms) == (50, 400)
        behind.send(picture(0))
        late.now += 0.07  # a step and a bit pass before the answer is asked for
        until(lambda: behind.current_action() is not None)
        due = current_action(behind)
        assert (due.words, due.action) == ("second", {"on": 1, "off": 0})
        assert [step.words for step in due.later] == ["third"]
        assert ahead.current_action() == answer


def test_the_last_step_is_held_until_the_answer_is_no_longer_valid() -> None:
    clock = Clock()
    with serving(Planner()) as server, connect(server.url, SPEC, clock=clock) as game:
        game.act(picture(0))
        due = []
        for clock.now in (100.04, 100.06, 100.11, 100.3, 100.399, 100.41):
            act = game.current_action()
            due.append(act and act.words)
        assert due == ["first", "second", "third", "third", "third", None]


def test_a_game_may_count_its_own_steps() -> None:
    clock = Clock()
    with serving(Planner()) as server, connect(server.url, SPEC, clock=clock) as game:
        number = game.act(picture(0)).observation
        clock.now += 0.2
        words = [current_action(game, number + passed).words for passed in (0, 1, 2, 9)]
        assert words == ["first", "second", "third", "third"]


def test_an_episode_that_is_over_leaves_nothing_to_do() -> None:
    with serving(Planner()) as server, connect(server.url, SPEC) as game:
        game.act(picture(0))
        assert game.current_action() is not None
        game.event(terminated=True)
        assert game.current_action() is None
        game.act(picture(0))
        assert game.current_action() is not None


def test_a_console_sees_everything_and_changes_the_goal_at_once() -> None:
    policy = Watchman()
    with (
        serving(policy) as server,
        connect(server.url, SPEC, instruction="wait") as game,
        closing(watch(server.url)) as messages,
    ):
        assert isinstance(next(messages), State)
        with raw_connect(server.url) as console:
            console.send('{"type":"hello","role":"query"}')
            console.send('{"type":"instruct","text":"switch it on"}')
            until(lambda: game.instruction == "switch it on")
        game.act(picture(3))
        assert policy.instructions[-1] == "switch it on"
        game.event(terminated=True, success=True, task="lamp")
        received: list[WatchMessage] = []
        while not any(isinstance(m, Event) for m in received):
            received.append(next(messages))
        assert any(isinstance(m, Instruct) and m.text == "switch it on" for m in received)
        assert any(isinstance(m, Act) and m.words == "saw 3" for m in received)
        until(lambda: server.state().sessions[0].successes == 1)
        assert ask(server.url, "why") == "asked why"
        assert game.ask("next_action") == "asked next_action"


def test_a_failing_policy_tells_no_secrets_and_the_server_lives() -> None:
    with serving() as server:
        with (
            connect(server.url, SPEC, instruction="fail") as game,
            pytest.raises(BridgeError) as caught,
        ):
            game.act(picture(0))
        assert "the policy failed" in str(caught.value)
        assert "secret" not in str(caught.value)
        with connect(server.url, SPEC) as game:
            assert game.act(picture(0)).action["on"] == 1


def test_a_game_the_policy_cannot_play_hears_why() -> None:
    other = SPEC.model_copy(update={"controls": (Button(name="go"),)})
    with serving() as server, pytest.raises(BridgeError, match="there is no lamp"):
        connect(server.url, other)


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("{", 4400), ('{"type":"bye"}', 4400), (b"IAFM", 4400), ('{"type":"hello","role":"play"}', 4400),
        ('{"type":"hello","version":9}', 4426), (None, 4408),
    ],
)  # fmt: skip
def test_strangers_are_sent_away_with_a_code(first: str | bytes | None, code: int) -> None:
    patience_s = 0.2 if first is None else DEADLINE_S
    with (
        serving(limits=ServerLimits(hello_timeout_s=patience_s)) as server,
        raw_connect(server.url) as stranger,
    ):
        if first is not None:
            stranger.send(first)
        assert closed_with(stranger) == code


@pytest.mark.parametrize("data", [b"x" * 40, b"IAFM" + b"\xff" * 60])
def test_bad_pictures_end_the_session(data: bytes) -> None:
    with serving() as server, raw_connect(server.url) as game:
        game.send(json.dumps({"type": "hello", "spec": SPEC.model_dump(mode="json")}))
        game.recv()
        game.send(data)
        assert closed_with(game) in (4400, 4413, 4415)


def test_pictures_of_any_size_reach_the_policy_as_they_are() -> None:
    with serving() as server, connect(server.url, SPEC) as game:
        for height, width in ((16, 16), (1, 1), (9, 300), (200, 16)):
            act = game.act(np.full((height, width, 3), 201, np.uint8))
            assert act.words == "saw 201"


def test_a_spec_of_too_many_pixels_is_welcomed_with_the_way_out() -> None:
    large = SPEC.model_copy(update={"frame": FrameSize(height=1440, width=2560)})
    with serving() as server, connect(server.url, large) as game:
        (warning,) = game.welcome.warnings
        assert warning.startswith("frame: a picture has 1 to 2,073,600 pixels")
        with pytest.raises(BridgeError, match="got 2560x1440: send it smaller"):
            game.send(np.zeros(large.frame.shape, np.uint8))
        assert game.act(picture(0)).observation == 1


def test_a_wrong_message_is_answered_not_punished() -> None:
    with serving() as server, raw_connect(server.url) as game:
        game.send(json.dumps({"type": "hello", "spec": SPEC.model_dump(mode="json")}))
        game.recv()
        game.send('{"type":"instruct","text":5}')
        assert json.loads(game.recv())["path"] == "text"
        game.send('{"type":"from the future"}')
        assert json.loads(game.recv())["code"] == "unknown_type"


def test_tokens_origins_and_hosts() -> None:
    with pytest.raises(BridgeError, match="token"):
        BridgeServer(RandomPolicy(), host="0.0.0.0")
    with serving(token="open sesame") as server:
        with pytest.raises(BridgeError, match="4401"):
            connect(server.url, SPEC, token="wrong")
        connect(server.url, SPEC, token="open sesame").close()
        with (
            pytest.raises(InvalidStatus),
            raw_connect(server.url, origin=Origin("http://evil.example")),
        ):
            pass
        request = urllib.request.Request(server.console_url, headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        caught.value.close()
        assert caught.value.code == 421


def test_pages_and_health() -> None:
    with serving() as server:
        with urllib.request.urlopen(server.console_url + "healthz") as page:
            health = json.load(page)
        assert health == {
            "status": "ok",
            "policy": "watchman",
            "sessions": 0,
            "last_pass_s": None,
            "waiting": 0,
            "errors": 0,
        }
        with urllib.request.urlopen(server.console_url) as page:
            assert "script-src 'self'" in page.headers["Content-Security-Policy"]
            assert b"console.js" in page.read()
        for path in ("console.js", "console.css", "schema.json", "metrics"):
            with urllib.request.urlopen(server.console_url + path) as page:
                assert page.status == 200


def test_a_taken_port_is_one_clear_line() -> None:
    with (
        serving() as server,
        pytest.raises(BridgeError, match=f"port {server.port} on 127.0.0.1 is taken"),
    ):
        asyncio.run(_start(server.port))


async def _start(port: int) -> None:
    async with BridgeServer(RandomPolicy(), port=port):
        pass


def test_no_server_is_one_clear_line() -> None:
    with pytest.raises(BridgeError, match="no server at"):
        connect("ws://127.0.0.1:1/v1", SPEC)


def current_action(game: BridgeClient, step: int | None = None) -> Act:
    """The action due now, which there must be."""
    act = game.current_action(step)
    assert act is not None
    return act


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fails after DEADLINE_S."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def closed_with(connection: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as caught:
        drain(connection)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code


def drain(connection: ClientConnection) -> None:
    while True:
        connection.recv(timeout=DEADLINE_S)
