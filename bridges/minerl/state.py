"""Text state: what MineRL reports beside the picture, as numbers and as a line of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

_LIFE = {"life": "health", "food": "food", "air": "air"}
"""Numbers of `life_stats` that a player sees on the screen, and their names."""
_MAX_CHAT = 500
"""Most characters of chat that are passed on."""


def inventory(observation: Mapping[str, Any]) -> dict[str, int]:
    """The items that the player carries, with their number."""
    items = observation.get("inventory", {})
    return {name: count for name, value in items.items() if (count := int(value)) and name != "air"}


def as_text(observation: Mapping[str, Any]) -> str:
    """Inventory, item in hand, health, compass and chat, as far as the task reports them: "carries 3 log; ..."."""
    return "; ".join(_phrases(observation))


def _phrases(observation: Mapping[str, Any]) -> Iterator[str]:
    if "inventory" in observation:
        items = (f"{count} {name}" for name, count in inventory(observation).items())
        yield f"carries {', '.join(items) or 'nothing'}"
    hand = str(observation.get("equipped_items", {}).get("mainhand", {}).get("type", "none"))
    if hand not in ("none", "air"):
        yield f"holds {hand}"
    life = observation.get("life_stats", {})
    yield from (f"{name} {float(life[key]):g}" for key, name in _LIFE.items() if key in life)
    if "angle" in (compass := observation.get("compass", {})):
        yield f"compass {float(np.asarray(compass['angle']).item()):.0f}°"
    if chat := observation.get("chat"):
        yield f"chat: {str(chat)[:_MAX_CHAT]}"
