"""Game window for people (pygame): mouse look, keys, typed text; 20 steps a second."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from games.controls import Camera
from games.env import Frame
from games.spec import Action
from games.voxel.env import VoxelEnv
from games.voxel.spec import SPEC

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

DEGREES_PER_PIXEL = 0.15
HELP = (
    "mouse  look",
    "W A S D  walk",
    "space  jump    shift  sprint    ctrl  sneak",
    "left button  break, hit    right button  place a block",
    "T  say what you think or correct yourself",
    "enter  next world    R  this world again    esc  quit",
)
_BANNER_STEPS = 40

OnStep = Callable[[Frame, Action, float, dict[str, Any]], None]


@dataclass
class Hands:
    """Keys, buttons and mouse as one legal action per step.

    Mouse movement is rounded down to the camera's bins; the rest is carried into the next step, so that the
    recorded action is exactly the one executed and no movement is lost.
    """

    down: set[str] = field(default_factory=set)
    pitch_deg: float = 0.0
    yaw_deg: float = 0.0

    def look(self, dx: int, dy: int) -> None:
        """Add a mouse movement in pixels, right and down."""
        self.yaw_deg += dx * DEGREES_PER_PIXEL
        self.pitch_deg += dy * DEGREES_PER_PIXEL

    def action(self) -> Action:
        """The action of this step."""
        held = {name for name in self.down if not self._opposed(name)}
        camera = SPEC.by_name["camera"]
        assert isinstance(camera, Camera)
        pitch = max(
            (
                b
                for b in camera.pitch_bins
                if abs(b) <= abs(self.pitch_deg) and b * self.pitch_deg >= 0
            ),
            key=abs,
        )
        yaw = max(
            (b for b in camera.yaw_bins if abs(b) <= abs(self.yaw_deg) and b * self.yaw_deg >= 0),
            key=abs,
        )
        self.pitch_deg -= pitch
        self.yaw_deg -= yaw
        return SPEC.normalize({**dict.fromkeys(held, 1), "camera": (pitch, yaw)})

    def release(self) -> None:
        """Release all keys and forget the mouse movement."""
        self.down.clear()
        self.pitch_deg = self.yaw_deg = 0.0

    def _opposed(self, name: str) -> bool:
        return any(name in group and self.down.issuperset(group) for group in SPEC.exclusive)


def play_human(
    env: VoxelEnv,
    *,
    on_reset: Callable[[str], None],
    on_step: OnStep,
    on_text: Callable[[str], None],
    seed: int = 0,
    size: tuple[int, int] = (960, 540),
    max_steps: int | None = None,
) -> None:
    """Open the window and play worlds from `seed` on until Esc; the game is paused while a text is typed.

    `on_reset(instruction)` begins an episode, `on_step(frame, action, reward, info)` follows each step, where
    `frame` is what an agent would get; `on_text` gets a typed line.
    """
    import pygame

    pygame.display.init()
    pygame.font.init()
    try:
        _Window(env, on_reset, on_step, on_text, seed, size).run(max_steps)
    finally:
        pygame.quit()


class _Window:
    def __init__(
        self,
        env: VoxelEnv,
        on_reset: Callable[[str], None],
        on_step: OnStep,
        on_text: Callable[[str], None],
        seed: int,
        size: tuple[int, int],
    ) -> None:
        import pygame

        self.pygame = pygame
        self.env, self.seed = env, seed
        self.on_reset, self.on_step, self.on_text = on_reset, on_step, on_text
        self.screen = pygame.display.set_mode(size, pygame.RESIZABLE)
        pygame.display.set_caption("iafm – voxel")
        self.font = pygame.font.Font(None, 26)
        self.hands = Hands()
        self.typing: str | None = None
        self.opening = False
        self.help = True
        self.banner: tuple[str, int] = ("", 0)
        self.running = True
        self.keys = {
            pygame.K_w: "forward", pygame.K_s: "back", pygame.K_a: "left", pygame.K_d: "right",
            pygame.K_SPACE: "jump", pygame.K_LSHIFT: "sprint", pygame.K_LCTRL: "sneak",
        }  # fmt: skip
        self.buttons = {1: "attack", 3: "use"}

    def run(self, max_steps: int | None) -> None:
        clock = self.pygame.time.Clock()
        self._grab(True)
        self._start()
        steps = 0
        while self.running and (max_steps is None or steps < max_steps):
            for event in self.pygame.event.get():
                self._handle(event)
            if self.typing is None:
                self._step()
                steps += 1
            self._draw()
            clock.tick(SPEC.step_hz)

    def _start(self) -> None:
        self.observation, self.info = self.env.reset(seed=self.seed)
        self.hands.release()
        self.on_reset(self.observation["instruction"])

    def _step(self) -> None:
        frame, action = self.observation["frame"], self.hands.action()
        self.observation, reward, terminated, truncated, self.info = self.env.step(action)
        self.on_step(frame, action, reward, self.info)
        if terminated or truncated:
            word = "Reached!" if self.info["success"] else "Not this time."
            self.banner = (word, _BANNER_STEPS)
            self.seed += 1
            self._start()

    def _handle(self, event: Any) -> None:
        pygame = self.pygame
        if event.type == pygame.QUIT:
            self.running = False
        elif self.typing is not None:
            self._type(event)
        elif event.type == pygame.KEYDOWN:
            self.help = event.key == pygame.K_F1 and not self.help
            self._press(event.key)
        elif event.type == pygame.KEYUP:
            self.hands.down.discard(self.keys.get(event.key, ""))
        elif event.type == pygame.MOUSEMOTION:
            self.hands.look(*event.rel)
        elif (
            event.type in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP)
            and event.button in self.buttons
        ):
            change = (
                self.hands.down.add
                if event.type == pygame.MOUSEBUTTONDOWN
                else self.hands.down.discard
            )
            change(self.buttons[event.button])

    def _press(self, key: int) -> None:
        pygame = self.pygame
        if key in self.keys:
            self.hands.down.add(self.keys[key])
        elif key == pygame.K_ESCAPE:
            self.running = False
        elif key == pygame.K_t:
            self.typing, self.opening = "", True
            self.hands.release()
            self._grab(False)
        elif key in (pygame.K_RETURN, pygame.K_r):
            self.seed += key == pygame.K_RETURN
            self._start()

    def _type(self, event: Any) -> None:
        """Handle an event of the text box: Enter accepts the line, Esc drops it."""
        pygame = self.pygame
        assert self.typing is not None
        if event.type == pygame.TEXTINPUT and len(self.typing) < 200:
            opening = self.opening and event.text == "t"  # the key that opened the box
            self.typing += "" if opening else event.text
            self.opening = False
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_BACKSPACE:
            self.typing = self.typing[:-1]
        elif event.type == pygame.KEYDOWN and event.key in (pygame.K_RETURN, pygame.K_ESCAPE):
            line = self.typing.strip()
            if line and event.key == pygame.K_RETURN:
                self.on_text(line)
            self.typing = None
            self._grab(True)

    def _grab(self, on: bool) -> None:
        self.pygame.event.set_grab(on)
        self.pygame.mouse.set_visible(not on)

    def _draw(self) -> None:
        pygame = self.pygame
        frame = self.env.render_frame(216, 384).swapaxes(0, 1)  # pygame's surfaces are (W, H, 3)
        pygame.transform.smoothscale(
            pygame.surfarray.make_surface(frame), self.screen.get_size(), self.screen
        )
        width, height = self.screen.get_size()
        self._line(self.observation["instruction"] or "no instruction", 16, 14)
        bar = pygame.Rect(16, 42, 240, 8)
        pygame.draw.rect(self.screen, (20, 24, 22), bar)
        pygame.draw.rect(self.screen, (95, 191, 134), (16, 42, int(240 * self.info["progress"]), 8))
        self._line("F1 help", width - 90, 14)
        if self.banner[1]:
            self._line(self.banner[0], width // 2 - 40, height // 3)
            self.banner = (self.banner[0], self.banner[1] - 1)
        if self.help:
            for i, line in enumerate(HELP):
                self._line(line, 16, 70 + 26 * i)
        if self.typing is not None:
            self._line("> " + self.typing + "_", 16, height - 110)
        pygame.display.flip()

    def _line(self, text: str, x: int, y: int) -> None:
        shadow = self.font.render(text, True, (0, 0, 0))
        self.screen.blit(shadow, (x + 1, y + 1))
        self.screen.blit(self.font.render(text, True, (250, 250, 250)), (x, y))
