"""Replays over the wire: what the player sees and hears of a recorded match."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bridges.errors import BridgeError, DisconnectedError
from bridges.listener import Observation
from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.protocol.backoff import Backoff
from bridges.replay import Answers, Forcing, Match, RecordedStep, ReplayClient
from bridges.serving.random_policy import RandomPlayer, RandomPolicy
from bridges.testing.background_server import background_server
from games import Action, FrameSize, GameSpec
from games.controls import Button

SPEC = GameSpec(
    id="lamp-v0",
    title="Lamp",
    frame=FrameSize(height=16, width=16),
    step_hz=200,
    controls=(Button(name="on"), Button(name="off")),
)
ON, OFF, REST = (SPEC.normalize(action) for action in ({"on": 1}, {"off": 1}, {}))
FORCED: tuple[Forcing, ...] = ("teacher_forced",)


class Witness(RandomPolicy):
    """Always presses "on", and notes the frame's number and the past that it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, list[tuple[int, Action | None, str]]] = {}
        self.forgotten: list[int] = []
        """How many frames a player had seen when it forgot them."""

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> RandomPlayer:
        player = super().attach(spec, seed=seed)
        seen = self.seen.setdefault(id(player), [])
        player.reset = lambda: self.forgotten.append(len(seen))  # type: ignore[method-assign]
        return player

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        for request in requests:
            row = (int(request.frame[0, 0, 0]), request.executed, request.instruction)
            self.seen[id(request.player)].append(row)
        return [Decision(action=ON, words="on", probability=1.0) for _ in requests]


def match(*actions: Action, name: str = "first") -> Match:
    frames = [np.full(SPEC.frame.shape, number, np.uint8) for number in range(len(actions))]
    pairs = zip(frames, actions, strict=True)
    return Match(name, [RecordedStep(frame, action, f"play {name}") for frame, action in pairs])


def test_the_player_hears_the_true_past_or_none() -> None:
    policy, answers = Witness(), []
    with background_server(policy) as server, ReplayClient(server.url, SPEC) as client:
        client.replay(match(OFF, ON, REST), lambda step, answer: answers.append((step, answer)))
        client.replay(match(OFF, name="second"), lambda step, answer: None)
    forced, free = policy.seen.values()
    told = "play first"
    assert forced == [(0, None, told), (1, OFF, told), (2, ON, told), (0, None, "play second")]
    assert free == [(n, None, told) for n in range(3)] + [(0, None, "play second")]
    assert [step.executed for step, _ in answers] == [OFF, ON, REST]
    for _, answer in answers:
        assert {forcing: act and act.action for forcing, act in answer.items()} == {
            "teacher_forced": ON,
            "free_running": ON,
        }


def test_an_instruction_counts_from_its_step_on() -> None:
    policy = Witness()
    words = ["dig", "dig", "walk", "", "dig"]
    steps = [RecordedStep(np.zeros(SPEC.frame.shape, np.uint8), ON, each) for each in words]
    with background_server(policy) as server, ReplayClient(server.url, SPEC, FORCED) as client:
        client.replay(Match("first", steps), lambda step, answer: None)
    (seen,) = policy.seen.values()
    assert [told for _, _, told in seen] == words


class States:
    """A listener that keeps the state of each picture."""

    records = False

    def __init__(self) -> None:
        self.seen: list[dict[str, Any] | None] = []

    def on_observation(self, session: str, observation: Observation) -> None:
        self.seen.append(observation.report.state)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **values: None


def test_the_games_state_goes_with_its_frame() -> None:
    states = States()
    first, second, third = match(OFF, ON, OFF).steps
    steps = [first, replace(second, state={"oil": 3}), third]
    with (
        background_server(Witness(), listeners=[states]) as server,
        ReplayClient(server.url, SPEC, FORCED) as client,
    ):
        client.replay(Match("first", steps), lambda step, answer: None)
    assert states.seen == [None, {"oil": 3}, None]


def test_at_a_gap_the_player_forgets_what_it_saw() -> None:
    policy = Witness()
    steps = list(match(OFF, ON, OFF).steps)
    steps[2] = replace(steps[2], dropped_before=3)
    with background_server(policy) as server, ReplayClient(server.url, SPEC) as client:
        client.replay(Match("first", steps), lambda step, answer: None)
        (forced, _) = policy.seen.values()
        assert forced == [(0, None, "play first"), (1, OFF, "play first"), (2, None, "play first")]
        assert policy.forgotten[:2] == [2, 2]


def test_a_match_that_breaks_off_leaves_the_next_one_alone() -> None:
    def broken() -> Iterator[RecordedStep]:
        yield from match(OFF, OFF).steps
        raise RuntimeError("torn")

    policy = Witness()
    with background_server(policy) as server, ReplayClient(server.url, SPEC, FORCED) as client:
        with pytest.raises(RuntimeError, match="torn"):
            client.replay(Match("torn", broken()), lambda step, answer: None)
        client.replay(match(ON, name="next"), lambda step, answer: None)
    (seen,) = policy.seen.values()
    assert seen[-1] == (0, None, "play next")


def test_a_server_that_goes_away_ends_the_replay() -> None:
    with background_server(Witness()) as server:
        client = ReplayClient(server.url, SPEC, backoff=Backoff(patience_s=0))
        client.replay(match(ON), lambda step, answer: None)
        url = server.url
    with pytest.raises(BridgeError):
        client.replay(match(ON), lambda step, answer: None)
    client.close()
    with pytest.raises(DisconnectedError, match="no server at"):
        ReplayClient(url, SPEC)


@pytest.mark.parametrize("forcings", [("free_running",), ("free_running", "teacher_forced")])
def test_answers_are_named_by_how_the_player_was_asked(forcings: tuple[Forcing, ...]) -> None:
    named: list[Answers] = []
    with (
        background_server(Witness()) as server,
        ReplayClient(server.url, SPEC, forcings, pace_hz=SPEC.step_hz) as client,
    ):
        client.replay(match(ON, OFF), lambda step, answer: named.append(answer))
    assert [tuple(answer) for answer in named] == [forcings, forcings]


@pytest.mark.parametrize(("pace_hz", "waits"), [(10, [0.1, 0.1, 0.0, 0.1]), (None, [0.0] * 4)])
def test_a_replay_keeps_the_pace_and_a_late_step_delays_the_others(
    pace_hz: float | None, waits: list[float]
) -> None:
    now, slept = [50.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 9))
        now[0] += seconds

    def on_step(step: RecordedStep, answers: Answers) -> None:
        now[0] += 0.25 * (len(slept) == 2)  # the third answer is late

    with (
        background_server(Witness()) as server,
        ReplayClient(
            server.url, SPEC, FORCED, pace_hz=pace_hz, clock=lambda: now[0], sleep=sleep
        ) as client,
    ):
        client.replay(match(ON, OFF, ON, OFF), on_step)
    assert slept == waits


class Deaf(RandomPolicy):
    """Cannot answer the second frame."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        if any(request.frame[0, 0, 0] == 1 for request in requests):
            raise ValueError("no answer")
        return super().act(requests)

    def ask(self, player: PolicySession, question: str) -> str:
        return ""


def test_a_step_without_an_answer_is_none() -> None:
    named: list[Answers] = []
    with background_server(Deaf()) as server, ReplayClient(server.url, SPEC, FORCED) as client:
        client.replay(match(ON, OFF, ON), lambda step, answer: named.append(answer))
    assert [answer["teacher_forced"] is None for answer in named] == [False, True, False]
