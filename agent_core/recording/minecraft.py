"""Recording of the scripted Minecraft player: episodes of a program, named as such, on the embedded server.

The program's process is a game of the role `record` like any other. Here are its server, which lasts as long, and what
its captures say of who played: not a person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridges.minecraft.packages import Requirements
from bridges.minecraft.process import PlayerOptions, PlayerProcess
from bridges.serving.no_policy import NoPolicy
from bridges.testing.background_server import background_server
from games import GameSpec
from recorder import Tap
from recorder.capture.live import LiveRecorder
from recorder.format.manifest import CaptureInfo

AUTHOR = "scripted-minecraft"
"""Of the captures: the name of the program that played."""
ACTOR = "expert"


class ProgramRecorder(LiveRecorder):
    """A capture whose steps are a program's."""

    def step(self, *args: Any, **kwargs: Any) -> int:
        return super().step(*args, **{**kwargs, "by": ACTOR})


def _capture(root: Path, spec: GameSpec, info: CaptureInfo) -> LiveRecorder:
    as_program = info.model_copy(update={"actor": ACTOR, "author": AUTHOR})
    return ProgramRecorder.create(root, spec, as_program, lossless=True)


@dataclass(frozen=True)
class ScriptedPlan:
    """What is recorded: `episodes` in worlds from `seed` on, the tasks in turn."""

    out_dir: Path
    spec: GameSpec
    episodes: int
    seed: int
    tasks: tuple[str, ...]


def record_scripted(
    plan: ScriptedPlan, needed: Requirements, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Record the scripted player; returns how many episodes were recorded and reached their goals.

    Raises `MinecraftError` where the player fails; the episodes recorded before stay.
    """
    episodes, successes, steps, dropped, seconds = 0, 0, 0, 0, 0.0
    with background_server(NoPolicy(), listeners=[Tap(plan.out_dir, _capture)]) as server:
        options = PlayerOptions(
            plan.spec, url=server.url, role="record", player="scripted",
            tasks=plan.tasks, episodes=plan.episodes, seed=plan.seed,
        )  # fmt: skip
        with PlayerProcess(options, needed) as player:
            for event in player.events():
                if event["event"] == "episode":
                    episodes += 1
                    successes += event["success"]
                    steps += event["recorded"]
                    dropped += event["lost"]
                    seconds += event["seconds"]
                    progress(episodes, plan.episodes)
    return {
        "episodes": episodes, "successes": successes, "steps": steps, "dropped": dropped,
        "steps_per_s": round(steps / seconds, 1) if seconds else None,
        "out": str(plan.out_dir),
    }  # fmt: skip
