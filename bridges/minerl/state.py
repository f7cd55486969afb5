"""Text state: what MineRL reports beside the picture, as numbers, as JSON for the wire, and as a line of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

_LIFE = {"life": "health", "food": "food", "air": "air"}
"""Numbers of `life_stats` that a player sees on the screen, and their names."""
_PLACE = ("xpos", "ypos", "zpos")
_MAX_CHAT = 500
"""Most characters of chat that are passed on."""


def inventory(observation: Mapping[str, Any]) -> dict[str, int]:
    """The items that the player carries, with their number."""
    items = observation.get("inventory", {})
    return {name: count for name, value in items.items() if (count := int(value)) and name != "air"}


def as_state(observation: Mapping[str, Any], monitors: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON `state` of a picture, by the names that live Minecraft has too, as far as the task reports it.

    `monitors` is the `info` of MineRL's step: 1.0 says there where the player is and whether a screen is open.
    Angles are degrees, positions blocks.
    """
    return dict(_facts(observation, {**observation, **monitors}))


def _facts(
    observation: Mapping[str, Any], reported: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    life, place = reported.get("life_stats", {}), reported.get("location_stats", {})
    yield from ((name, _number(life[key])) for key, name in _LIFE.items() if key in life)
    if all(axis in place for axis in _PLACE):
        yield "position", [_number(place[axis]) for axis in _PLACE]
    yield from ((angle, _number(place[angle])) for angle in ("yaw", "pitch") if angle in place)
    if "equipped_items" in observation:
        yield "held", _held(observation)
    if "inventory" in observation:
        yield "inventory", inventory(observation)
    if "angle" in (compass := reported.get("compass", {})):
        yield "compass", _number(compass["angle"])
    if chat := reported.get("chat"):
        yield "chat", [str(chat)[:_MAX_CHAT]]
    if "isGuiOpen" in reported:
        yield "isGuiOpen", bool(reported["isGuiOpen"])


def _number(value: Any) -> float:
    """A number of NumPy's as JSON has it; 0 where it is none that JSON has."""
    number = round(float(np.asarray(value).item()), 2)
    return number if math.isfinite(number) else 0.0


def _held(observation: Mapping[str, Any]) -> str | None:
    """The item in the hand."""
    hand = str(observation.get("equipped_items", {}).get("mainhand", {}).get("type", "none"))
    return None if hand in ("none", "air") else hand


def as_text(observation: Mapping[str, Any]) -> str:
    """Inventory, item in hand, health, compass and chat, as far as the task reports them: "carries 3 log; ..."."""
    return "; ".join(_phrases(observation))


def _phrases(observation: Mapping[str, Any]) -> Iterator[str]:
    if "inventory" in observation:
        items = (f"{count} {name}" for name, count in inventory(observation).items())
        yield f"carries {', '.join(items) or 'nothing'}"
    if hand := _held(observation):
        yield f"holds {hand}"
    life = observation.get("life_stats", {})
    yield from (f"{name} {float(life[key]):g}" for key, name in _LIFE.items() if key in life)
    if "angle" in (compass := observation.get("compass", {})):
        yield f"compass {float(np.asarray(compass['angle']).item()):.0f}°"
    if chat := observation.get("chat"):
        yield f"chat: {str(chat)[:_MAX_CHAT]}"
