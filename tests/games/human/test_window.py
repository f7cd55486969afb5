"""Game window for people: what is pressed, typed and left, by events posted to a window that nobody sees."""

import os
from typing import Any

import pygame
import pytest

from games import Action, Observation, UnplayableError
from games.human import hands
from games.human.play import play_human
from games.human.recording_light import RED, RecordingStatus
from games.human.screen import Screen
from tests.games.human.scripted_window import (
    CLICK,
    ENTER,
    GAINED,
    LOST,
    OPEN,
    Event,
    Log,
    StillEnv,
    button,
    held,
    key,
    moved,
    options,
    script,
    typed,
    up,
    worlds,
)


@pytest.mark.parametrize(
    ("event", "seeds"),
    [
        (key(pygame.K_RETURN), [3, 4]),
        (key(pygame.K_KP_ENTER), [3, 4]),
        (key(pygame.K_F2), [3, 3]),
        (key(pygame.K_ESCAPE), [3]),
        (Event(pygame.QUIT), [3]),
    ],
)
def test_an_episode_that_is_left_is_neither_reached_nor_failed(
    event: Event, seeds: list[int], run: Any
) -> None:
    log = run([[], [], [event]])
    assert log.ends == [None] * len(seeds)
    assert log.begun == [("wait", "still", seed) for seed in seeds]
    assert log.frames[:2] == [0, 1]
    assert log.frames[2:] == ([0] if len(seeds) == 2 else [])  # no step after the end


def test_f1_shows_the_keys_until_another_one_is_pressed(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(Screen, "draw", lambda self, now: shown.append(dict(now.help)))
    f1 = [key(pygame.K_F1), up(pygame.K_F1)]
    log = run([[], f1, [], f1, [], f1, [], [key(pygame.K_w), up(pygame.K_w)], []])
    opened = [bool(a) for a, b in zip(shown, [None, *shown], strict=False) if a != b]
    assert opened == [False, True, False, True, False]
    rows = next(filter(None, shown))
    assert rows["walk forward"] == "w"
    assert "/goal WORDS" in rows
    assert [action["forward"] for action in log.actions].count(1) == 1


@pytest.mark.parametrize("free_bytes", [9 << 30, None])
def test_while_an_episode_is_written_the_window_says_so(
    free_bytes: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []

    class Slow(Log):
        def end(self, success: bool | None) -> None:
            words.append(drawn[-1])
            super().end(success)

    drawn: list[str] = []
    monkeypatch.setattr(Screen, "draw", lambda self, shown: drawn.append(shown.light.word))
    script(monkeypatch, [[], [], [key(pygame.K_RETURN)], []])
    log = Slow()
    log.status = RecordingStatus(free_bytes=free_bytes)
    play_human(StillEnv(), log, worlds(), options())
    word = "not recorded" if free_bytes is None else "saving"
    assert words == [word, word]  # one is left for the next world, one with the window
    assert set(drawn) == {word, "not recorded" if free_bytes is None else "REC"}


@pytest.mark.parametrize("success", [True, False])
def test_an_episode_that_the_game_ends_has_its_outcome(success: bool, run: Any) -> None:
    log = run([[]] * 5, StillEnv(3, success))
    assert log.ends == [success, None]
    assert [seed for *_, seed in log.begun] == [3, 4]
    assert log.frames == [0, 1, 2, 0, 1]


def test_what_the_game_says_of_itself_is_recorded_with_its_picture(run: Any) -> None:
    class Telling(StillEnv):
        def reset(self, **given: Any) -> tuple[Observation, dict[str, Any]]:
            observation, info = super().reset(**given)
            return observation, {**info, "state": {"isGuiOpen": False}}

        def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
            *step, info = super().step(action)
            state = {"isGuiOpen": True} if self.count == 2 else None
            return (*step, {**info, "state": state})  # type: ignore[return-value]

    log = run([[]] * 4, Telling())
    states = [
        (i, values["state"]["isGuiOpen"]) for i, kind, values in log.events if kind == "state"
    ]
    assert log.frames == [0, 1, 2, 3]
    assert states == [(0, False), (2, True)]


@pytest.mark.parametrize("event", [key(pygame.K_RETURN), key(pygame.K_F2)])
def test_the_window_closes_when_the_recorder_is_finished(event: Event, run: Any) -> None:
    class Finished(Log):
        def end(self, success: bool | None) -> None:
            super().end(success)
            self.status = RecordingStatus(finished=True)

    log = run([[], [event], [], []], log=Finished())
    assert (len(log.begun), log.frames) == (1, [0])


def test_the_key_that_opens_the_box_writes_nothing(run: Any) -> None:
    shift_t = [key(pygame.K_LSHIFT), key(pygame.K_t, mod=pygame.KMOD_SHIFT), *typed("T")]
    opened = [*typed("T"), up(pygame.K_t), up(pygame.K_LSHIFT)]
    line = [key(pygame.K_t), *typed("t"), *typed("he Tree ändert Ж")]
    log = run([shift_t, typed("TT"), opened, line, ENTER, []])
    assert log.texts == ["the Tree ändert Ж"]
    assert log.kinds == ["typing_began", "typing_ended"]
    assert {"accepted": True} in [values for _, _, values in log.events]


def test_a_key_held_while_typing_is_still_held_afterwards(run: Any) -> None:
    log = run([[key(pygame.K_w)], OPEN, typed("go"), ENTER, [], [up(pygame.K_w)]])
    assert held(log) == [{"forward"}, {"forward"}, {"forward"}, set()]


def test_a_key_let_go_while_typing_is_no_longer_down(run: Any) -> None:
    down = [key(pygame.K_w), button(pygame.MOUSEBUTTONDOWN, 1)]
    lifted = [up(pygame.K_w), button(pygame.MOUSEBUTTONUP, 1), *typed("x")]
    log = run([down, OPEN, lifted, ENTER, []])
    assert held(log) == [{"forward", "attack"}, set(), set()]
    assert {(1, "w", 0), (1, "left", 0)} <= set(log.inputs)


def test_what_is_typed_acts_neither_in_the_game_nor_in_the_raw_inputs(run: Any) -> None:
    letters = [key(pygame.K_LSHIFT), key(pygame.K_w), *typed("W"), key(pygame.K_r)]
    lifted = [up(pygame.K_w), up(pygame.K_r), up(pygame.K_LSHIFT), moved(40, 0)]
    log = run([[], OPEN, letters, lifted, [key(pygame.K_ESCAPE)], [], []])
    assert log.texts == []
    assert not any(held(log))
    assert all(action["camera"] == (0, 0) for action in log.actions)
    assert log.inputs == [(1, "t", 1), (1, "t", 0)]
    assert len(log.begun) == 1


def test_a_modifier_pressed_while_typing_counts_afterwards(run: Any) -> None:
    log = run([OPEN, [key(pygame.K_LSHIFT), *typed("Up")], ENTER, []])
    assert held(log) == [{"sprint"}, {"sprint"}]


def test_a_short_press_acts_for_one_step(run: Any) -> None:
    log = run([[*CLICK, key(pygame.K_SPACE), up(pygame.K_SPACE)], []])
    assert held(log) == [{"attack", "jump"}, set()]


def test_right_modifiers_and_other_layouts_play_too(run: Any) -> None:
    log = run([
        [key(pygame.K_RSHIFT), key(0x446, scancode=pygame.KSCAN_W)],  # a Russian letter
        [up(pygame.K_w, scancode=pygame.KSCAN_W)],  # the layout was changed
        [key(0x435, scancode=pygame.KSCAN_T), up(0x435, scancode=pygame.KSCAN_T)],
        typed("иди"), ENTER,
    ])  # fmt: skip
    assert held(log) == [{"sprint", "forward"}, {"sprint"}, {"sprint"}]
    assert log.texts == ["иди"]


def test_without_focus_nothing_is_recorded(run: Any) -> None:
    away = [LOST, key(pygame.K_LALT), moved(50, 50)]
    log = run([[key(pygame.K_w)], away, [], [key(pygame.K_t)], [GAINED], [moved(9, 9)], CLICK, []])
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
    play_human(StillEnv(), log, worlds(), options(headless=False))
    assert len(log.frames) == (40 if focused else 20)
    assert log.kinds == ([] if focused else ["focus_lost"])


def test_mouse_movement_while_a_world_is_made_turns_nothing(run: Any) -> None:
    class Slow(Log):
        def begin(self, instruction: str, task: str, seed: int, actor: str) -> None:
            super().begin(instruction, task, seed, actor)
            pygame.event.post(moved(300, 0))

    log = run([[], ENTER, []], log=Slow())
    assert len(log.begun) == 2
    assert all(action["camera"] == (0, 0) for action in log.actions)


def test_focus_lost_while_typing_keeps_the_text(run: Any) -> None:
    log = run([OPEN, typed("on"), [LOST], [GAINED], typed("ward"), ENTER, []])
    assert log.texts == ["onward"]
    assert len(log.frames) == 2
    assert log.kinds == ["typing_began", "focus_lost", "focus_gained", "typing_ended"]


def test_who_touches_nothing_for_long_is_nobody(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "IDLE_SECONDS", 0.25)
    down, lifted = [key(pygame.K_w)], [up(pygame.K_w)]
    log = run([[]] * 8 + [down] + [[]] * 9 + [lifted] + [[]] * 6)
    assert log.by == ["human"] * 5 + ["nobody"] * 3 + ["human"] * 16 + ["nobody"]


def test_worlds_without_anybody_are_not_played(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "IDLE_SECONDS", 0.25)
    log = run([[]] * 20 + [CLICK, []], StillEnv(end=12))
    assert log.frames == [*range(12), 0, 1]
    assert log.by[-2:] == ["human", "human"]


def test_raw_inputs_are_events_of_the_step_they_shape(run: Any) -> None:
    log = run([
        [key(pygame.K_w), moved(3, 1), moved(4, -9)],
        [up(pygame.K_w), button(pygame.MOUSEBUTTONDOWN, 2), Event(pygame.MOUSEWHEEL, y=-1)],
        [],
    ])  # fmt: skip
    assert log.inputs == [
        (0, "w", 1), (0, "move", (7, -8)), (1, "w", 0), (1, "middle", 1), (1, "wheel", -1),
    ]  # fmt: skip
    assert log.events[1][2]["device"] == "mouse"


def test_raw_inputs_of_a_step_are_bounded(run: Any) -> None:
    log = run([[Event(pygame.MOUSEWHEEL, y=1)] * 500, []])
    assert len(log.inputs) == hands.INPUTS_MAX


def test_a_new_episode_begins_with_what_is_down(run: Any) -> None:
    log = run([[key(pygame.K_w)], [*ENTER, up(pygame.K_RETURN)], []])
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
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lit: list[bool] = []

    def look() -> None:
        pixels = pygame.surfarray.array3d(pygame.display.get_surface())
        lit.append(bool((pixels == RED).all(-1).any()))

    monkeypatch.setattr(pygame.display, "flip", look)
    log = run([[], [LOST], [GAINED, *CLICK]])
    changes = [a for a, b in zip(lit, [None, *lit], strict=False) if a != b]
    assert changes == [True, False, True, False]  # recorded, paused, recorded, saved
    assert log.frames == [0, 1]  # each frame is of one colour: `Log.step`


@pytest.mark.parametrize("text", ["中文", "\x00\n\ud800", "", "x" * 400])
def test_any_instruction_can_be_drawn(text: str, run: Any) -> None:
    class Instructed(StillEnv):
        def _observe(self) -> Observation:
            return {**super()._observe(), "instruction": text}

    assert run([[], []], Instructed()).frames == [0, 1]
