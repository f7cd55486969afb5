"""Turns of a person and an agent in one window, words at their steps, and episodes that are thrown away."""

from typing import Any

import numpy as np
import pygame
import pytest

from games import Action, Button, Choice, Frame, FrameSize, GameSpec, Observation, Text
from games.human.bindings import bind, read_controls
from games.voxel import SPEC
from tests.games.human.scripted_window import (
    ENTER,
    OPEN,
    StillEnv,
    Ticks,
    button,
    held,
    key,
    moved,
    typed,
    up,
)

TAB, BACKSPACE = key(pygame.K_TAB), key(pygame.K_BACKSPACE)
JUMP = SPEC.normalize({"jump": 1})


class Jumper:
    """An agent that always jumps, and keeps what it is asked."""

    name = "jumper"

    def __init__(self) -> None:
        self.resets = 0
        self.asked: list[tuple[int, str, Action | None]] = []

    def reset(self) -> None:
        self.resets += 1

    def act(self, frame: Frame, instruction: str, executed: Action | None) -> Action:
        self.asked.append((int(frame[0, 0, 0]), instruction, executed))
        return JUMP


def test_any_key_takes_over_and_tab_hands_back(run: Any) -> None:
    agent = Jumper()
    down, lifted = [key(pygame.K_w)], [up(pygame.K_w)]
    log = run([[], [], down, [], lifted, [TAB, up(pygame.K_TAB)], [], []], copilot=agent)
    assert log.by == ["agent"] * 2 + ["human"] * 3 + ["agent"] * 3
    assert held(log) == [{"jump"}] * 2 + [{"forward"}] * 2 + [set()] + [{"jump"}] * 3
    assert log.agent_actions == [None] * 2 + [JUMP] * 3 + [None] * 3
    assert log.actors == ["agent"]
    walk = SPEC.normalize({"forward": 1})
    executed = [None, None, None, walk, walk, SPEC.null_action(), None, None]
    assert agent.asked == [(i, "wait", done) for i, done in enumerate(executed)]
    owners = [(i, v["owner"]) for i, kind, v in log.events if kind == "control"]
    assert owners == [(2, "human"), (5, "agent")]


def test_a_moved_mouse_takes_nothing_over_and_a_click_does(run: Any) -> None:
    log = run([[moved(40, 0)], [button(pygame.MOUSEBUTTONDOWN, 1)], []], copilot=Jumper())
    assert log.by == ["agent", "human", "human"]
    assert log.actions[1] == SPEC.normalize({"attack": 1})


def test_every_episode_begins_with_the_agent(run: Any) -> None:
    agent = Jumper()
    log = run([[key(pygame.K_w)], [up(pygame.K_w)], ENTER, []], copilot=agent)
    assert (log.actors, agent.resets) == (["agent", "agent"], 2)
    assert log.by == ["human", "human", "agent", "agent"]


def test_without_an_agent_tab_does_nothing(run: Any) -> None:
    log = run([[TAB], []])
    assert (log.by, log.agent_actions, log.actors) == (["human"] * 2, [None] * 2, ["human"])


def test_an_agent_that_is_late_is_not_waited_for_while_a_person_plays(run: Any) -> None:
    class Late(Ticks):
        def wait(self, seconds: float) -> None:
            self.seconds += 0.09  # the window is slow: each step is due for 40 ms

    agent = Jumper()
    run([[key(pygame.K_w)], *[[]] * 9], copilot=agent, clock=Late())
    assert len(agent.asked) < 5


def line(text: str, *before: pygame.event.Event) -> list[list[pygame.event.Event]]:
    """The box opened, keys pressed in it, a line typed and accepted."""
    return [OPEN, [*before, *typed(text)], ENTER]


def test_lines_are_at_the_step_at_which_the_box_was_opened(run: Any) -> None:
    log = run([[], [], *line("there is a tree"), [], *line("/correct turn left"), []])
    assert log.spans == [
        ("thought", "there is a tree", 2, None),
        ("correction", "turn left", 4, None),
    ]


def test_a_line_is_dated_back_by_the_second(run: Any) -> None:
    later = [key(pygame.K_UP)] * 2 + [key(pygame.K_DOWN)]
    log = run([[]] * 50 + line("I turn round", *later) + [[]])
    assert log.spans == [("thought", "I turn round", 30, None)]


def test_nothing_is_dated_before_the_episode(run: Any) -> None:
    log = run([[], [], *line("from the start", *[key(pygame.K_UP)] * 9), []])
    assert log.spans == [("thought", "from the start", 0, None)]


def test_a_line_is_put_right_by_its_number(run: Any) -> None:
    script = [[], *line("a pgi"), [], *line("a tree"), [], *line("/fix 0 a pig"), [], *line("/fix")]
    log = run([*script, []])
    assert log.spans[2:] == [("thought", "a pig", 1, None), ("thought", "", 1, None)]
    assert log.superseded == [None, None, 0, 2]


def test_a_line_that_means_nothing_stays_in_the_box(run: Any) -> None:
    script = [
        [],
        OPEN,
        typed("/gaol pig"),
        ENTER,
        [key(pygame.K_BACKSPACE), up(pygame.K_BACKSPACE)],
    ]
    log = run([*script, typed("x"), [key(pygame.K_ESCAPE)], []])
    assert (log.spans, log.frames) == ([], [0, 1, 2])
    assert log.kinds == ["typing_began", "typing_ended"]


def test_a_new_goal_reaches_the_agent_and_is_taken_back(run: Any) -> None:
    agent = Jumper()
    log = run([[], *line("/goal hunt the pig"), [], *line("/goal"), []], copilot=agent)
    assert log.spans == [("instruction", "hunt the pig", 1, None), ("instruction", "", 3, None)]
    assert [said for _, said, _ in agent.asked] == [
        "wait",
        "hunt the pig",
        "hunt the pig",
        "wait",
        "wait",
    ]


def test_the_games_own_change_of_instruction_is_recorded(run: Any) -> None:
    class Changing(StillEnv):
        def _observe(self) -> Observation:
            return {**super()._observe(), "instruction": "go" if self.count >= 2 else "wait"}

    log = run([[]] * 4, Changing())
    assert (log.spans, log.sources) == ([("instruction", "go", 2, None)], ["game"])


def test_quick_tags_are_about_one_step(run: Any) -> None:
    log = run([[], [], [key(pygame.K_2), up(pygame.K_2)], []])
    assert log.spans == [("quick_tag", "mistake", 2, 3)]
    assert not any(held(log))


def test_an_episode_is_thrown_away_at_the_second_press(run: Any) -> None:
    log = run([[], [BACKSPACE], [], [BACKSPACE], [], []])
    assert (log.discards, log.ends) == (["this"], [None])
    assert [seed for *_, seed in log.begun] == [3, 3]
    assert log.frames == [0, 1, 2, 0, 1, 2]


def test_a_press_that_is_long_ago_does_not_count(run: Any) -> None:
    log = run([[BACKSPACE], *[[]] * 60, [BACKSPACE], []])
    assert log.discards == []


def test_the_last_episode_is_recorded_again_and_then_the_next(run: Any) -> None:
    script = [ENTER, [], ENTER, [BACKSPACE], [BACKSPACE], ENTER, [], ENTER, []]
    log = run(script, countdown_seconds=1.0)
    assert log.discards == ["last"]
    assert [seed for *_, seed in log.begun] == [3, 4, 3, 4]


def test_a_world_that_was_played_again_is_the_last(run: Any) -> None:
    script = [ENTER, [], ENTER, ENTER, [], [key(pygame.K_F2)], [BACKSPACE], [BACKSPACE], ENTER, []]
    log = run(script, countdown_seconds=1.0)
    assert log.discards == ["last"]
    assert [seed for *_, seed in log.begun] == [3, 4, 4, 4]


def test_an_episode_counts_down_and_enter_skips_that(run: Any) -> None:
    log = run([[]] * 10, countdown_seconds=1.0)
    assert log.frames == []
    log = run([[], [], ENTER, []], countdown_seconds=1.0)
    assert log.frames == [0, 1]


def test_the_capture_says_when_each_frame_came_up(run: Any) -> None:
    log = run([[]] * 4)
    assert np.diff(log.times).tolist() == pytest.approx([5e7] * 3, abs=2)


CHAT = GameSpec(
    id="chat-v0", title="Chat", frame=FrameSize(height=8, width=8), step_hz=20,
    controls=(
        Button(name="one", meaning="hotbar.1"), Choice(name="hat", options=("none", "red", "blue")),
        Text(name="chat", meaning="chat"),
    ),
)  # fmt: skip


class ChatEnv(StillEnv):
    """A game whose player speaks."""

    game = CHAT

    def _observe(self) -> Observation:
        return {"frame": np.full(CHAT.frame.shape, self.count, np.uint8), "instruction": ""}


def test_words_for_the_game_are_said_in_one_step(run: Any) -> None:
    bindings = bind(CHAT, read_controls())
    log = run([[], *line("/say hello"), []], ChatEnv(), bindings=bindings)
    assert [action["chat"] for action in log.actions] == ["", "hello", ""]
    assert log.spans == []


def test_a_digit_of_the_games_own_tags_with_alt(run: Any) -> None:
    pressed = [key(pygame.K_1), up(pygame.K_1)]
    alt = [key(pygame.K_1, mod=pygame.KMOD_ALT), up(pygame.K_1)]
    log = run([pressed, alt, []], ChatEnv(), bindings=bind(CHAT, read_controls()))
    assert log.spans == [("quick_tag", "good", 1, 2)]
    assert [action["one"] for action in log.actions] == [1, 1, 0]
