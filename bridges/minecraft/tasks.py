"""Game and tasks of live players: the spec that they declare, and what the embedded server judges."""

from __future__ import annotations

from games import FrameSize, GameSpec
from games.minecraft import SPEC

TASKS = ("chop_tree", "walk_to_tower", "dig_down", "place_blocks")
"""Of the embedded server; `node/tasks.js` has their sentences and judges."""
SIZES = {"224x224": FrameSize(height=224, width=224), "640x360": FrameSize(height=360, width=640)}
"""Sizes of the pictures by name. The small one is the screen of the large one, stretched: models stretch it anyway."""


EXCLUSIVE = (
    ("forward", "back"),
    ("left", "right"),
    tuple(f"hotbar.{slot}" for slot in range(1, 10)),
)
"""Pressed together they do nothing that one of them does not: an action is shorter without, and fits small models."""


def live_spec(size: str = "224x224") -> GameSpec:
    """The Minecraft spec with pictures of a live player's size, one of `SIZES`.

    The controls are the contractors'. The screens of inventories and menus are not drawn, so `inventory`, `ESC` and
    `pickItem` do nothing.
    """
    return SPEC.model_copy(update={"frame": SIZES[size], "exclusive": EXCLUSIVE})
