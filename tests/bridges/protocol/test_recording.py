"""Connection of a recording: every picture once and in order, as far as the credit goes."""

from typing import Any

import pytest

from bridges.protocol.connection import ConnectionState
from bridges.protocol.frames import Codec, EncodedFrame, pack
from bridges.protocol.lanes import Budget
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.mailbox import Mailbox, Resumption
from bridges.protocol.messages import MAX_MESSAGE, Control, Event, Instruct, Say, Welcome
from bridges.protocol.record_lane import RecordLane, RecordWindow
from bridges.protocol.record_messages import Credit, RecordState
from bridges.testing.scripted_peer import PIXELS, ScriptedPeer
from games.voxel import SPEC

FEW = Budget(messages_per_s=2, bytes_per_s=1 << 20, burst_s=1)
LIMITS = ConnectionLimits(pictures=FEW, reports=FEW)
"""Budgets that a game's pictures would exceed."""
WINDOW = RecordWindow(pictures=4, size=2 * MAX_MESSAGE)
SIZE = len(pack(PIXELS, 1, 0))


def stranger(limits: ConnectionLimits = LIMITS, **hello: Any) -> ScriptedPeer:
    return ScriptedPeer(
        limits, {"role": "record", "spec": SPEC.model_dump(mode="json"), **hello}
    )  # fmt: skip


def recording(lane: RecordLane | None = None, limits: ConnectionLimits = LIMITS) -> ScriptedPeer:
    """A recording behind its welcome."""
    peer = stranger(limits)
    assert peer.send(peer.hello)
    accept(
        peer, Resumption("", Mailbox(lockstep=True, capacity=0), lane=lane or RecordLane(WINDOW))
    )
    return peer


def accept(peer: ScriptedPeer, resume: Resumption) -> Welcome:
    peer.connection.accept(
        session="a", policy="", instruction="", warnings=(), owner="human", resume=resume
    )
    welcome = peer.received()[0]
    assert isinstance(welcome, Welcome)
    return welcome


def sent(peer: ScriptedPeer, *numbers: int) -> list[int]:
    """The pictures that reach the recorder."""
    return [frame.number for number in numbers for frame in peer.picture(number)]  # type: ignore[union-attr]


def test_the_welcome_has_the_credit() -> None:
    peer = stranger()
    assert peer.send(peer.hello)
    welcome = accept(peer, Resumption("", Mailbox(lockstep=True), lane=RecordLane(WINDOW)))
    assert peer.connection.state is ConnectionState.RECORDING
    assert welcome.credit == Credit(picture=4, bytes=2 * MAX_MESSAGE, recorded=0)
    assert welcome.owner == "human"


LARGE = {**SPEC.model_dump(mode="json"), "frame": {"height": 1081, "width": 1920}}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"spec": None}, "spec"),
        ({"agents": 2}, "agents"),
        ({"cameras": 2}, "cameras"),
        ({"spec": LARGE}, "spec.frame"),
    ],
)
def test_a_recording_has_a_spec_of_a_size_that_can_be_sent_one_agent_and_one_camera(
    fields: dict[str, Any], path: str
) -> None:
    peer = stranger(**fields)
    assert peer.send(peer.hello) == []
    assert [(error.code, error.path) for error in peer.errors()] == [("bad_message", path)]
    assert peer.connection.close_code == 4400


def test_pictures_are_numbered_from_1_without_gaps() -> None:
    peer = recording()
    assert sent(peer, 1, 2, 3) == [1, 2, 3]
    assert peer.picture(5) == []
    (error,) = peer.errors()
    assert (error.code, error.observation) == ("bad_picture", 5)
    assert "4 is next, not 5" in error.message
    assert peer.connection.close_code == 4400


@pytest.mark.parametrize("number", [0, 1, 3])
def test_no_picture_comes_twice_over_one_connection(number: int) -> None:
    peer = recording()
    assert sent(peer, 1) == [1]
    assert peer.picture(number) == []
    assert [error.observation for error in peer.errors()] == [number]
    assert peer.connection.close_code == 4400


def test_credit_sets_the_pace_and_no_budget() -> None:
    lane = RecordLane(WINDOW)
    peer = recording(lane)
    for first in range(1, 400, 2):
        assert sent(peer, first, first + 1) == [first, first + 1]
        assert lane.take_credit(first + 1, all_of_it=True) is not None
    assert peer.received() == []


def test_a_picture_beyond_its_credit_ends_it() -> None:
    lane = RecordLane(WINDOW)
    peer = recording(lane)
    assert sent(peer, 1, 2, 3, 4) == [1, 2, 3, 4]
    credit = lane.take_credit(3, all_of_it=True)
    assert credit == Credit(picture=7, bytes=3 * SIZE + WINDOW.size, recorded=3)
    assert sent(peer, 5, 6, 7) == [5, 6, 7]
    assert peer.picture(8) == []
    (error,) = peer.errors()
    assert (error.code, error.observation) == ("too_many", 8)
    assert peer.connection.close_code == 4429


def test_credit_is_for_bytes_as_well() -> None:
    lane = RecordLane(RecordWindow(pictures=64, size=2 * MAX_MESSAGE))
    assert lane.receive(1, MAX_MESSAGE)
    assert lane.receive(2, MAX_MESSAGE)
    with pytest.raises(ValueError, match="wait for more") as caught:
        lane.receive(3, 1)
    assert caught.value.code == "too_many"  # type: ignore[attr-defined]
    assert lane.take_credit(1, all_of_it=True)
    assert lane.receive(3, MAX_MESSAGE)


def test_credit_is_told_in_quarters_or_when_asked() -> None:
    lane = RecordLane(RecordWindow(pictures=8, size=2 * MAX_MESSAGE))
    for number in range(1, 6):
        lane.receive(number, 100)
    assert lane.take_credit(1, all_of_it=False) is None
    credit = lane.take_credit(1, all_of_it=True)
    assert credit is not None
    assert (credit.picture, credit.recorded) == (9, 1)
    assert lane.take_credit(1, all_of_it=True) is None
    credit = lane.take_credit(3, all_of_it=False)
    assert credit is not None
    assert credit.recorded == 3
    most = Credit(picture=13, bytes=500 + 2 * MAX_MESSAGE, recorded=5)
    assert lane.take_credit(99, all_of_it=True) == most


@pytest.mark.parametrize(("pictures", "size"), [(1, 8 << 20), (64, (8 << 20) - 1)])
def test_a_window_has_room_for_two_pictures(pictures: int, size: int) -> None:
    with pytest.raises(ValueError, match="two have to fit"):
        RecordWindow(pictures, size)


def test_a_resumed_recording_says_what_it_has_and_ignores_it() -> None:
    lane, mailbox = RecordLane(WINDOW), Mailbox(lockstep=True)
    peer = recording(lane)
    assert sent(peer, 1, 2, 3) == [1, 2, 3]
    assert lane.take_credit(2, all_of_it=True)
    again = stranger(resumable=True, resume="key")
    assert again.send(again.hello)
    resume = Resumption("key", mailbox, resumed=True, observations=(lane.received,), lane=lane)
    welcome = accept(again, resume)
    assert (welcome.observation, welcome.resumed) == (3, True)
    assert welcome.credit == Credit(picture=6, bytes=2 * SIZE + WINDOW.size, recorded=2)
    assert sent(again, 2, 3, 4) == [4]
    assert again.received() == []
    assert again.picture(3) == []
    assert again.connection.close_code == 4400


def test_what_a_picture_reports_is_read_once() -> None:
    lane = RecordLane(WINDOW)
    wrong = pack(PIXELS, 1, 0, meta=b'{"input":{"jmp":1},"reward":2}')
    peer = recording(lane)
    (frame,) = peer.send(wrong)
    assert isinstance(frame, EncodedFrame)
    assert (frame.report.input, frame.report.reward) == (None, 2)
    assert [error.code for error in peer.errors()] == ["bad_report"]
    again = recording(lane)
    assert again.send(wrong) == []
    assert again.received() == []


def test_a_recording_ends_where_its_reports_are_not_read_any_more() -> None:
    peer = recording(limits=ConnectionLimits(mistakes=FEW))
    for number in (1, 2):
        assert peer.send(pack(PIXELS, number, 0, meta=b"{"))
    assert peer.send(pack(PIXELS, 3, 0, meta=b'{"input":{}}')) == []
    assert peer.connection.close_code == 4429


def test_a_recording_ends_where_a_text_would_be_missing() -> None:
    peer = recording(limits=ConnectionLimits(texts=FEW))
    for _ in range(2):
        assert peer.send({"type": "say", "text": "so"})
    assert peer.send({"type": "say", "text": "so"}) == []
    assert peer.connection.close_code == 4429


def test_a_recording_has_words_and_events_but_no_questions() -> None:
    peer = recording()
    assert peer.send({"type": "instruct", "text": "go"}) == [Instruct(text="go")]
    assert peer.send({"type": "say", "text": "so"}) == [Say(text="so")]
    event = {"type": "event", "terminated": True, "input": {"jump": 1}}
    for _ in range(5):
        (last,) = peer.send(event)
        assert isinstance(last, Event)
        assert last.input == SPEC.normalize({"jump": 1})
    assert peer.received() == []
    for message in (
        {"type": "query"},
        {"type": "control", "owner": "agent"},
        {"type": "subscribe"},
    ):
        assert peer.send(message) == []
    errors = peer.errors()
    assert [error.code for error in errors] == ["not_allowed"] * 3
    assert "a peer that is recording" in errors[0].message
    assert peer.send({"type": "bye"}) == []
    assert peer.connection.close_code == 1000


def test_a_damaged_header_ends_it() -> None:
    peer = recording()
    assert peer.send(pack(PIXELS, 1, 0, Codec.JPEG)[:-1]) == []
    assert peer.connection.close_code == 4400


def test_credit_is_not_numbered_and_the_state_of_an_episode_is() -> None:
    mailbox = Mailbox(lockstep=True)
    mailbox.encode(Credit(picture=1, bytes=1))
    state = RecordState(episode="e", pictures=1, bytes=1, sha256="", steps=1)
    assert '"seq":1' in mailbox.encode(state)
    assert len(mailbox.waiting()) == 1
    assert '"seq":2' in mailbox.encode(Control(owner="human"))
