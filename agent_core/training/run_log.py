"""Run log: numbers by step as lines of JSON, as TensorBoard events and as one plot of curves."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from recorder.format.atomic import write_atomic

LOG, PLOT = "log.jsonl", "curves.png"
PANELS = ("action_nats_per_token", "language", "mae", "exact_match", "change_accuracy", "lr")
"""Figures that are drawn."""
GROUNDING = ("exact_match_swapped", "exact_match_no_words")
"""Figures of a validation that are drawn beside the exact match; null where all instructions are the same."""


class RunLog:
    """Appends numbers by step to `log.jsonl` and to TensorBoard; rows after `step` are dropped on resume."""

    def __init__(self, run_dir: Path, step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._path = run_dir / LOG
        rows = [row for row in read_log(run_dir) if row["step"] <= step]
        write_atomic(self._path, "".join(json.dumps(row) + "\n" for row in rows))
        _silence_writing_threads()
        self._events = SummaryWriter(str(run_dir / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._events.close()

    def write(self, step: int, split: str, numbers: Mapping[str, float | None]) -> None:
        """One row; `split` is "train" or "validation". None, of what could not be measured, is null."""
        known = {name: value for name, value in numbers.items() if value is not None}
        rounded = {name: round(value, 6) for name, value in known.items()}
        row = {"step": step, "split": split, **numbers, **rounded}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in known.items():
            self._events.add_scalar(f"{split}/{name}", value, step)


def _silence_writing_threads() -> None:
    """TensorBoard's next write raises the error of its thread; keep the thread from printing it too."""
    previous = threading.excepthook
    if previous.__module__ == __name__:
        return

    def hook(args: threading.ExceptHookArgs) -> None:
        is_tensorboard = type(args.thread).__module__.startswith("tensorboard.")
        if not (is_tensorboard and issubclass(args.exc_type, OSError)):
            previous(args)

    threading.excepthook = hook


def read_log(run_dir: Path) -> list[dict[str, Any]]:
    """The rows written so far; a torn last line is left out."""
    path = run_dir / LOG
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines if line.endswith("}")]


def draw_curves(run_dir: Path) -> None:
    """Write `curves.png`: training and validation curves by step."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_log(run_dir)
    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(2, 3).flat, PANELS, strict=True):
        drawn = (name, *GROUNDING) if name == "exact_match" else (name,)
        for split in ("train", "validation"):
            of_split = [row for row in rows if row["split"] == split]
            curves = dict.fromkeys(n for row in of_split for n in row if n.split("/")[0] in drawn)
            for curve in curves:  # "exact_match", and by game "exact_match/voxel"
                points = [(r["step"], r[curve]) for r in of_split if r.get(curve) is not None]
                if not points:
                    continue
                axes.plot(*zip(*points, strict=True), label=curve.replace(name, split, 1))
                axes.legend()
        axes.set_title(name)
        axes.set_xlabel("step")
    figure.savefig(run_dir / PLOT, dpi=80)
