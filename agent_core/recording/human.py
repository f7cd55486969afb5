"""Human recording: a person's play as episodes, one per world, with typed lines as corrections."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from agent_core.config import ModelConfig
from agent_core.tokens.instruction_room import sure_cut_warning
from games import Action, Frame
from games.voxel import SPEC, VoxelEnv
from games.voxel.window import play_human
from recorder import CaptureInfo, LiveRecorder

logger = logging.getLogger("iafm.record")


class HumanEpisodeRecorder:
    """The capture under way, written by a separate process; a new world closes it and opens the next."""

    def __init__(self, out: Path, author: str, env: VoxelEnv) -> None:
        self.out, self.author, self.env = out, author, env
        self.capture: LiveRecorder | None = None
        self.success = False
        self.episodes = self.steps = 0

    def begin(self, instruction: str) -> None:
        self.end()
        if line := sure_cut_warning(instruction, ModelConfig().max_text_tokens):
            logger.warning(line)
        seed = None if self.env.np_random_seed is None else int(self.env.np_random_seed)
        about = CaptureInfo(
            instruction=instruction, task=self.env.goal.task, seed=seed, actor="human", author=self.author,
            clock="wallclock",
        )  # fmt: skip
        self.capture = LiveRecorder.create(self.out, SPEC, about)

    def step(self, frame: Frame, action: Action, reward: float, info: dict[str, Any]) -> None:
        if self.capture is not None:
            self.capture.step(frame, action, reward=reward)
            self.steps += 1
            self.success = bool(info["success"])

    def text(self, line: str) -> None:
        if self.capture is not None:
            self.capture.text(
                style="correction", text=line, source="human_live", author=self.author
            )

    def end(self) -> None:
        if self.capture is not None:
            self.capture.close(success=self.success)
            self.episodes += 1
            self.capture = None


def record_human(out: Path, seed: int, author: str, max_steps: int | None = None) -> dict[str, Any]:
    """Open the game window and record until it is closed; Ctrl-C keeps everything too."""
    env = VoxelEnv()
    recorder = HumanEpisodeRecorder(out, author, env)
    try:
        play_human(
            env,
            on_reset=recorder.begin,
            on_step=recorder.step,
            on_text=recorder.text,
            seed=seed,
            max_steps=max_steps,
        )
    finally:
        recorder.end()
    return {"episodes": recorder.episodes, "steps": recorder.steps, "out": str(out)}
