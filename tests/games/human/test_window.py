"""Game window for people: what is pressed, typed and left, by events posted to a window that nobody sees."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pygame
import pytest

from games import Action, Frame, Observation, UnplayableError
from games.voxel import SPEC, VoxelEnv, hands
from games.human.recording_light import RED, RecordingStatus
from games.human.window import VIEW_SIZES, World, play_human

Event = pygame.event.Event
GET_EVENTS = pygame.event.get
Frames = Sequence[Sequence[Event]]
"""The events of each frame of the window; after the last one the window is closed."""


class StillEnv(VoxelEnv):
    """A world where nothing happens, whose frames carry the number of the step, until step `end`."""

    def __init__(self, end: int = 10_000, success: bool = False) -> None:
        super().__init__()
        self.end, self.success = end, success
        self.views: list[tuple[int, int]] = []

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

    def render_frame(self, height: int, width: int) -> Frame:
        self.views.append((height, width))
        return np.full((height, width, 3), 90, np.uint8)

    def _observe(self) -> Observation:
        return {"frame": np.full(SPEC.frame.shape, self.count, np.uint8), "instruction": "wait"}


class Log:
    """A recorder that keeps what it gets."""

    def __init__(self) -> None:
        self.status = RecordingStatus()
        self.begun: list[tuple[str, str, int]] = []
        self.frames: list[int] = []
        self.actions: list[Action] = []
        self.by: list[str | None] = []
        self.texts: list[str] = []
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.ends: list[bool | None] = []

    def begin(self, instruction: str, task: str, seed: int) -> None:
        self.begun.append((instruction, task, seed))

    def step(self, frame: Frame, action: Action, reward: float, by: str | None) -> None:
        assert len(np.unique(frame)) == 1  # nothing is drawn into it
        self.frames.append(int(frame[0, 0, 0]))
        self.actions.append(action)
        self.by.append(by)

    def text(self, line: str, t0_ns: int) -> None:
        self.texts.append(line)

    def event(self, kind: str, **values: Any) -> None:
        self.events.append((len(self.frames), kind, values))

    def end(self, success: bool | None) -> None:
        self.ends.append(success)

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.events if kind != "input"]

    @property
    def inputs(self) -> list[tuple[int, str, Any]]:
        return [(i, v["code"], v["value"]) for i, kind, v in self.events if kind == "input"]


class NoWait:
    """A clock that does not wait."""

    def tick(self, hz: int) -> int:
        return 1000 // hz


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


def script(monkeypatch: pytest.MonkeyPatch, frames: Frames) -> None:
    """Let the window find these events, frame by frame, in its own queue."""
    waiting = iter(frames)

    def post_and_get() -> list[Event]:
        for event in next(waiting, [Event(pygame.QUIT)]):
            pygame.event.post(event)
        return GET_EVENTS()

    monkeypatch.setattr(pygame.event, "get", post_and_get)
    monkeypatch.setattr(pygame.time, "Clock", NoWait)


def worlds() -> Iterator[World]:
    return ((seed, {}) for seed in range(3, 100))


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(frames: Frames, env: VoxelEnv | None = None, log: Log | None = None) -> Log:
        log = log or Log()
        script(monkeypatch, frames)
        play_human(env or StillEnv(), log, worlds(), size=(320, 180), headless=True)
        return log

    return run


def held(log: Log) -> list[set[str]]:
    return [{name for name, value in a.items() if value == 1} for a in log.actions]


@pytest.mark.parametrize(
    ("event", "seeds"),
    [
        (key(pygame.K_RETURN), [3, 4]),
        (key(pygame.K_KP_ENTER), [3, 4]),
        (key(pygame.K_r), [3, 3]),
        (key(pygame.K_ESCAPE), [3]),
        (Event(pygame.QUIT), [3]),
    ],
)
def test_an_episode_that_is_left_is_neither_reached_nor_failed(
    event: Event, seeds: list[int], play: Any
) -> None:
    log = play([[], [], [event]])
    assert log.ends == [None] * len(seeds)
    assert log.begun == [("wait", "still", seed) for seed in seeds]
    assert log.frames[:2] == [0, 1]
    assert log.frames[2:] == ([0] if len(seeds) == 2 else [])  # no step after the end


@pytest.mark.parametrize("success", [True, False])
def test_an_episode_that_the_game_ends_has_its_outcome(success: bool, play: Any) -> None:
    log = play([[]] * 5, StillEnv(3, success))
    assert log.ends == [success, None]
    assert [seed for *_, seed in log.begun] == [3, 4]
    assert log.frames == [0, 1, 2, 0, 1]


@pytest.mark.parametrize("event", [key(pygame.K_RETURN), key(pygame.K_r)])
def test_the_window_closes_when_the_recorder_is_finished(event: Event, play: Any) -> None:
    class Finished(Log):
        def end(self, success: bool | None) -> None:
            super().end(success)
            self.status = RecordingStatus(finished=True)

    log = play([[], [event], [], []], log=Finished())
    assert (len(log.begun), log.frames) == (1, [0])


def test_the_key_that_opens_the_box_writes_nothing(play: Any) -> None:
    shift_t = [key(pygame.K_LSHIFT), key(pygame.K_t, mod=pygame.KMOD_SHIFT), *typed("T")]
    opened = [*typed("T"), up(pygame.K_t), up(pygame.K_LSHIFT)]
    line = [key(pygame.K_t), *typed("t"), *typed("he Tree ändert Ж")]
    log = play([shift_t, typed("TT"), opened, line, ENTER, []])
    assert log.texts == ["the Tree ändert Ж"]
    assert log.kinds == ["typing_began", "typing_ended"]
    assert {"accepted": True} in [values for _, _, values in log.events]


def test_a_key_held_while_typing_is_still_held_afterwards(play: Any) -> None:
    log = play([[key(pygame.K_w)], OPEN, typed("go"), ENTER, [], [up(pygame.K_w)]])
    assert held(log) == [{"forward"}, {"forward"}, {"forward"}, set()]


def test_a_key_let_go_while_typing_is_no_longer_down(play: Any) -> None:
    down = [key(pygame.K_w), button(pygame.MOUSEBUTTONDOWN, 1)]
    lifted = [up(pygame.K_w), button(pygame.MOUSEBUTTONUP, 1), *typed("x")]
    log = play([down, OPEN, lifted, ENTER, []])
    assert held(log) == [{"forward", "attack"}, set(), set()]
    assert {(1, "w", 0), (1, "left", 0)} <= set(log.inputs)


def test_what_is_typed_acts_neither_in_the_game_nor_in_the_raw_inputs(play: Any) -> None:
    letters = [key(pygame.K_LSHIFT), key(pygame.K_w), *typed("W"), key(pygame.K_r)]
    lifted = [up(pygame.K_w), up(pygame.K_r), up(pygame.K_LSHIFT), moved(40, 0)]
    log = play([[], OPEN, letters, lifted, [key(pygame.K_ESCAPE)], [], []])
    assert log.texts == []
    assert not any(held(log))
    assert all(action["camera"] == (0, 0) for action in log.actions)
    assert log.inputs == [(1, "t", 1), (1, "t", 0)]
    assert len(log.begun) == 1


def test_a_modifier_pressed_while_typing_counts_afterwards(play: Any) -> None:
    log = play([OPEN, [key(pygame.K_LSHIFT), *typed("Up")], ENTER, []])
    assert held(log) == [{"sprint"}, {"sprint"}]


def test_a_short_press_acts_for_one_step(play: Any) -> None:
    log = play([[*CLICK, key(pygame.K_SPACE), up(pygame.K_SPACE)], []])
    assert held(log) == [{"attack", "jump"}, set()]


def test_right_modifiers_and_other_layouts_play_too(play: Any) -> None:
    log = play([
        [key(pygame.K_RSHIFT), key(0x446, scancode=pygame.KSCAN_W)],  # a Russian letter
        [up(pygame.K_w, scancode=pygame.KSCAN_W)],  # the layout was changed
        [key(0x435, scancode=pygame.KSCAN_T), up(0x435, scancode=pygame.KSCAN_T)],
        typed("иди"), ENTER,
    ])  # fmt: skip
    assert held(log) == [{"sprint", "forward"}, {"sprint"}, {"sprint"}]
    assert log.texts == ["иди"]


def test_without_focus_nothing_is_recorded(play: Any) -> None:
    away = [LOST, key(pygame.K_LALT), moved(50, 50)]
    log = play([[key(pygame.K_w)], away, [], [key(pygame.K_t)], [GAINED], [moved(9, 9)], CLICK, []])
    assert log.frames == [0, 1, 2]
    assert held(log) == [{"forward"}, set(), set()]
    assert log.kinds == ["focus_lost", "focus_gained"]
    assert {i for i, kind, _ in log.events if kind != "input"} == {1}
    assert log.inputs[:2] == [(0, "w", 1), (1, "w", 0)]
    assert all(action["camera"] == (0, 0) for action in log.actions)
    assert log.texts == []


@pytest.mark.parametrize("focused", [True, False])
def test_a_window_that_never_gets_the_focus_waits(
    focused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pygame.key, "get_focused", lambda: focused)
    monkeypatch.setattr("games.human.display.UNSEEN", ())
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    script(monkeypatch, [[]] * 40)
    log = Log()
    play_human(StillEnv(), log, worlds())
    assert len(log.frames) == (40 if focused else 20)
    assert log.kinds == ([] if focused else ["focus_lost"])


def test_mouse_movement_while_a_world_is_made_turns_nothing(play: Any) -> None:
    class Slow(Log):
        def begin(self, instruction: str, task: str, seed: int) -> None:
            super().begin(instruction, task, seed)
            pygame.event.post(moved(300, 0))

    log = play([[], ENTER, []], log=Slow())
    assert len(log.begun) == 2
    assert all(action["camera"] == (0, 0) for action in log.actions)


def test_focus_lost_while_typing_keeps_the_text(play: Any) -> None:
    log = play([OPEN, typed("on"), [LOST], [GAINED], typed("ward"), ENTER, []])
    assert log.texts == ["onward"]
    assert len(log.frames) == 2
    assert log.kinds == ["typing_began", "focus_lost", "focus_gained", "typing_ended"]


def test_who_touches_nothing_for_long_is_nobody(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "IDLE_SECONDS", 0.25)
    down, lifted = [key(pygame.K_w)], [up(pygame.K_w)]
    log = play([[]] * 8 + [down] + [[]] * 9 + [lifted] + [[]] * 6)
    assert log.by == [None] * 5 + ["nobody"] * 3 + [None] * 16 + ["nobody"]


def test_worlds_without_anybody_are_not_played(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "IDLE_SECONDS", 0.25)
    log = play([[]] * 20 + [CLICK, []], StillEnv(end=12))
    assert log.frames == [*range(12), 0, 1]
    assert log.by[-2:] == [None, None]


def test_raw_inputs_are_events_of_the_step_they_shape(play: Any) -> None:
    log = play([
        [key(pygame.K_w), moved(3, 1), moved(4, -9)],
        [up(pygame.K_w), button(pygame.MOUSEBUTTONDOWN, 2), Event(pygame.MOUSEWHEEL, y=-1)],
        [],
    ])  # fmt: skip
    assert log.inputs == [
        (0, "w", 1), (0, "move", (7, -8)), (1, "w", 0), (1, "middle", 1), (1, "wheel", -1),
    ]  # fmt: skip
    assert log.events[1][2]["device"] == "mouse"


def test_raw_inputs_of_a_step_are_bounded(play: Any) -> None:
    log = play([[Event(pygame.MOUSEWHEEL, y=1)] * 500, []])
    assert len(log.inputs) == hands.INPUTS_MAX


def test_a_new_episode_begins_with_what_is_down(play: Any) -> None:
    log = play([[key(pygame.K_w)], [*ENTER, up(pygame.K_RETURN)], []])
    assert held(log) == [{"forward"}] * 3
    assert (1, "w", 1) in log.inputs


@pytest.mark.parametrize("driver", ["dummy", "offscreen", "no such driver"])
def test_without_a_display_nothing_begins(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SDL_VIDEODRIVER", driver)
    log = Log()
    with pytest.raises(UnplayableError, match=r"no display .*ssh -X.*--expert"):
        play_human(StillEnv(), log, worlds())
    assert (log.begun, log.ends) == ([], [])
    assert os.environ["SDL_VIDEODRIVER"] == driver


def test_the_screen_shows_the_light_and_the_frames_do_not(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    colors: list[set[tuple[int, ...]]] = []

    def look() -> None:
        pixels = pygame.surfarray.array3d(pygame.display.get_surface()).reshape(-1, 3)
        colors.append({tuple(color) for color in np.unique(pixels, axis=0).tolist()})

    monkeypatch.setattr(pygame.display, "flip", look)
    log = play([[], [LOST], [GAINED, *CLICK]])
    assert [RED in frame for frame in colors] == [True, False, True, True]
    assert log.frames == [0, 1]  # each frame is of one colour: `Log.step`


def test_a_slow_machine_draws_a_smaller_view(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(k * 0.02 for k in range(10_000))  # two readings a frame: 25 Hz, then slower
    monkeypatch.setattr("games.human.window.time.monotonic", lambda: next(seconds))
    env = StillEnv()
    play([[]] * 12, env)
    assert set(env.views) == {VIEW_SIZES[0]}
    slow = iter(k * 0.04 for k in range(10_000))
    monkeypatch.setattr("games.human.window.time.monotonic", lambda: next(slow))
    play([[]] * 60, env)
    assert list(dict.fromkeys(env.views)) == list(VIEW_SIZES)


@pytest.mark.parametrize("text", ["中文", "\x00\n\ud800", "", "x" * 400])
def test_any_instruction_can_be_drawn(text: str, play: Any) -> None:
    class Instructed(StillEnv):
        def _observe(self) -> Observation:
            return {**super()._observe(), "instruction": text}

    assert play([[], []], Instructed()).frames == [0, 1]
