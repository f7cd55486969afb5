"""Stand-in for Minecraft: a scripted player among pillars, with Minecraft's spec and a session of any length.

For measuring what an hour of recorded play costs, where there is no Minecraft: the screen has its size and rate and
follows the actions, but it is a drawing of ours. The player turns to a pillar, walks up to it, and chops it down where
it is red, or builds on it where it is blue; then there is another. Now and then it looks into its inventory.

    iafm record agent_core.bench.minecraft_session:GAME --expert --tasks minute --episodes 4 --out data/session
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from gymnasium import spaces

from games import Action, Frame, Game, GameSpec, Observation
from games.env import action_space, observation_space
from games.minecraft import SPEC

TASKS = {"hour": 72_000, "five_minutes": 6_000, "minute": 1_200, "seconds": 100}
"""Steps of an episode by task."""
INSTRUCTION = "chop the red pillars and build on the blue ones"
HEIGHT, WIDTH = SPEC.frame.height, SPEC.frame.width
VIEW_DEG = 70.0
"""Horizontal angle of view."""
PIXELS_PER_DEG = WIDTH / VIEW_DEG
REACH = 2.0
"""Distance in blocks at which a pillar can be worked on."""
WORK = 20
"""Steps of work until it is done."""
MENU_STEPS = 30
COLOURS = {"attack": (200, 40, 40), "use": (40, 60, 200)}
_SKY, _GROUND, _MENU = (130, 180, 235), (90, 140, 70), (70, 70, 70)


@dataclass
class Pillar:
    """What the player goes for: degrees to the right and down from the middle of the view, and blocks away."""

    right: float
    down: float
    away: float
    control: str
    slot: int
    """The slot that it is worked on with, from 1; as many stripes are on the pillar."""
    work: int = 0


class MinecraftSession:
    """The game; an `Env`."""

    game: GameSpec = SPEC
    observation_space: spaces.Space[Any] = observation_space(SPEC)
    action_space: spaces.Space[Any] = action_space(SPEC)

    def __init__(self) -> None:
        self.rng = np.random.default_rng()
        self.pillar = self._new_pillar()
        self.slot, self.menu, self.done = 1, False, 0
        self.task, self.steps = "minute", 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self.rng = np.random.default_rng(seed)
        self.pillar = self._new_pillar()
        self.slot, self.menu, self.done, self.steps = 1, False, 0, 0
        self.task = (options or {}).get("task") or "minute"
        return self._observation(), {"task": self.task, "success": False}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        before = self.done
        self._select(action)
        if not self.menu:
            self._move(action)
        info: dict[str, Any] = {"task": self.task, "success": self.done > 0}
        has_ended = self.steps >= TASKS[self.task]
        return self._observation(), float(self.done - before), False, has_ended, info

    def close(self) -> None:
        """Nothing is open."""

    def _select(self, action: Action) -> None:
        if action["inventory"]:
            self.menu = not self.menu
        elif action["ESC"]:
            self.menu = False
        for slot in range(1, 10):
            if action[f"hotbar.{slot}"]:
                self.slot = slot

    def _move(self, action: Action) -> None:
        pillar, (pitch, yaw) = self.pillar, action["camera"]
        pillar.right = (pillar.right - yaw + 180) % 360 - 180
        pillar.down = float(np.clip(pillar.down - pitch, -60, 60))
        pace = 0.3 if action["sprint"] else 0.2
        if abs(pillar.right) < 30:
            pillar.away = max(1.0, pillar.away - pace * (action["forward"] - action["back"]))
        works = action[pillar.control] and self.slot == pillar.slot
        if works and pillar.away <= REACH and abs(pillar.right) < 10:
            pillar.work += 1
        if pillar.work >= WORK:
            self.done, self.pillar = self.done + 1, self._new_pillar()

    def _new_pillar(self) -> Pillar:
        return Pillar(
            right=float(self.rng.uniform(-120, 120)),
            down=float(self.rng.uniform(-15, 15)),
            away=float(self.rng.uniform(4, 12)),
            control=("attack", "use")[int(self.rng.integers(2))],
            slot=int(self.rng.integers(1, 4)),
        )

    def _observation(self) -> Observation:
        return {"frame": self._picture(), "instruction": INSTRUCTION}

    def _picture(self) -> Frame:
        """Sky, ground and pillar as far as they are in view, the hotbar, and the inventory where it is open."""
        picture = np.empty(SPEC.frame.shape, np.uint8)
        horizon = int(np.clip(HEIGHT / 2 + self.pillar.down * PIXELS_PER_DEG, 0, HEIGHT))
        _fill(picture, (0, 0), (WIDTH, horizon), _SKY)
        _fill(picture, (0, horizon), (WIDTH, HEIGHT), _GROUND)
        self._draw_pillar(picture, horizon)
        if self.menu:
            _fill(picture, (140, 80), (500, 280), _MENU)
        for slot in range(1, 10):
            left = 140 + 40 * (slot - 1)
            shade = 255 if slot == self.slot else 100
            cv2.rectangle(picture, (left, 320), (left + 34, 354), (shade,) * 3, 3)
        return picture

    def _draw_pillar(self, picture: Frame, horizon: int) -> None:
        pillar = self.pillar
        centre = WIDTH / 2 + pillar.right * PIXELS_PER_DEG
        half, tall = 160 / pillar.away, 480 / pillar.away * (1 - 0.5 * pillar.work / WORK)
        left, right = int(max(0, centre - half)), int(min(WIDTH, centre + half))
        top, bottom = int(max(0, horizon - tall / 2)), int(min(HEIGHT, horizon + tall / 2))
        if left < right and top < bottom:
            _fill(picture, (left, top), (right, bottom), COLOURS[pillar.control])
            for stripe in range(pillar.slot):
                at = top + (stripe + 1) * (bottom - top) // (pillar.slot + 1)
                picture[at : at + max(1, int(half / 8)), left:right] = 255


def _fill(
    picture: Frame, first: tuple[int, int], end: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    """Fill columns and rows from `first` up to `end`; NumPy takes ten times as long for three bytes a pixel."""
    if first[0] < end[0] and first[1] < end[1]:
        cv2.rectangle(picture, first, (end[0] - 1, end[1] - 1), colour, cv2.FILLED)


class Player:
    """The scripted player: it turns, walks, takes the tool, works, and looks into its inventory every 20 seconds."""

    def __init__(self, env: MinecraftSession) -> None:
        self._env = env
        self._rng = np.random.default_rng(env.rng.integers(1 << 30))
        self._menu_left = 0

    def __call__(self) -> tuple[Action, str]:
        """The next action, and the thought behind it."""
        action, thought = self._decide()
        return {**SPEC.null_action(), **action}, thought

    def _decide(self) -> tuple[Action, str]:
        env = self._env
        if env.menu:
            return self._in_menu()
        if env.steps and env.steps % 400 == 0:
            self._menu_left = MENU_STEPS
            return {"inventory": 1}, "I look into my inventory"
        pillar = env.pillar
        turn = (round(np.clip(pillar.down, -20, 20)), round(np.clip(pillar.right, -30, 30)))
        action: Action = {"camera": (float(turn[0]), float(turn[1]))}
        if pillar.away > REACH:
            action |= {"forward": int(abs(pillar.right) < 30), "sprint": int(pillar.away > 6)}
            action["jump"] = int(self._rng.random() < 0.05)
            return action, "I go to the pillar"
        if env.slot != pillar.slot:
            return {**action, f"hotbar.{pillar.slot}": 1}, "I take the right tool"
        return {**action, pillar.control: 1}, f"I {pillar.control} the pillar"

    def _in_menu(self) -> tuple[Action, str]:
        self._menu_left -= 1
        if self._menu_left <= 0:
            return {"ESC": 1}, "I close it"
        pointer = self._rng.integers(-8, 9, 2)
        return {"camera": (float(pointer[0]), float(pointer[1]))}, "I look into my inventory"


GAME = Game(spec=SPEC, make=MinecraftSession, tasks=tuple(TASKS), make_expert=Player)
