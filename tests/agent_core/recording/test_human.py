"""Human recording: what a session keeps, where it goes on, and what it reports."""

import json
import os
import signal
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pygame
import pytest

from agent_core.recording import human
from agent_core.recording.human import HumanEpisodeRecorder, record_human, select_worlds
from games import UnplayableError
from games.voxel import SPEC
from recorder import CaptureError, LiveRecorder, LiveReport, open_episodes, recover
from recorder.format.manifest import read_manifest

Event = pygame.event.Event
GET_EVENTS = pygame.event.get
FRAME = np.zeros(SPEC.frame.shape, np.uint8)
SECOND = int(SPEC.step_hz)


def script(monkeypatch: pytest.MonkeyPatch, frames: Sequence[Sequence[Event]]) -> None:
    """Let the window find these events, frame by frame, and be closed after them."""
    waiting = iter(frames)

    def post_and_get() -> list[Event]:
        for event in next(waiting, [Event(pygame.QUIT)]):
            pygame.event.post(event)
        return GET_EVENTS()

    monkeypatch.setattr(pygame.event, "get", post_and_get)
    monkeypatch.setattr(pygame.time, "Clock", lambda: SimpleNamespace(tick=lambda hz: 50))


def key(code: int) -> list[Event]:
    return [Event(pygame.KEYDOWN, key=code), Event(pygame.KEYUP, key=code)]


def test_a_person_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [Event(pygame.TEXTINPUT, text=c) for c in "turn left"]
    start: list[list[Event]] = [[Event(pygame.KEYDOWN, key=pygame.K_w)], [], key(pygame.K_t)]
    script(monkeypatch, [*start, typed, key(pygame.K_RETURN), *[[]] * 3])
    report = record_human(tmp_path, author="a tester", headless=True)
    (episode,) = open_episodes(tmp_path)
    assert report == {
        "episodes": 1, "left_out": 0, "steps": 6, "idle_steps": 0, "dropped": 0, "out": str(tmp_path),
    }  # fmt: skip
    header = episode.header
    assert (header.actor, header.author, header.seed) == ("human", "a tester", 0)
    assert (header.success, header.clock) == (None, "wallclock")
    assert [action["forward"] for action in episode.actions] == [1] * 6
    (text,) = episode.texts
    assert (text.text, text.i0, text.style) == ("turn left", 2, "correction")
    lines = (episode.folder / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["kind"] for event in events if event["kind"] != "input"] == [
        "typing_began", "typing_ended",
    ]  # fmt: skip
    assert events[0] == {
        "t_ns": events[0]["t_ns"], "i": 0,
        "kind": "input", "device": "keyboard", "code": "w", "value": 1,
    }  # fmt: skip

    script(monkeypatch, [*[[]] * 4, key(pygame.K_RETURN), *[[]] * SECOND, key(pygame.K_RETURN)])
    report = record_human(tmp_path, tasks=["dig_down"], episodes=1, headless=True)
    assert (report["episodes"], report["left_out"], report["steps"]) == (1, 1, SECOND + 1)
    _, second = open_episodes(tmp_path)
    assert (second.header.seed, second.header.task) == (2, "dig_down")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_session_goes_on_at_worlds_not_recorded_yet() -> None:
    assert list(islice(select_worlds({0, 1, 3, None}, None, ()), 3)) == [(2, {}), (4, {}), (5, {})]
    assert list(islice(select_worlds({0, 7, 8}, 7, ()), 2)) == [(7, {}), (9, {})]
    with pytest.raises(CaptureError, match="kept for evaluation"):
        select_worlds(set(), 1_000_000, ())


def test_worlds_have_the_tasks_that_were_asked_for() -> None:
    chosen = list(islice(select_worlds(set(), None, ("dig_down", "hunt_cow")), 40))
    assert {options["task"] for _, options in chosen} == {"dig_down", "hunt_cow"}
    assert chosen[7:] == list(islice(select_worlds(set(), 7, ("dig_down", "hunt_cow")), 33))


def test_nothing_is_made_without_a_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with pytest.raises(UnplayableError, match="no display"):
        record_human(tmp_path / "new")
    with pytest.raises(UnplayableError, match="did you mean 'dig_down'"):
        record_human(tmp_path / "new", tasks=["dig_dwn"])
    assert not (tmp_path / "new").exists()


class Capture:
    """A live recorder that writes nothing."""

    def __init__(self) -> None:
        self.steps = self.dropped = 0
        self.paused = False
        self.end: Any = None
        self.by: list[str | None] = []

    def step(self, frame: Any, action: Any, *, reward: float, by: str | None) -> None:
        self.steps += 1
        self.by.append(by)

    def text(self, **values: Any) -> None:
        self.texts = values

    def discard(self) -> None:
        self.end = "discarded"

    def close(self, *, success: bool | None, interrupted: bool) -> LiveReport:
        self.end = (success, interrupted)
        return LiveReport(self.steps - self.dropped, self.dropped, 0, 0)


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[Capture]:
    """The captures that are made, in order."""
    made: list[Capture] = []

    def create(*args: Any) -> Capture:
        made.append(Capture())
        return made[-1]

    monkeypatch.setattr(LiveRecorder, "create", create)
    return made


def play(recorder: HumanEpisodeRecorder, steps: int, by: str | None = None) -> None:
    recorder.begin("wait", "still", 0)
    for _ in range(steps):
        recorder.step(FRAME, SPEC.null_action(), 0.0, by)


@pytest.mark.parametrize(
    ("steps", "success", "text", "end"),
    [
        (SECOND - 1, None, "", "discarded"),
        (SECOND - 1, False, "", "discarded"),
        (SECOND - 1, True, "", (True, False)),
        (1, None, "look", (None, False)),
        (SECOND, None, "", (None, False)),
        (SECOND, False, "", (False, False)),
    ],
)
def test_a_short_episode_is_kept_for_its_text_or_its_success(
    steps: int, success: bool | None, text: str, end: Any, captures: list[Capture]
) -> None:
    recorder = HumanEpisodeRecorder(Path("out"), "")
    play(recorder, steps)
    if text:
        recorder.text(text, 5)
    recorder.end(success)
    recorder.end(None)
    assert captures[0].end == end
    kept = end != "discarded"
    assert (recorder.report()["episodes"], recorder.report()["left_out"]) == (kept, not kept)


def test_an_episode_without_a_step_is_not_counted(captures: list[Capture]) -> None:
    recorder = HumanEpisodeRecorder(Path("out"), "")
    play(recorder, 0)
    recorder.end(None)
    assert captures[0].end == "discarded"
    assert (recorder.report()["episodes"], recorder.report()["left_out"]) == (0, 0)


def test_an_episode_that_was_dropped_whole_is_not_counted(captures: list[Capture]) -> None:
    recorder = HumanEpisodeRecorder(Path("out"), "")
    play(recorder, 30)
    captures[0].dropped = 30
    recorder.end(None)
    play(recorder, 30)
    captures[1].dropped = 30
    recorder.text("the disk is full", 5)
    recorder.end(None)
    assert [capture.end for capture in captures] == ["discarded", (None, False)]
    assert (recorder.report()["episodes"], recorder.report()["left_out"]) == (0, 1)


def test_the_status_is_that_of_the_capture(captures: list[Capture]) -> None:
    recorder = HumanEpisodeRecorder(Path("out"), "", episodes=2)
    play(recorder, 30)
    assert (recorder.status.steps, recorder.status.disk_full) == (30, False)
    captures[0].paused, captures[0].dropped = True, 4
    assert (recorder.status.dropped, recorder.status.disk_full) == (4, True)
    recorder.end(None)
    assert (recorder.status.saved, recorder.status.finished) == (1, False)
    play(recorder, 2)
    recorder.end(None)
    assert (recorder.status.left_out, recorder.status.finished) == (1, False)
    play(recorder, 30, by="nobody")
    recorder.end(False)
    assert recorder.status.finished
    report = recorder.report()
    assert (report["steps"], report["dropped"], report["idle_steps"]) == (56, 4, 30)


def test_an_error_in_the_window_leaves_an_interrupted_capture(
    captures: list[Capture], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def play_human(env: Any, recorder: HumanEpisodeRecorder, *args: Any, **options: Any) -> None:
        play(recorder, 30)
        raise KeyboardInterrupt

    monkeypatch.setattr(human, "play_human", play_human)
    with pytest.raises(KeyboardInterrupt):
        record_human(tmp_path)
    assert captures[0].end == (None, True)


def test_recording_goes_on_where_its_process_dies(tmp_path: Path) -> None:
    recorder = HumanEpisodeRecorder(tmp_path, "a tester")
    recorder.begin("chop a tree", "chop_tree", 5)
    capture = recorder.capture
    assert capture is not None
    for _ in range(SECOND):
        recorder.step(FRAME, {}, 0.0, None)
    os.kill(read_manifest(capture.folder).writer, signal.SIGKILL)
    while recorder.capture is capture:  # until the death is noticed
        recorder.step(FRAME, {}, 0.0, None)
    for _ in range(SECOND):
        recorder.step(FRAME, {"forward": 1}, 0.0, None)
    recorder.end(None)
    assert [done.outcome for done in recover(tmp_path)] == ["recovered"]
    lengths = {episode.id: len(episode) for episode in open_episodes(tmp_path)}
    assert lengths.pop(capture.folder.name) >= SECOND
    assert list(lengths.values()) == [SECOND + 1]
    assert {episode.header.seed for episode in open_episodes(tmp_path)} == {5}
