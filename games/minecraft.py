"""Minecraft as in the paper and the VPT/BASALT contractor recordings: 23 buttons and a whole-degree camera."""

from __future__ import annotations

from games.controls import Button, Camera
from games.game import Game
from games.spec import FrameSize, GameSpec

_BUTTONS = (
    ("forward", "move.forward", "walk forward"),
    ("back", "move.back", "walk back"),
    ("left", "move.left", "step left"),
    ("right", "move.right", "step right"),
    ("jump", "jump", "jump"),
    ("sneak", "sneak", "sneak"),
    ("sprint", "sprint", "sprint"),
    ("attack", "attack.primary", "attack"),
    ("use", "use", "use"),
    ("drop", "drop", "drop the item"),
    ("inventory", "menu.inventory", "open the inventory"),
    ("ESC", "menu.close", "close the menu"),
    ("swapHands", "swap_hands", "swap hands"),
    ("pickItem", "pick_item", "pick the item"),
    *((f"hotbar.{i}", f"hotbar.{i}", f"select slot {i}") for i in range(1, 10)),
)

_DEGREES = tuple(float(degree) for degree in range(-49, 51))

SPEC = GameSpec(
    id="minecraft-v0",
    title="Minecraft (MineRL, VPT and BASALT recordings)",
    frame=FrameSize(height=360, width=640),
    step_hz=20,
    controls=(
        *(Button(name=name, meaning=meaning, label=label) for name, meaning, label in _BUTTONS),
        Camera(name="camera", meaning="look", pitch_bins=_DEGREES, yaw_bins=_DEGREES),
    ),
    hints=("A first-person block world.", "The bar at the bottom shows the nine hotbar slots."),
)

DEGREES_PER_PIXEL = 360 / 2400
"""Mouse dx, dy of the contractor recordings to degrees (OpenAI's VPT data description)."""

GAME = Game(spec=SPEC)

BASALT_INSTRUCTIONS = {
    "FindCave": "find a cave",
    "MakeWaterfall": "make a beautiful waterfall",
    "CreateVillageAnimalPen": "build an animal pen in the village",
    "CreatePlainsAnimalPen": "build an animal pen in the plains",
    "BuildVillageHouse": "build a house in the village's style",
}
"""Tasks of the MineRL BASALT competitions of 2021 and 2022 in words (minerl.readthedocs.io)."""
