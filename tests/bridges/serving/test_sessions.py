"""Session registry: newest wins, lockstep keeps all, an episode's end empties, and who sees what."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bridges.protocol.fields import Owner
from bridges.protocol.frames import EncodedFrame, pack, unpack
from bridges.protocol.step_report import read_report
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.sessions import Session, SessionRegistry, UnknownSessionError, Watcher
from games.voxel import SPEC

PIXELS = np.zeros((2, 3, 3), np.uint8)


class Inbox:
    """What a peer was sent."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def send(self, message: Any) -> None:
        self.messages.append(message)

    def close(self, code: int, reason: str) -> None:
        self.messages.append((code, reason))


def session(name: str = "a", *, lockstep: bool = False) -> Session:
    player = RandomPolicy().attach(SPEC)
    return Session(name, player, Inbox(), lockstep, instruction="wait", tasks=("dig",))


def picture(number: int) -> EncodedFrame:
    return unpack(pack(PIXELS, number, 0))


def reported(**fields: Any) -> EncodedFrame:
    """A picture with what happened before it."""
    report, problems = read_report(json.dumps(fields).encode(), SPEC)
    assert not problems
    return replace(picture(1), report=report)


def waiting(session: Session) -> list[int]:
    return [observation.encoded.number for observation in session.queue]


def test_in_realtime_the_newest_observation_wins_and_the_rest_are_counted() -> None:
    game = session()
    for number in range(4):
        game.enqueue(picture(number), now=number)
    assert (waiting(game), game.dropped) == ([3], 3)
    assert game.take().observation.received == 3


def test_lockstep_drops_nothing() -> None:
    game = session(lockstep=True)
    for number in range(4):
        game.enqueue(picture(number), now=0)
    assert [game.take().observation.encoded.number for _ in range(4)] == [0, 1, 2, 3]
    assert game.dropped == 0


def test_an_instruction_belongs_to_the_observations_after_it() -> None:
    game = session(lockstep=True)
    game.enqueue(picture(1), now=0)
    game.instruct("go", from_console=False)
    game.enqueue(picture(2), now=0)
    assert [game.take().observation.instruction for _ in range(2)] == ["wait", "go"]


def test_a_console_instruction_stays_until_it_is_released() -> None:
    game = session()
    game.instruct("hunt", from_console=True)
    game.instruct("chop", from_console=False)
    assert (game.current_instruction, game.state(0).instructed_by) == ("hunt", "console")
    game.instruct("", from_console=True, release=True)
    assert (game.current_instruction, game.state(0).instructed_by) == ("chop", "game")
    game.instruct("hunt", from_console=True)
    game.instruct("dig", from_console=False, release=True)
    assert (game.current_instruction, game.state(0).instructed_by) == ("dig", "game")


def test_an_episode_without_a_verdict_is_neither_reached_nor_missed() -> None:
    game = session()
    for success in (True, False, None):
        game.end_episode(success=success)
    state = game.state(0)
    assert (state.episodes, state.successes, state.unjudged) == (3, 1, 1)


@pytest.mark.parametrize("lockstep", [False, True])
def test_the_end_of_an_episode_ends_what_waits(lockstep: bool) -> None:
    game = session(lockstep=lockstep)
    game.enqueue(picture(1), now=0)
    (ended,) = game.end_episode(success=True)
    assert (ended.encoded.number, waiting(game), game.dropped) == (1, [], 1)
    assert (game.episodes, game.successes) == (1, 1)
    game.enqueue(picture(2), now=0)
    game.enqueue(picture(3), now=0)
    assert game.take().is_first
    game.enqueue(picture(4), now=0)
    assert not game.take().is_first


AT_REST = SPEC.null_action()
JUMP, ATTACK = {**AT_REST, "jump": 1}, {**AT_REST, "attack": 1}


@pytest.mark.parametrize(
    ("owner", "pressed", "after"),
    [
        ("shared", {"jump": 1}, "human"),
        ("shared", {}, "shared"),
        ("shared", None, "shared"),
        ("agent", {"jump": 1}, "agent"),
        ("human", {}, "human"),
    ],
)
def test_any_input_takes_a_shared_player_over(
    owner: Owner, pressed: dict[str, int] | None, after: Owner
) -> None:
    game = session()
    game.owner = game.step_owner = owner
    frame = reported(input=pressed)
    assert game.take_over(frame) == (after != owner)
    game.enqueue(frame, now=0)
    assert game.owner == game.take().observation.owner == game.state(0).owner == after


def test_a_person_keeps_the_player_until_it_is_handed_back() -> None:
    game = session()
    game.owner = "shared"
    assert game.take_over(reported(input={"jump": 1}))
    assert not game.take_over(reported())
    game.end_episode(success=False)
    assert game.state(0).owner == "human"
    game.owner = "shared"
    assert not game.take_over(reported(input={}))
    assert game.take_over(reported(input={"attack": 1}))


@pytest.mark.parametrize(
    ("owner", "fields", "executed"),
    [
        ("agent", {}, None),
        ("agent", {"input": {"jump": 1}}, None),
        ("agent", {"executed": {"jump": 1}}, JUMP),
        ("human", {}, AT_REST),
        ("human", {"input": {"jump": 1}}, JUMP),
        ("human", {"input": {"jump": 1}, "executed": {"attack": 1}}, ATTACK),
        ("shared", {}, None),
        ("shared", {"input": {"jump": 1}}, JUMP),
        ("shared", {"input": {"jump": 1}, "executed": {"attack": 1}}, ATTACK),
    ],
)
def test_what_the_game_did_is_what_it_says_or_what_its_owner_pressed(
    owner: Owner, fields: dict[str, Any], executed: dict[str, Any] | None
) -> None:
    game = session()
    game.owner = game.step_owner = owner
    frame = reported(**fields)
    game.take_over(frame)
    game.enqueue(frame, now=0)
    assert game.take().observation.executed == executed


def test_the_step_before_a_change_of_owner_was_the_former_owners() -> None:
    game = session(lockstep=True)
    game.enqueue(reported(), now=0)
    game.owner = "human"
    game.enqueue(reported(input={"jump": 1}), now=0)
    game.owner = "agent"
    game.enqueue(reported(input={"jump": 1}), now=0)
    game.enqueue(reported(), now=0)
    steps = [game.take().observation for _ in range(4)]
    assert [step.owner for step in steps] == ["agent", "human", "agent", "agent"]
    assert [step.executed for step in steps] == [None, None, JUMP, None]


def test_a_batch_takes_one_observation_of_every_session_that_has_one() -> None:
    registry = SessionRegistry()
    games = [session(name, lockstep=True) for name in "abc"]
    for game in games:
        registry.add(game)
    for number in (1, 2):
        games[0].enqueue(picture(number), now=0)
        games[2].enqueue(picture(number), now=0)
    assert registry.waiting == 4
    assert [work.session.name for work in registry.take_batch()] == ["a", "c"]
    assert registry.waiting == 2


def test_rates_are_those_of_the_newest_answers() -> None:
    game = session()
    game.failures = 3
    for tenth in range(11):
        game.answered(tenth / 10)
    assert game.failures == 0
    assert game.rate.hz(1.0) == pytest.approx(10)
    assert game.rate.hz(3.1) == 0
    assert game.state(1.0).hz == 10
    assert game.state(1.0).tasks == ("dig",)


def test_names_find_sessions_and_none_the_newest() -> None:
    registry = SessionRegistry()
    with pytest.raises(UnknownSessionError, match="no game is attached yet"):
        registry.find(None)
    first, second = session("a"), session("b")
    registry.add(first)
    registry.add(second)
    assert (registry.find("a"), registry.find(None)) == (first, second)
    with pytest.raises(UnknownSessionError, match=r"no session 'c'; there are 'a', 'b'"):
        registry.find("c")
    registry.remove(second)
    registry.remove(second)
    assert (registry.get("b"), registry.get(None), len(registry)) == (None, first, 1)


def test_consoles_see_the_game_that_they_chose_or_the_newest() -> None:
    registry = SessionRegistry()
    first, second = session("a"), session("b")
    follower, chooser = Watcher(Inbox()), Watcher(Inbox(), session="a")
    registry.watchers |= {follower, chooser}
    registry.add(first)
    registry.broadcast_of(first, "one game")
    registry.add(second)
    registry.broadcast_of(first, "the older")
    registry.broadcast_of(second, "the newer")
    registry.broadcast("everybody")
    assert follower.peer.messages == ["one game", "the newer", "everybody"]  # type: ignore[attr-defined]
    assert chooser.peer.messages == ["one game", "the older", "everybody"]  # type: ignore[attr-defined]


def test_a_picture_is_due_at_the_pace_of_the_consoles() -> None:
    game = session()
    times = (0.0, 0.05, 0.1, 0.15, 0.25)
    assert [now for now in times if game.take_picture_due(now, hz=10)] == [0.0, 0.1, 0.25]


def test_only_consoles_that_somebody_sees_are_viewers() -> None:
    registry = SessionRegistry()
    game = session()
    registry.add(game)
    seen, hidden = Watcher(Inbox()), Watcher(Inbox(), pictures=False)
    registry.watchers |= {seen, hidden}
    assert registry.viewers_of(game) == [seen]
    assert set(registry.watchers_of(game)) == {seen, hidden}


def test_who_made_the_policy_fail_plays_alone_twice_as_long_each_time() -> None:
    game = session()
    for answers in (1, 2, 4):
        game.failed(by_policy=True)
        game.failed(by_policy=False)
        assert game.probation == answers
        for _ in range(answers):
            game.answered(now=0)
        assert (game.probation, game.failures) == (0, 0)


def test_suspects_are_taken_one_by_one_the_one_that_waits_longest_first() -> None:
    registry = SessionRegistry()
    for name, received in (("a", 3), ("b", 2), ("c", 1)):
        game = session(name)
        game.enqueue(picture(1), now=received)
        game.probation = int(name != "a")
        registry.add(game)
    assert registry.sound_waits
    assert [work.session.name for work in registry.take_batch()] == ["a"]
    assert not registry.sound_waits
    assert [work.session.name for work in registry.take_suspect()] == ["c"]
    assert registry.suspect_waits
    assert [work.session.name for work in registry.take_suspect()] == ["b"]
    assert not registry.suspect_waits
    assert registry.take_suspect() == []
