"""Game window for people (pygame): mouse look, keys, typed text; 20 steps a second."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, Protocol

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("SDL_IME_SHOW_UI", "1")  # the candidates of an input method
os.environ.setdefault("SDL_MOUSE_FOCUS_CLICKTHROUGH", "1")  # one click goes on

import pygame

from games.env import Frame
from games.spec import Action
from games.voxel.display import open_window
from games.voxel.env import VoxelEnv
from games.voxel.fonts import FONT_PACKAGES, FallbackFont
from games.voxel.hands import Hands
from games.voxel.recording_light import RecordingLight, RecordingStatus
from games.voxel.spec import SPEC
from games.voxel.text_box import Outcome, TextBox

HELP = (
    "mouse  look",
    "W A S D  walk",
    "space  jump    shift  sprint    ctrl  sneak",
    "left button  break, hit    right button  place a block",
    "T  say what you think or correct yourself",
    "enter  next world    R  this world again    esc  quit",
)
FONT_HELP = f"<U+…>  a character that no font has: install {FONT_PACKAGES}"
BY_NOBODY = "nobody"
"""Who acts where a person has not touched anything for long."""
KEYS = {
    pygame.K_w: "forward", pygame.K_s: "back", pygame.K_a: "left", pygame.K_d: "right",
    pygame.K_SPACE: "jump", pygame.K_LSHIFT: "sprint", pygame.K_RSHIFT: "sprint",
    pygame.K_LCTRL: "sneak", pygame.K_RCTRL: "sneak",
}  # fmt: skip
MODIFIERS = (pygame.K_LSHIFT, pygame.K_RSHIFT, pygame.K_LCTRL, pygame.K_RCTRL)
ENTER = (pygame.K_RETURN, pygame.K_KP_ENTER)
BUTTONS = {1: "attack", 3: "use"}
BUTTON_NAMES = {1: "left", 2: "middle", 3: "right", 6: "x1", 7: "x2"}
"""4 and 5 are the wheel once more."""
PLACES = {
    pygame.KSCAN_W: pygame.K_w, pygame.KSCAN_A: pygame.K_a, pygame.KSCAN_S: pygame.K_s,
    pygame.KSCAN_D: pygame.K_d, pygame.KSCAN_T: pygame.K_t, pygame.KSCAN_R: pygame.K_r,
}  # fmt: skip
"""Keys by their place, for keyboards that have other letters there."""
VIEW_SIZES: tuple[tuple[int, int], ...] = ((216, 384), (144, 256), (108, 192))
"""Height and width of the person's view before it is stretched to the window."""
SLOW = 0.95
"""Share of the game's rate below which the view gets smaller."""
_BANNER_FRAMES = 40

World = tuple[int, dict[str, Any]]
"""A seed and the options of the environment's `reset`."""


class PlayRecorder(Protocol):
    """Records what a person plays; the window shows its status."""

    @property
    def status(self) -> RecordingStatus: ...

    def begin(self, instruction: str, task: str, seed: int) -> None:
        """An episode begins."""

    def step(self, frame: Frame, action: Action, reward: float, by: str | None) -> None:
        """`frame` is what an agent would get; `by` is None for the person."""

    def text(self, line: str, t0_ns: int) -> None:
        """A line was typed; the box was opened at `t0_ns` of the monotonic clock."""

    def event(self, kind: str, **values: Any) -> None:
        """A raw input, or something that happened to the window, before the next step."""

    def end(self, success: bool | None) -> None:
        """The episode has ended; None: the person left it."""


def play_human(
    env: VoxelEnv,
    recorder: PlayRecorder,
    worlds: Iterator[World],
    *,
    size: tuple[int, int] = (960, 540),
    max_steps: int | None = None,
    headless: bool = False,
) -> None:
    """Open the window and play one world after another until Esc, or until the recorder is finished.

    The game is paused while a text is typed and while the window has no focus. `headless` opens a window that nobody
    sees, for tests. Raises `UnplayableError` where there is no display.
    """
    try:
        screen = open_window(size, "iafm – voxel", headless=headless)
        _Window(env, recorder, worlds, screen).run(max_steps, needs_focus=not headless)
    finally:
        pygame.quit()


class _Window:
    def __init__(
        self,
        env: VoxelEnv,
        recorder: PlayRecorder,
        worlds: Iterator[World],
        screen: pygame.Surface,
    ) -> None:
        self.env, self.recorder, self.worlds, self.screen = env, recorder, worlds, screen
        self.font = FallbackFont(18)
        self.light = RecordingLight(SPEC.step_hz)
        self.hands = Hands()
        self.box: TextBox | None = None
        self.has_focus, self.paused = True, False
        self.help = True
        self.view_sizes = VIEW_SIZES
        self.banner: tuple[str, int] = ("", 0)
        self.running = True

    def run(self, max_steps: int | None, *, needs_focus: bool) -> None:
        clock = pygame.time.Clock()
        self._grab(True)
        self._next_world()
        steps = 0
        while self.running and (max_steps is None or steps < max_steps):
            for event in pygame.event.get():
                if self.running:
                    self._handle(event)
            if self.running and self.box is None and not self.paused:
                self._step()
                steps += 1
                if steps == SPEC.step_hz and needs_focus and not pygame.key.get_focused():
                    self._lose_focus()  # the system never gave it
            self._draw()
            clock.tick(SPEC.step_hz)
        self.recorder.end(self._outcome())

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
        self.reached = False
        self.hands.restate()
        self.recorder.begin(self.observation["instruction"], self.info["task"], seed)
        self.light.pause()
        pygame.event.clear(pygame.MOUSEMOTION)  # of the time that this took

    def _outcome(self) -> bool | None:
        """Of an episode that the person leaves: reached, or not known."""
        return True if self.reached else None

    def _step(self) -> None:
        frame, action = self.observation["frame"], self.hands.action()
        by = BY_NOBODY if self.hands.is_idle else None
        self._write_inputs()
        self.observation, reward, terminated, truncated, self.info = self.env.step(action)
        self.reached |= bool(self.info["success"])
        self.recorder.step(frame, action, reward, by)
        self.light.step(time.monotonic())
        if terminated or truncated:
            self.banner = ("Reached!" if self.reached else "Not this time.", _BANNER_FRAMES)
            self.recorder.end(self.reached)
            self._next_world()
            if self.hands.is_idle:  # worlds without anybody are no use
                self._pause()

    def _write_inputs(self) -> None:
        for raw in self.hands.take_inputs():
            self.recorder.event("input", device=raw.device, code=raw.code, value=raw.value)

    def _handle(self, event: Any) -> None:
        if event.type == pygame.QUIT:
            self.running = False
        elif event.type == pygame.WINDOWFOCUSLOST and self.has_focus:
            self._lose_focus()
        elif event.type == pygame.WINDOWFOCUSGAINED and not self.has_focus:
            self.has_focus = True
            self.recorder.event("focus_gained")
        elif event.type == pygame.KEYUP:
            self.hands.lift("keyboard", _place(event))
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
        elif event.type == pygame.MOUSEMOTION and not self.paused:
            self.hands.look(*event.rel)
        elif event.type == pygame.MOUSEWHEEL:
            self.hands.wheel(event.y)

    def _press(self, event: Any) -> None:
        key = _key(event)
        self.help = key == pygame.K_F1 and not self.help
        self.hands.press("keyboard", _place(event), _name(event), KEYS.get(key, ""))
        if key == pygame.K_ESCAPE:
            self.running = False
        elif not self.paused and key == pygame.K_t:
            self._open_box(event.key)
        elif not self.paused and (key in ENTER or key == pygame.K_r):
            self.recorder.end(self._outcome())
            if key == pygame.K_r and not self.recorder.status.finished:
                self._begin()
            else:
                self._next_world()

    def _click(self, button: int) -> None:
        if button in BUTTON_NAMES:
            self.hands.press("mouse", button, BUTTON_NAMES[button], BUTTONS.get(button, ""))

    def _open_box(self, key: int) -> None:
        self.box = TextBox(key)
        self._write_inputs()
        self.hands.mute()
        self.recorder.event("typing_began")
        self._grab(False)
        self.light.pause()
        pygame.key.start_text_input()
        pygame.key.set_text_input_rect(pygame.Rect(16, self.screen.get_height() - 110, 600, 24))

    def _type(self, box: TextBox, event: Any) -> None:
        """Handle an event of the text box; keys that write nothing and buttons are held as in the game."""
        if event.type == pygame.MOUSEBUTTONDOWN:
            self._click(event.button)
        elif event.type == pygame.KEYDOWN and event.key in MODIFIERS:
            self.hands.press("keyboard", _place(event), _name(event), KEYS[event.key])
        outcome = box.handle(event)
        if outcome is Outcome.OPEN:
            return
        if outcome is Outcome.ACCEPTED:
            self.recorder.text(box.text.strip(), box.opened_ns)
        self.recorder.event("typing_ended", accepted=outcome is Outcome.ACCEPTED)
        self.box = None
        self.hands.unmute()
        self._grab(True)

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
        self.light.pause()
        self._grab(False)

    def _resume(self) -> None:
        self.paused = False
        self.hands.unmute()
        self.hands.touch()
        self._grab(True)

    def _grab(self, on: bool) -> None:
        """Give the mouse to the game, and keep the input method away from its keys; or give both back."""
        pygame.event.set_grab(on)
        pygame.mouse.set_visible(not on)
        if on:
            pygame.key.stop_text_input()
            pygame.event.clear(pygame.MOUSEMOTION)  # the way to where the pointer is put

    def _draw(self) -> None:
        frame = self.env.render_frame(*self._view_size()).swapaxes(0, 1)  # to (W, H, 3)
        pygame.transform.smoothscale(
            pygame.surfarray.make_surface(frame), self.screen.get_size(), self.screen
        )
        width, height = self.screen.get_size()
        self._line(self.observation["instruction"] or "no instruction", 16, 14)
        bar = pygame.Rect(16, 42, 240, 8)
        pygame.draw.rect(self.screen, (20, 24, 22), bar)
        pygame.draw.rect(self.screen, (95, 191, 134), (16, 42, int(240 * self.info["progress"]), 8))
        self._line("F1 help", width - 90, 14)
        self._draw_light(width)
        self._draw_banner(width, height)
        if self.help:
            lines = (*HELP, FONT_HELP) if self.font.lacks_glyphs else HELP
            for i, line in enumerate(lines):
                self._line(line, 16, 70 + 26 * i)
        if self.box is not None:
            self._draw_box(self.box, width, height)
        pygame.display.flip()

    def _view_size(self) -> tuple[int, int]:
        """Smaller once the game runs slower than it should: drawing is most of the work."""
        rate = self.light.rate
        if rate is not None and rate < SLOW * SPEC.step_hz and len(self.view_sizes) > 1:
            self.view_sizes = self.view_sizes[1:]
            self.light.pause()
        return self.view_sizes[0]

    def _draw_light(self, width: int) -> None:
        waits = self.paused or self.box is not None
        self.light.update(
            self.recorder.status, time.monotonic(), idle=self.hands.is_idle, paused=waits
        )
        self.light.draw(self.screen, self.font, width - 16, 40)

    def _draw_banner(self, width: int, height: int) -> None:
        text, frames = self.banner
        if self.paused:
            text = "paused: click to go on"
        elif frames:
            self.banner = (text, frames - 1)
        else:
            return
        self._line(text, (width - self.font.width(text)) // 2, height // 3)

    def _draw_box(self, box: TextBox, width: int, height: int) -> None:
        box.tick()
        end = f"[{box.composition}]_" if box.composition else "_"
        full = "   (full)" if box.is_full else ""
        line = self.font.tail(box.text + end + full, width - 60)
        self._line("> " + line, 16, height - 110)

    def _line(self, text: str, x: int, y: int) -> None:
        self.font.draw(self.screen, text, x, y)


def _key(event: Any) -> int:
    """A key by its letter; by its place where the keyboard's letter is none of the game's."""
    key = int(event.key)
    known = key in KEYS or key in PLACES.values()
    return key if known else PLACES.get(getattr(event, "scancode", 0), key)


def _place(event: Any) -> int:
    """A key's place on the keyboard, its letter's number where that is not known."""
    return int(getattr(event, "scancode", None) or -event.key)


def _name(event: Any) -> str:
    """A key's name in the recorded inputs."""
    return pygame.key.name(event.key) or f"key {event.key}"
