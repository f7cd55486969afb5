"""Observation: what an agent is told beside its picture, as the JSON of MineRL 0.4.4's or 1.0's Minecraft."""

from __future__ import annotations

import json
import math
from typing import Any

from bridges.malmo.inventory import HOTBAR, Inventory, Stack
from bridges.malmo.mission import Agent, Mission
from games.voxel.player import Player
from games.voxel.world import SEA

STATS = {
    "is_alive": True,
    "life": 20.0,
    "score": 0,
    "food": 20,
    "saturation": 5.0,
    "xp": 0,
    "air": 300,
    "sea_level": SEA,
}
"""A player of the block world never hungers, drowns or dies."""
EQUIPMENT = ("offhand", "feet", "legs", "chest", "head")
"""What a player could wear beside the stack in the main hand; nothing here."""


def information(
    mission: Mission,
    agent: Agent,
    player: Player,
    inventory: Inventory,
    target: tuple[float, float, float],
) -> dict[str, Any]:
    """What the mission lets the agent see; `target` is where the compass points, in blocks."""
    info: dict[str, Any] = {
        "xpos": player.x,
        "ypos": player.y,
        "zpos": player.z,
        "yaw": player.yaw_deg,
        "pitch": player.pitch_deg,
        "isGuiOpen": False,
    }
    if mission.version == 1:
        info["life_stats"] = STATS
    elif agent.sees_stats:
        info |= STATS
    if agent.sees_inventory:
        info |= _inventory(inventory)
    if agent.sees_equipment:
        info["equipped_items"] = _equipment(inventory.held, as_text=mission.version == 1)
    if agent.sees_compass:
        info |= _compass(player, inventory, target)
    return info


def distance(player: Player, target: tuple[float, float, float]) -> float:
    """Blocks from the player's feet to the compass' target."""
    return math.dist((player.x, player.y, player.z), target)


def compass_angle(player: Player, x: float, z: float) -> float:
    """Degrees in [-180, 180) by which the player would turn right to face (x, z)."""
    bearing = math.degrees(math.atan2(-(x - player.x), z - player.z))
    return (bearing - player.yaw_deg + 180) % 360 - 180


def _inventory(inventory: Inventory) -> dict[str, Any]:
    stacks = [
        {
            "type": stack.type,
            "metadata": stack.metadata,
            "quantity": stack.quantity,
            "index": i,
            "slot_id": i,
            "inventory": "inventory",
        }
        for i, stack in enumerate(inventory.slots)
    ]
    return {
        "inventory": stacks,
        "inventories_available": [{"name": "inventory", "size": len(stacks)}],
        "current_item_index": inventory.selected,
    }


def _equipment(held: Stack, as_text: bool) -> dict[str, Any]:
    """The stack in the hand: an object, or the text of one for MineRL 1.0."""
    hand: dict[str, Any] = {}
    if held.quantity:
        hand = {
            "type": held.type,
            "metadata": held.metadata,
            "quantity": held.quantity,
            "currentDamage": -1,
            "maxDamage": -1,
        }
    worn: dict[str, dict[str, Any]] = {"mainhand": hand, **{name: {} for name in EQUIPMENT}}
    return {name: json.dumps(item) for name, item in worn.items()} if as_text else worn


def _compass(
    player: Player, inventory: Inventory, target: tuple[float, float, float]
) -> dict[str, Any]:
    hotbar = [stack.type == "compass" for stack in inventory.slots[:HOTBAR]]
    held = inventory.held.type == "compass"
    return {
        "compassAngle": compass_angle(player, target[0], target[2]),
        "hasCompass": inventory.count("compass") > 0,
        "hasHotbarCompass": any(hotbar),
        "hasActiveCompass": held,
        "hasMainHandCompass": held,
        "hasOffHandCompass": False,
        "distanceToCompassTarget": distance(player, target),
    }
