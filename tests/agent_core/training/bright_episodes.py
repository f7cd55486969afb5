"""Episodes where the picture's brightness says what to do, and the settings of short runs on them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from agent_core.config import (
    DataConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
)
from agent_core.training.run_log import read_log
from games.voxel.spec import SPEC

MODEL = ModelConfig(
    width=32, layers=1, heads=2, stem_widths=(8, 8, 16), context_frames=3, text_vocab_size=300
)


class FakeEpisode:
    """Ten steps: a bright picture means attack, a dark one means turn."""

    spec = SPEC

    def __init__(self, seed: int, steps: int = 10) -> None:
        random = np.random.default_rng(seed)
        bright = random.random(steps) < 0.5
        self.pictures = np.where(bright[:, None, None, None], 200, 30).astype(np.uint8)
        self.pictures = np.broadcast_to(self.pictures, (steps, 72, 128, 3)).copy()
        self.actions = [
            {**SPEC.null_action(), **({"attack": 1} if b else {"camera": (0.0, 9.0)})}
            for b in bright
        ]
        self.executed = self.actions
        self.thoughts = ["it is bright" if b else "it is dark" for b in bright]
        self.captions = [""] * steps
        self.instructions = ["hit what is bright"] * steps
        self.by, self.observed = ["expert"] * steps, [True] * steps
        self.dropped_before: dict[int, int] = {}
        self.header = SimpleNamespace(
            instruction="hit what is bright", task="hit", seed=seed, success=True
        )

    def __len__(self) -> int:
        return len(self.actions)


SPLITS = {"train": [FakeEpisode(k) for k in range(4)], "validation": [FakeEpisode(9)]}
FRAMES = np.concatenate([e.pictures for split in SPLITS.values() for e in split])


def config(steps: int, **changes: object) -> RunConfig:
    settings: dict[str, object] = {
        "batch": 4,
        "lr": 3e-3,
        "warmup_steps": 1,
        "validation_windows": 4,
        "log_every": 1,
        "validate_every_s": 1e9,  # no clock decides when a run validates or saves
        "save_every_s": 1e9,
        **changes,
    }
    return RunConfig(
        model=MODEL,
        data=DataConfig(window_frames=4),
        train=TrainConfig.model_validate(
            {"steps": steps, "minutes": 0, "device": "cpu", **settings}
        ),
    )


def totals(run_dir: Path) -> list[float]:
    return [float(row["total"]) for row in read_log(run_dir) if row["split"] == "train"]
