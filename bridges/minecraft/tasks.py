"""Game and tasks of live players: the spec that they declare, and what the embedded server judges."""

from __future__ import annotations

from games import FrameSize, GameSpec
from games.minecraft import SPEC

TASKS = ("chop_tree", "walk_to_tower", "dig_down", "place_blocks")
"""Of the embedded server; `node/tasks.js` has their sentences and judges."""
SIZES = {
    "128x72": FrameSize(height=72, width=128),
    "224x224": FrameSize(height=224, width=224),
    "640x360": FrameSize(height=360, width=640),
}
"""Sizes of the pictures by name: what `tiny` sees, what larger models see (the same screen, stretched to a square), and
the contractors'."""


EXCLUSIVE = (
    ("forward", "back"),
    ("left", "right"),
    ("sneak", "sprint"),
    ("attack", "use"),
    (
        *(f"hotbar.{slot}" for slot in range(1, 10)),
        *("drop", "swapHands", "inventory", "ESC", "pickItem"),
    ),
)
"""Pressed together they do nothing that one after the other does not: an action is shorter without, and has room in the
shipped checkpoint's sizes."""


def live_spec(size: str = "224x224") -> GameSpec:
    """The Minecraft spec with pictures of a live player's size, one of `SIZES`.

    The controls are the contractors'. The screens of inventories and menus are not drawn, so `inventory`, `ESC` and
    `pickItem` do nothing.
    """
    return SPEC.model_copy(update={"frame": SIZES[size], "exclusive": EXCLUSIVE})
