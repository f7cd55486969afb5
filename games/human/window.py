"""Window (pygame): a person plays any game with an environment, and the agent in turn.

The game keeps its own pace. Steps have deadlines; the window is drawn when there is time before the next one, and at
least four times a second. While a line is typed, the window has no focus or an episode counts down, the game waits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pygame

from games.controls import Text
from games.env import Env, Frame
from games.human.bindings import bind, read_controls
from games.human.contracts import (
    AGENT,
    HUMAN,
    NOBODY,
    Detailed,
    PlayedStep,
    PlayOptions,
    PlayRecorder,
    World,
)
from games.human.gamepad import Gamepads
from games.human.hands import Hands
from games.human.inputs import MOUSE, MOUSE_BUTTONS, name_of, place_of
from games.human.key_help import help_rows
from games.human.pace import Detail, Pace
from games.human.pictures import Pictures
from games.human.recording_light import RecordingLight
from games.human.screen import Screen, Shown
from games.human.text_box import Outcome, TextBox
from games.human.typed_line import Fix, Say, TypedLineError, Write, parse_line
from games.human.word_track import WordTrack
from games.spec import Action

MODIFIERS = (pygame.K_LSHIFT, pygame.K_RSHIFT, pygame.K_LCTRL, pygame.K_RCTRL)
ENTER = ("return", "enter")
BANNER_SECONDS = 2.0
POLL_SECONDS = 0.01
"""Longest wait before the keys are looked at again."""


class Window:
    """The loop of an open window: events in, steps at their deadlines, drawings in the time between."""

    def __init__(
        self, env: Env, recorder: PlayRecorder, worlds: Iterator[World], surface: pygame.Surface,
        options: PlayOptions,
    ) -> None:  # fmt: skip
        self.env, self.recorder, self.worlds, self.options = env, recorder, worlds, options
        self.bindings = options.bindings or bind(env.game, read_controls())
        self.copilot, self.clock = options.copilot, options.clock
        self.screen, self.pictures = Screen(surface), Pictures(env)
        self.light = RecordingLight(env.game.step_hz)
        self.pace, self.detail = Pace(env.game.step_hz), Detail()
        self.hands = Hands(env.game, self.bindings)
        self.pads = Gamepads(self.hands, self._window_key)
        self.words = WordTrack(recorder, env.game.step_hz)
        self.has_chat = any(isinstance(c, Text) for c in env.game.controls)
        self.world: World = (0, {})
        self.saved_world = self.world
        self.box: TextBox | None = None
        self.has_focus, self.paused, self.running = True, False, True
        self.help = self.is_saving = False
        self.agent_plays = self.copilot is not None
        self.banner, self.banner_until, self.discards_until = "F1 shows the keys", 0.0, 0.0

    def run(self, *, needs_focus: bool) -> None:
        """Play until the window is closed, the worlds end or the recorder is finished."""
        self._grab(True)
        self._next_world()
        self._tell(self.banner)
        has_input = False
        while self.running and (
            self.options.max_steps is None or self.pace.steps < self.options.max_steps
        ):
            for event in pygame.event.get():
                has_input = True
                if self.running:
                    self._handle(event)
            now = self.clock.now()
            if self.waits:
                self.pace.hold()
            elif self.running and self.pace.is_due(now):
                is_late = self.pace.is_late(now)
                self.pace.step(now)
                self._step(is_late=is_late)
                if needs_focus and self.pace.steps == round(self.env.game.step_hz):
                    self._check_focus()
            has_input |= self.pictures.moves and not self.waits
            if self.pace.may_draw(begin := self.clock.now(), has_input=has_input):
                has_input = False
                self._draw(begin)
                self.pace.drawn(begin, self.clock.now())
            self.clock.wait(min(POLL_SECONDS, max(0.0, self.pace.room(self.clock.now()))))
        self._end(self.reached or None)

    @property
    def waits(self) -> bool:
        """Whether the game stands still."""
        return self.box is not None or self.paused or self.countdown > 0

    @property
    def countdown(self) -> int:
        """Seconds until the episode begins; 0 once it is played."""
        return max(0, math.ceil(self.starts_at - self.clock.now()))

    # --- episodes ---

    def _next_world(self) -> None:
        world = None if self.recorder.status.finished else next(self.worlds, None)
        if world is None:
            self.running = False
        else:
            self.world = world
            self._begin()

    def _begin(self) -> None:
        seed, options = self.world
        self.observation, self.info = self.env.reset(seed=seed, options=options)
        self.is_saving = self.reached = False
        self.agent_plays = self.copilot is not None
        self.hands.restate()
        if self.copilot is not None:
            self.copilot.reset()
        self.executed: Action | None = None
        instruction = self.observation["instruction"]
        self.recorder.begin(
            instruction, str(self.info.get("task", "")), seed, AGENT if self.agent_plays else HUMAN
        )
        self.words.begin(instruction)
        pygame.event.clear(pygame.MOUSEMOTION)  # of the time that this took
        self.starts_at = self.shown_at = self.clock.now()
        self.starts_at += self.options.countdown_seconds
        self.pace.hold()

    def _end(self, success: bool | None) -> None:
        """Close an episode, which takes a moment: the window shows it until the next one begins."""
        saved = self.recorder.status.saved
        self.is_saving = self.recorder.status.free_bytes is not None
        self._draw(self.clock.now())
        self.recorder.end(success)
        if self.recorder.status.saved > saved:
            self.saved_world = self.world

    def _step(self, *, is_late: bool) -> None:
        frame, t_ns = self.observation["frame"], int(self.shown_at * 1e9)
        if state := self.info.get("state"):
            self.recorder.event("state", state=state)
        action, by, agent_action = self._decide(frame, is_late)
        self.observation, reward, terminated, truncated, self.info = self.env.step(action)
        self.shown_at = self.clock.now()
        self.reached |= bool(self.info.get("success"))
        self.executed = action if by != AGENT else None
        self.recorder.step(PlayedStep(frame, action, by, agent_action, float(reward), t_ns))
        self.words.step(self.observation["instruction"], t_ns)
        if isinstance(self.env, Detailed):
            self.env.picture_detail = self.detail.choose(self.shown_at, is_slow=self.pace.is_slow)
        if terminated or truncated:
            self._tell("Reached!" if self.reached else "Not this time.")
            self.pictures.keep(self.observation["frame"], self.banner_until)
            self._end(self.reached)
            self._next_world()
            if self.hands.is_idle and not self.agent_plays:  # worlds without anybody are no use
                self._pause()

    def _decide(self, frame: Frame, is_late: bool) -> tuple[Action, str, Action | None]:
        """The action of this step, who wanted it, and what the agent wanted where that was not the agent."""
        self._write_inputs()
        wanted = self.hands.action()
        if self.agent_plays and self.hands.take_acted():
            self._hand_over(to_agent=False)
        proposed = None
        if self.copilot is not None and (self.agent_plays or not is_late):
            proposed = self.copilot.act(frame, self.words.instruction, self.executed)
        if self.agent_plays and proposed is not None:
            self.hands.forget()
            return proposed, AGENT, None
        return wanted, NOBODY if self.hands.is_idle else HUMAN, proposed

    def _write_inputs(self) -> None:
        for raw in self.hands.take_inputs():
            self.recorder.event("input", device=raw.device, code=raw.code, value=raw.value)

    def _hand_over(self, *, to_agent: bool) -> None:
        """Let the other one play; what is held counts from now on."""
        self.agent_plays = to_agent
        self.recorder.event("control", owner=AGENT if to_agent else HUMAN)
        self._tell("the agent plays" if to_agent else "you play")
        if to_agent:
            self.hands.forget()

    def _throw_away(self) -> None:
        """Throw an episode away and play its world again, at the second press."""
        if self.clock.now() >= self.discards_until:
            self._tell("Backspace again throws this episode away")
            self.discards_until = self.banner_until
            return
        self.discards_until = 0.0
        if self.recorder.discard() == "last":
            self.worlds = chain((self.world,), self.worlds)
            self.world = self.saved_world
        self._begin()

    # --- events ---

    def _handle(self, event: Any) -> None:
        if self.pads.handle(event, is_playing=self.box is None and not self.paused):
            return
        if event.type == pygame.QUIT:
            self.running = False
        elif event.type == pygame.WINDOWFOCUSLOST and self.has_focus:
            self._lose_focus()
        elif event.type == pygame.WINDOWFOCUSGAINED and not self.has_focus:
            self.has_focus = True
            self.recorder.event("focus_gained")
        elif event.type == pygame.KEYUP:
            self.hands.lift("keyboard", place_of(event))
        elif event.type == pygame.MOUSEBUTTONUP:
            self.hands.lift("mouse", event.button)
        if self.box is not None:
            self._type(self.box, event)
        elif event.type == pygame.KEYDOWN:
            self._press(event)
        elif event.type == pygame.MOUSEBUTTONDOWN and self.paused:
            self._resume()
        elif event.type == pygame.MOUSEBUTTONDOWN:
            self._click(event.button)
        elif event.type == pygame.MOUSEMOTION and not self.paused and not self.countdown:
            self.hands.look(*event.rel)
        elif event.type == pygame.MOUSEWHEEL and not self.paused:
            self.hands.wheel(event.y)

    def _press(self, event: Any) -> None:
        name = name_of(event)
        self.help = name == "f1" and not self.help
        self.hands.press("keyboard", place_of(event), name)
        if name == "t" and not self.paused:
            self._open_box(event.key)
        elif (digit := name.removeprefix("keypad ")) in self.bindings.tags and (
            name not in self.bindings.targets or getattr(event, "mod", 0) & pygame.KMOD_ALT
        ):
            if not self.waits:
                self.words.tag(self.bindings.tags[digit])
        else:
            self._window_key(name)

    def _window_key(self, name: str) -> None:
        """A key of the window's own, or the gamepad's button for it."""
        if name == "escape":
            self.running = False
        elif name in ENTER and self.paused:
            self._resume()
        elif name in ENTER and self.countdown:
            self.starts_at = self.clock.now()
        elif self.paused or self.box is not None:
            return
        elif name in (*ENTER, "f2"):
            self._end(self.reached or None)
            if name == "f2" and not self.recorder.status.finished:
                self._begin()
            else:
                self._next_world()
        elif name == "backspace":
            self._throw_away()
        elif name == "tab" and self.copilot is not None:
            self._hand_over(to_agent=not self.agent_plays)

    def _click(self, button: int) -> None:
        if button in MOUSE_BUTTONS:
            self.hands.press("mouse", button, MOUSE_BUTTONS[button])

    def _open_box(self, key: int) -> None:
        self.box = TextBox(key)
        self._write_inputs()
        self.hands.mute()
        self.recorder.event("typing_began")
        self._grab(False)
        pygame.key.start_text_input()
        width, height = self.screen.surface.get_size()
        pygame.key.set_text_input_rect(pygame.Rect(16, height - 40, width - 32, 24))

    def _type(self, box: TextBox, event: Any) -> None:
        """Handle an event of the text box; keys that write nothing and buttons are held as in the game."""
        if event.type == pygame.MOUSEBUTTONDOWN:
            self._click(event.button)
        elif event.type == pygame.KEYDOWN and event.key in MODIFIERS:
            self.hands.press("keyboard", place_of(event), name_of(event))
        outcome = box.handle(event)
        if outcome is Outcome.ACCEPTED:
            try:
                self._accept(box)
            except TypedLineError as error:
                box.problem = str(error)
                return
        if outcome is not Outcome.OPEN:
            self.recorder.event("typing_ended", accepted=outcome is Outcome.ACCEPTED)
            self.box = None
            self.hands.unmute()
            self._grab(not self.paused)

    def _accept(self, box: TextBox) -> None:
        """Record a typed line; raises `TypedLineError` where it means nothing."""
        match parse_line(box.text, self.words.lines, has_chat=self.has_chat):
            case Say(text=text):
                self.hands.words = text
            case Fix() as fix:
                self.words.fix(fix)
            case Write() as write:
                self.words.write(write, back_seconds=box.back_seconds, t0_ns=box.opened_ns)

    def _check_focus(self) -> None:
        if not pygame.key.get_focused():
            self._lose_focus()  # the system never gave it

    def _lose_focus(self) -> None:
        self.has_focus = False
        self.hands.release()
        self._write_inputs()
        self.recorder.event("focus_lost")
        if self.box is None:  # else the game waits already
            self._pause()

    def _pause(self) -> None:
        self.paused = True
        self.hands.mute()
        self._grab(False)

    def _resume(self) -> None:
        self.paused = False
        self.hands.unmute()
        self.hands.touch()
        self._grab(True)

    def _grab(self, on: bool) -> None:
        """Give the keys and, where it turns a camera, the mouse to the game; or give both back."""
        has_look = MOUSE in self.bindings.targets
        pygame.event.set_grab(on and has_look)
        pygame.mouse.set_visible(not (on and has_look))
        if on:
            pygame.key.stop_text_input()
            pygame.event.clear(pygame.MOUSEMOTION)  # the way to where the pointer is put

    # --- drawing ---

    def _tell(self, text: str) -> None:
        self.banner, self.banner_until = text, self.clock.now() + BANNER_SECONDS

    def _draw(self, now: float) -> None:
        if self.box is not None:
            self.box.tick()
        self.screen.draw(self._shown(now))
        pygame.display.flip()

    def _shown(self, now: float) -> Shown:
        word, rate = self._state(), self.pace.rate
        share = None if self.waits or self.is_saving else self.pace.share(now)
        progress = self.info.get("progress")
        banner = self.banner if now < self.banner_until else ""
        return Shown(
            picture=self.pictures.at(now, share, self.observation["frame"]),
            instruction=self.words.instruction,
            light=self.light.update(self.recorder.status, now, rate, word=word),
            player=self._player(),
            progress=progress if isinstance(progress, float) else None,
            banner="paused: click or Enter goes on" if self.paused else banner,
            countdown=0 if self.paused else self.countdown,
            tags=self.bindings.tag_keys,
            written=self.words.lines,
            help=self._help() if self.help else (),
            box=self.box,
            notes=(*self.env.game.hints, *self.pads.notes) if self.help else (),
        )

    def _help(self) -> tuple[tuple[str, str], ...]:
        return help_rows(self.env.game, self.bindings, has_pad=bool(self.pads.names))

    def _state(self) -> str:
        if self.is_saving:
            return "saving"
        if self.box is not None:
            return "writing"
        if self.paused:
            return "paused"
        if self.countdown:
            return "get ready"
        if self.recorder.status.free_bytes is None:
            return "not recorded"
        return "idle" if self.hands.is_idle and not self.agent_plays else "REC"

    def _player(self) -> str:
        if self.copilot is None:
            return ""
        return "agent plays, any key: you" if self.agent_plays else "you play, Tab: agent"
