"""Human recording: what a session keeps, where it goes on, and what it reports."""

import json
import os
import signal
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pygame
import pytest

from agent_core.recording import human
from agent_core.recording.human import (
    HumanEpisodeRecorder,
    HumanPlan,
    record_human,
    select_worlds,
)
from games import UnplayableError
from games.human.contracts import PlayedStep
from games.registry import UnknownGameError, load
from games.voxel import SPEC
from recorder import CaptureError, LiveRecorder, LiveReport, open_episodes, recover
from recorder.format.manifest import read_manifest
from tests.agent_core.recording.idle_policy import IdlePolicy
from tests.games.human.scripted_window import Frames, Ticks, script

Event = pygame.event.Event
FRAME = np.zeros(SPEC.frame.shape, np.uint8)
SECOND = int(SPEC.step_hz)


def run(monkeypatch: pytest.MonkeyPatch, frames: Frames, out: Path, **plan: Any) -> dict[str, Any]:
    """Record from a window with scripted events, without a countdown."""
    script(monkeypatch, frames)
    full = {"countdown_seconds": 0.0, **plan}
    hz = load(full.get("game", "voxel")).spec.step_hz
    policy = full.pop("policy", None)
    return record_human(HumanPlan(out, **full), policy, headless=True, clock=Ticks(hz))


def key(code: int) -> list[Event]:
    return [Event(pygame.KEYDOWN, key=code), Event(pygame.KEYUP, key=code)]


def test_a_person_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [Event(pygame.TEXTINPUT, text=c) for c in "turn left"]
    start: list[list[Event]] = [[Event(pygame.KEYDOWN, key=pygame.K_w)], [], key(pygame.K_t)]
    frames = [*start, typed, key(pygame.K_RETURN), *[[]] * 3]
    report = run(monkeypatch, frames, tmp_path, author="a tester")
    (episode,) = open_episodes(tmp_path)
    assert report == {
        "episodes": 1, "left_out": 0, "discarded": 0, "steps": 6,
        "steps_by": {"human": 6, "agent": 0, "nobody": 0}, "dropped": 0, "out": str(tmp_path),
        "hz": report["hz"],
    }  # fmt: skip
    header = episode.header
    assert (header.actor, header.author, header.seed) == ("human", "a tester", 0)
    assert (header.success, header.clock) == (None, "wallclock")
    assert [action["forward"] for action in episode.actions] == [1] * 6
    (text,) = episode.texts
    assert (text.text, text.i0, text.style, text.author) == ("turn left", 2, "thought", "a tester")
    lines = (episode.folder / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["kind"] for event in events if event["kind"] != "input"] == [
        "typing_began", "typing_ended",
    ]  # fmt: skip
    assert events[0] == {
        "t_ns": events[0]["t_ns"], "i": 0,
        "kind": "input", "device": "keyboard", "code": "w", "value": 1,
    }  # fmt: skip


def test_a_session_has_tasks_and_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [*[[]] * 4, key(pygame.K_RETURN), *[[]] * SECOND, key(pygame.K_RETURN)]
    report = run(monkeypatch, frames, tmp_path, tasks=["dig_down"], episodes=1)
    assert (report["episodes"], report["left_out"], report["steps"]) == (1, 1, SECOND + 1)
    (episode,) = open_episodes(tmp_path)
    assert (episode.header.seed, episode.header.task) == (1, "dig_down")
    assert len(list(tmp_path.iterdir())) == 1


def test_an_agent_and_a_person_in_turn_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a game of Gymnasium's; a new goal in mid-episode is in force from its step on."""
    goal = [Event(pygame.TEXTINPUT, text=c) for c in "/goal stay"]
    frames = [[], [], key(pygame.K_LEFT), key(pygame.K_t), goal, key(pygame.K_RETURN), [],
              key(pygame.K_TAB), [], []]  # fmt: skip
    report = run(
        monkeypatch, frames, tmp_path, game="frozen-lake", policy=IdlePolicy(), author="me"
    )
    (episode,) = open_episodes(tmp_path)
    assert episode.by == ["agent"] * 2 + ["human"] * 3 + ["agent"] * 3
    assert episode.actions[2]["left"] == 1
    assert [action is not None for action in episode.agent_actions] == [
        by == "human" for by in episode.by
    ]
    assert episode.executed == episode.actions
    assert (episode.header.actor, episode.header.author) == ("agent", "idle")
    first = episode.header.instruction
    assert episode.instructions == [first] * 3 + ["stay"] * 5
    assert report["steps_by"] == {"human": 3, "agent": 5, "nobody": 0}


@pytest.mark.slow
def test_the_last_episode_can_be_recorded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full: list[list[Event]] = [[]] * (SECOND + 2)
    back = key(pygame.K_BACKSPACE)
    frames = [key(pygame.K_RETURN), *full, key(pygame.K_RETURN), back, back, key(pygame.K_RETURN), *full,
              key(pygame.K_RETURN)]  # fmt: skip
    report = run(monkeypatch, frames, tmp_path, episodes=None, countdown_seconds=1.0)
    assert (report["episodes"], report["discarded"], report["steps"]) == (1, 1, SECOND + 3)
    (episode,) = open_episodes(tmp_path)
    assert episode.header.seed == 0
    assert len(list(tmp_path.iterdir())) == 1


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
        record_human(HumanPlan(tmp_path / "new"))
    with pytest.raises(UnplayableError, match="did you mean 'dig_down'"):
        record_human(HumanPlan(tmp_path / "new", tasks=["dig_dwn"]))
    with pytest.raises(UnplayableError, match=r"missing.toml cannot be read"):
        record_human(HumanPlan(tmp_path / "new", controls=tmp_path / "missing.toml"))
    with pytest.raises(UnknownGameError, match="minecraft"):
        record_human(HumanPlan(tmp_path / "new", game="minecraft"))
    assert not (tmp_path / "new").exists()


class Capture:
    """A live recorder that writes nothing."""

    def __init__(self) -> None:
        self.steps = self.dropped = 0
        self.paused = False
        self.end: Any = None
        self.folder = Path("capture")

    def step(self, frame: Any, action: Any, **values: Any) -> None:
        self.steps += 1

    def text(self, **values: Any) -> int:
        return 0

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


def step(by: str = "human", **pressed: int) -> PlayedStep:
    return PlayedStep(FRAME, SPEC.normalize(pressed), by, None, 0.0, time.monotonic_ns())


def recorder_of(out: Path = Path("out"), episodes: int | None = None) -> HumanEpisodeRecorder:
    return HumanEpisodeRecorder(out, SPEC, "a tester", episodes)


def play(recorder: HumanEpisodeRecorder, steps: int, by: str = "human") -> None:
    recorder.begin("wait", "still", 0, "human")
    for _ in range(steps):
        recorder.step(step(by))


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
    recorder = recorder_of()
    play(recorder, steps)
    if text:
        recorder.text("thought", text, i0=0)
    recorder.end(success)
    recorder.end(None)
    assert captures[0].end == end
    kept = end != "discarded"
    assert (recorder.report()["episodes"], recorder.report()["left_out"]) == (kept, not kept)


def test_an_episode_without_a_step_is_not_counted(captures: list[Capture]) -> None:
    recorder = recorder_of()
    play(recorder, 0)
    recorder.end(None)
    assert captures[0].end == "discarded"
    assert (recorder.report()["episodes"], recorder.report()["left_out"]) == (0, 0)


def test_an_episode_that_was_dropped_whole_is_not_counted(captures: list[Capture]) -> None:
    recorder = recorder_of()
    play(recorder, 30)
    captures[0].dropped = 30
    recorder.end(None)
    play(recorder, 30)
    captures[1].dropped = 30
    recorder.text("thought", "the disk is full", i0=0)
    recorder.end(None)
    assert [capture.end for capture in captures] == ["discarded", (None, False)]
    assert (recorder.report()["episodes"], recorder.report()["left_out"]) == (0, 1)


def test_the_status_is_that_of_the_capture(captures: list[Capture]) -> None:
    recorder = recorder_of(episodes=2)
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
    assert (report["steps"], report["dropped"], report["steps_by"]["nobody"]) == (56, 4, 30)


def test_an_error_in_the_window_leaves_an_interrupted_capture(
    captures: list[Capture], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def play_human(env: Any, recorder: HumanEpisodeRecorder, *args: Any, **options: Any) -> None:
        play(recorder, 30)
        raise KeyboardInterrupt

    monkeypatch.setattr(human, "play_human", play_human)
    with pytest.raises(KeyboardInterrupt):
        record_human(HumanPlan(tmp_path))
    assert captures[0].end == (None, True)


def test_recording_goes_on_where_its_process_dies(tmp_path: Path) -> None:
    recorder = recorder_of(tmp_path)
    recorder.begin("chop a tree", "chop_tree", 5, "human")
    capture = recorder.capture
    assert capture is not None
    first = recorder.text("thought", "a tree", i0=0)
    count = 0
    for _ in range(SECOND):
        recorder.step(step())
        count += 1
    os.kill(read_manifest(capture.folder).writer, signal.SIGKILL)
    while recorder.capture is capture:  # until the death is noticed
        recorder.step(step())
        count += 1
    for _ in range(SECOND):
        recorder.step(step(forward=1))
        count += 1
    second = recorder.text("thought", "a wood", i0=count - 5)
    recorder.text("thought", "the woods", i0=count - 5, supersedes=second)
    recorder.text("thought", "the tree", i0=0, supersedes=first)
    recorder.end(None)
    assert [done.outcome for done in recover(tmp_path)] == ["recovered"]
    lengths = {episode.id: len(episode) for episode in open_episodes(tmp_path)}
    assert lengths.pop(capture.folder.name) >= SECOND
    assert list(lengths.values()) == [SECOND + 1]
    assert {episode.header.seed for episode in open_episodes(tmp_path)} == {5}
    (after,) = [e for e in open_episodes(tmp_path) if e.id != capture.folder.name]
    assert [(t.text, t.i0, t.supersedes) for t in after.texts] == [
        ("the woods", SECOND - 4, 0), ("the tree", 0, None),
    ]  # fmt: skip
