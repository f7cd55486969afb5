"""Recording of the scripted Minecraft player: episodes of a program, named as such, on the embedded server.

The program's process is a game of the role `record` like any other. Here are its server, which lasts as long, and what
its captures say of who played: not a person. With a checkpoint the model plays, and the program says at each step what
would have been right (DAgger, Ross et al. 2011).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agent_core.recording.expert import SEED_LIMIT, NoiseInjector
from bridges.minecraft.packages import Requirements
from bridges.minecraft.process import PlayerOptions, PlayerProcess
from bridges.policy import Policy
from bridges.serving.no_policy import NoPolicy
from bridges.testing.background_server import background_server
from games import GameSpec
from recorder import CaptureError, Tap
from recorder.capture.live import LiveRecorder
from recorder.format.manifest import CaptureInfo

AUTHOR = "scripted-minecraft"
"""Of the captures: the name of the program that played, or that says what would have been right."""
ACTOR = "expert"


AGENT = "agent"
NOISE_PROB = 0.015


class ProgramRecorder(LiveRecorder):
    """A capture whose steps are a program's; where something else was done than it says, that was noise."""

    other = NoiseInjector.actor

    def step(self, *args: Any, **kwargs: Any) -> int:
        by = ACTOR if kwargs.get("executed") is None else self.other
        return super().step(*args, **{**kwargs, "by": by})


class RolloutRecorder(ProgramRecorder):
    """A capture of a model's play, whose labels are a program's."""

    other = AGENT


def _capture(is_rollout: bool, root: Path, spec: GameSpec, info: CaptureInfo) -> LiveRecorder:
    if is_rollout:
        who = {"actor": AGENT, "author": AUTHOR, "teacher": AUTHOR}
        return RolloutRecorder.create(root, spec, info.model_copy(update=who), lossless=True)
    who = {"actor": ACTOR, "author": AUTHOR}
    return ProgramRecorder.create(root, spec, info.model_copy(update=who), lossless=True)


@dataclass(frozen=True)
class ScriptedPlan:
    """What is recorded: `episodes` in worlds from `seed` on, the tasks in turn.

    `noise_prob` is the chance per step that something random is done for 3 to 10 steps. With `agent` it
    plays, and there is none: it makes mistakes of its own.
    """

    out_dir: Path
    spec: GameSpec
    episodes: int
    seed: int
    tasks: tuple[str, ...]
    noise_prob: float = NOISE_PROB
    agent: Policy | None = None


def record_scripted(
    plan: ScriptedPlan, needed: Requirements, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Record the scripted player; returns how many episodes were recorded and reached their goals.

    Raises `MinecraftError` where the player fails, the episodes recorded before stay, and `CaptureError` for seeds that
    are kept for evaluation.
    """
    if plan.seed + plan.episodes > SEED_LIMIT:
        raise CaptureError(f"seeds from {SEED_LIMIT} on are kept for evaluation; use smaller ones")
    episodes, successes, steps, dropped, seconds = 0, 0, 0, 0, 0.0
    with ExitStack() as stack:
        taps = [Tap(plan.out_dir, partial(_capture, plan.agent is not None))]
        server = stack.enter_context(background_server(NoPolicy(), listeners=taps))
        options = PlayerOptions(
            plan.spec, url=server.url, role="record", player="scripted", agent_url=_serve(plan, stack),
            tasks=plan.tasks, episodes=plan.episodes, seed=plan.seed, noise_prob=plan.noise_prob,
        )  # fmt: skip
        player = stack.enter_context(PlayerProcess(options, needed))
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


def _serve(plan: ScriptedPlan, stack: ExitStack) -> str | None:
    """Address of a server of the model that plays; None where the program does."""
    if plan.agent is None:
        return None
    return stack.enter_context(background_server(plan.agent)).url
