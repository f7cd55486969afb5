"""A window whose events are scripted, a still world and a recorder that keeps what it gets."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pygame
import pytest

from games import Action, Frame, Observation
from games.human import play
from games.human.contracts import PlayedStep, PlayOptions, World
from games.human.recording_light import RecordingStatus
from games.human.window import Window
from games.voxel import SPEC, VoxelEnv

Event = pygame.event.Event
GET_EVENTS = pygame.event.get
Frames = Sequence[Sequence[Event]]
"""The events of each frame of the window; after the last one the window is closed."""


class StillEnv(VoxelEnv):
    """A world where nothing happens, whose frames carry the number of the step, until step `end`."""

    def __init__(self, end: int = 10_000, success: bool = False) -> None:
        super().__init__()
        self.end, self.success = end, success

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self.count = 0
        return self._observe(), {"task": "still", "success": False, "progress": 0.0}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.count += 1
        ended = self.count == self.end
        info = {"task": "still", "success": ended and self.success, "progress": 0.5}
        return self._observe(), 0.0, ended and self.success, ended and not self.success, info

    @property
    def native_frame(self) -> Frame:
        return np.full((216, 384, 3), 90, np.uint8)

    def _observe(self) -> Observation:
        return {"frame": np.full(SPEC.frame.shape, self.count, np.uint8), "instruction": "wait"}


class Log:
    """A recorder that keeps what it gets."""

    def __init__(self) -> None:
        self.status = RecordingStatus(free_bytes=50 << 30)
        self.begun: list[tuple[str, str, int]] = []
        self.actors: list[str] = []
        self.frames: list[int] = []
        self.actions: list[Action] = []
        self.agent_actions: list[Action | None] = []
        self.by: list[str] = []
        self.times: list[int] = []
        self.spans: list[tuple[str, str, int, int | None]] = []
        self.superseded: list[int | None] = []
        self.sources: list[str] = []
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.ends: list[bool | None] = []
        self.discards: list[str] = []
        self.in_episode = 0

    def begin(self, instruction: str, task: str, seed: int, actor: str) -> None:
        self.begun.append((instruction, task, seed))
        self.actors.append(actor)
        self.in_episode = 0

    def step(self, step: PlayedStep) -> None:
        assert len(np.unique(step.frame)) == 1  # nothing is drawn into it
        self.frames.append(int(step.frame[0, 0, 0]))
        self.actions.append(step.action)
        self.agent_actions.append(step.agent_action)
        self.by.append(step.by)
        self.times.append(step.t_ns)
        self.in_episode += 1

    def text(
        self, style: str, text: str, *, i0: int, i1: int | None = None, t0_ns: int | None = None,
        source: str = "human_live", supersedes: int | None = None,
    ) -> int:  # fmt: skip
        self.spans.append((style, text, i0, i1))
        self.superseded.append(supersedes)
        self.sources.append(source)
        return len(self.spans) - 1

    def event(self, kind: str, **values: Any) -> None:
        self.events.append((len(self.frames), kind, values))

    def end(self, success: bool | None) -> None:
        self.ends.append(success)
        if self.in_episode:
            self.status = replace(self.status, saved=self.status.saved + 1)

    def discard(self) -> str:
        self.discards.append("this" if self.in_episode else "last")
        return self.discards[-1]

    @property
    def texts(self) -> list[str]:
        return [text for _, text, _, _ in self.spans]

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.events if kind != "input"]

    @property
    def inputs(self) -> list[tuple[int, str, Any]]:
        return [(i, v["code"], v["value"]) for i, kind, v in self.events if kind == "input"]


class Ticks:
    """A clock that goes on by one step's time whenever the window waits."""

    def __init__(self, hz: float = 20.0) -> None:
        self.seconds, self.tick = 100.0, 1 / hz

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += self.tick


def key(code: int, **values: Any) -> Event:
    return Event(pygame.KEYDOWN, key=code, **values)


def up(code: int, **values: Any) -> Event:
    return Event(pygame.KEYUP, key=code, **values)


def typed(text: str) -> list[Event]:
    return [Event(pygame.TEXTINPUT, text=character) for character in text]


def button(kind: int, number: int) -> Event:
    return Event(kind, button=number, pos=(9, 9), touch=False)


def moved(dx: int, dy: int) -> Event:
    return Event(pygame.MOUSEMOTION, rel=(dx, dy), pos=(9, 9), buttons=(0, 0, 0), touch=False)


OPEN, ENTER = [key(pygame.K_t), up(pygame.K_t)], [key(pygame.K_RETURN), up(pygame.K_RETURN)]
LOST, GAINED = Event(pygame.WINDOWFOCUSLOST), Event(pygame.WINDOWFOCUSGAINED)
CLICK = [button(pygame.MOUSEBUTTONDOWN, 1), button(pygame.MOUSEBUTTONUP, 1)]


def script(monkeypatch: pytest.MonkeyPatch, frames: Frames) -> list[Window]:
    """Let the window find these events in its own queue, a frame's before a step each, and a frame's while it waits."""
    waiting, opened = iter(frames), list[Window]()
    steps = -1

    class Seen(Window):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            opened.append(self)

    def post_and_get() -> list[Event]:
        nonlocal steps
        (window,) = opened
        if window.waits or window.pace.steps > steps:
            steps = window.pace.steps
            for event in next(waiting, [Event(pygame.QUIT)]):
                pygame.event.post(event)
        return GET_EVENTS()

    monkeypatch.setattr(play, "Window", Seen)
    monkeypatch.setattr(pygame.event, "get", post_and_get)
    return opened


def worlds() -> Iterator[World]:
    return ((seed, {}) for seed in range(3, 100))


def options(**changes: Any) -> PlayOptions:
    quick = {"size": (640, 360), "countdown_seconds": 0.0, "headless": True, "clock": Ticks()}
    return PlayOptions(**{**quick, **changes})


def held(log: Log) -> list[set[str]]:
    return [{name for name, value in a.items() if value == 1} for a in log.actions]
