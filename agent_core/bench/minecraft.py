"""Benchmark of a live Minecraft player: its pictures, physics and actions a second on the embedded server."""

from __future__ import annotations

from typing import Any

from bridges.minecraft.packages import Requirements
from bridges.minecraft.process import PlayerOptions, PlayerProcess
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from games import GameSpec

TASK = "chop_tree"


def bench_minecraft(spec: GameSpec, seconds: float, needed: Requirements) -> dict[str, Any]:
    """Random actions over the wire for so many seconds; raises `MinecraftError` where the player fails."""
    with background_server(RandomPolicy()) as server:
        options = PlayerOptions(spec, url=server.url, tasks=(TASK,), seconds=seconds)
        with PlayerProcess(options, needed) as player:
            done = next(event for event in player.events() if event["event"] == "done")
    played_s = done["seconds"]
    return {
        "frames_per_s": round(done["frames"] / played_s, 2),
        "ticks_per_s": round(done["ticks"] / played_s, 2),
        "actions_per_s": round(done["answers"] / played_s, 2),
        "disconnects": done["disconnects"],
        "seconds": round(played_s, 1),
    }
