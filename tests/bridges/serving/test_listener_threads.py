"""Listener threads: everything in order, nothing waits, faults stay where they are."""

import threading
from typing import Any

import numpy as np
import pytest

from bridges.listener import Attached, Observation
from bridges.policy import Decision
from bridges.protocol.fields import Owner
from bridges.protocol.frames import EncodedFrame, pack, unpack
from bridges.protocol.messages import Event
from bridges.protocol.step_report import NO_REPORT
from bridges.serving.listener_threads import Listeners, ListenerThread
from games import Button, FrameSize, GameSpec

SPEC = GameSpec(
    id="walk-v0", title="Walk", frame=FrameSize(height=8, width=8), step_hz=20, controls=(Button(name="go"),)
)  # fmt: skip
ATTACHED = Attached(SPEC, True, "random", "agent")
PICTURE = unpack(pack(np.zeros((8, 8, 3), np.uint8), 7, 0))


class Ear:
    """Remembers what it heard; fails at one word."""

    records = False

    def __init__(self, fails_at: str = "") -> None:
        self.heard: list[Any] = []
        self.fails_at = fails_at
        self.threads: set[str] = set()

    def _hear(self, *values: Any) -> None:
        self.threads.add(threading.current_thread().name)
        self.heard.append(values)

    def on_attach(self, session: str, attached: Attached) -> None:
        self._hear("attach", session)

    def on_observation(self, session: str, observation: Observation) -> None:
        self._hear("picture", observation.index, observation.picture is not None)

    def on_decision(self, session: str, index: int, decision: Decision | None) -> None:
        self._hear("decision", index)

    def on_control(self, session: str, owner: Owner) -> None:
        self._hear("control", owner)

    def on_text(self, session: str, kind: str, text: str, source: str) -> None:
        if text == self.fails_at:
            raise ValueError("a fault of the listener")
        self._hear(kind, text, source)

    def on_event(self, session: str, event: Event) -> None:
        self._hear("event", event.reward)

    def on_lost(self, session: str) -> None:
        self._hear("lost", session)

    def on_leave(self, session: str) -> None:
        self._hear("leave", session)

    def close(self) -> None:
        self._hear("close")

    def recorded(self, session: str) -> None:
        return None


def picture(index: int, encoded: EncodedFrame | None = PICTURE) -> Observation:
    return Observation(index, encoded, NO_REPORT, "", 0)


def test_a_listener_hears_everything_in_order_in_a_thread_of_its_own() -> None:
    ear = Ear()
    listeners = Listeners([ear])
    listeners.start()
    listeners.on_attach("a", ATTACHED)
    listeners.on_observation("a", picture(0))
    listeners.on_control("a", "human")
    listeners.on_decision("a", 0, None)
    listeners.on_text("a", "correct", "left", "console")
    listeners.on_event("a", Event(reward=2.0))
    listeners.on_lost("a")
    listeners.on_leave("a")
    listeners.close()
    assert ear.heard == [
        ("attach", "a"),
        ("picture", 0, True),
        ("control", "human"),
        ("decision", 0),
        ("correct", "left", "console"),
        ("event", 2.0),
        ("lost", "a"),
        ("leave", "a"),
        ("close",),
    ]
    assert ear.threads == {"listener"}


def test_a_listener_that_fails_is_closed_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad, good = Ear("two"), Ear()
    listeners = Listeners([bad, good])
    listeners.start()
    for text in ("one", "two", "three"):
        listeners.on_text("a", "say", text, "game")
    listeners.close()
    assert bad.heard == [("say", "one", "game"), ("close",)]
    assert "a fault of the listener" in caplog.text
    assert [words for _, words, *_ in good.heard[:-1]] == ["one", "two", "three"]


def test_pictures_beyond_the_room_are_missing_and_the_rest_is_heard() -> None:
    ear = Ear()
    thread = ListenerThread(ear, max_bytes=2 * len(PICTURE.payload))
    for index in range(4):
        thread.observe("a", picture(index))
    thread.start()
    thread.close()
    assert ear.heard[:-1] == [
        ("picture", 0, True), ("picture", 1, True), ("picture", 2, False), ("picture", 3, False),
    ]  # fmt: skip


def test_pictures_of_recordings_always_come_and_take_no_room() -> None:
    ear = Ear()
    thread = ListenerThread(ear, max_bytes=len(PICTURE.payload))
    for index in range(4):
        thread.observe("a", picture(index), keep=index != 2)
    thread.start()
    thread.close()
    assert ear.heard[:-1] == [("picture", index, True) for index in range(4)]


def test_only_who_records_has_room_for_everything() -> None:
    ears = [Ear(), Ear()]
    ears[1].records = True
    listeners = Listeners(ears)
    for thread in listeners._threads:
        thread._max_bytes = 0
    listeners.on_observation("a", picture(0), keep=True)
    listeners.start()
    listeners.close()
    assert [ear.heard[0] for ear in ears] == [("picture", 0, False), ("picture", 0, True)]


def test_what_is_heard_is_told_and_what_records_is_known() -> None:
    ear = Ear()
    listeners = Listeners([ear])
    assert not listeners.records
    ear.records = True
    assert listeners.records
    heard: list[int] = []
    listeners.on_progress = lambda: heard.append(len(ear.heard))
    listeners.start()
    listeners.on_control("a", "human")
    listeners.on_lost("a")
    listeners.close()
    assert heard == [1, 2]


def test_a_listener_that_failed_records_nothing() -> None:
    ear = Ear("one")
    ear.records = True
    listeners = Listeners([ear])
    listeners.start()
    listeners.on_text("a", "say", "one", "game")
    listeners.close()
    assert not listeners.records


def test_a_listener_too_far_behind_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    ear = Ear()
    thread = ListenerThread(ear, max_calls=3)
    for index in range(5):
        thread.observe("a", picture(index))
    thread.start()
    thread.close()
    assert ear.heard == [("close",)]
    assert "3 calls behind" in caplog.text
