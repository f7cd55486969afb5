"""How did a run go? Its log as lines of JSON, as TensorBoard events and as one picture."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from recorder.format.atomic import write_atomic

LOG, PICTURE = "log.jsonl", "curves.png"


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

    def write(self, step: int, part: str, numbers: dict[str, float]) -> None:
        """One row; `part` is "train" or "validation"."""
        row = {"step": step, "part": part, **{k: round(v, 6) for k, v in numbers.items()}}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in numbers.items():
            self._events.add_scalar(f"{part}/{name}", value, step)


def _silence_writing_threads() -> None:
    """TensorBoard's next write raises what its thread met; that the thread prints it too is a traceback too many."""
    told = threading.excepthook
    if told.__module__ == __name__:
        return

    def tell(met: threading.ExceptHookArgs) -> None:
        ours = type(met.thread).__module__.startswith("tensorboard.")
        if not (ours and issubclass(met.exc_type, OSError)):
            told(met)

    threading.excepthook = tell


def read_log(run_dir: Path) -> list[dict[str, Any]]:
    """The rows written so far; a torn last line is left out."""
    path = run_dir / LOG
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines if line.endswith("}")]


def draw_curves(run_dir: Path) -> None:
    """Write `curves.png`: each number by step, training and validation together."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_log(run_dir)
    names = ["action", "language", "mae", "exact_match", "change_accuracy", "lr"]
    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(2, 3).flat, names, strict=True):
        for part in ("train", "validation"):
            of_part = [row for row in rows if row["part"] == part]
            curves = dict.fromkeys(n for row in of_part for n in row if n.split("/")[0] == name)
            for curve in curves:  # "action", and by game "action/voxel"
                points = [(row["step"], row[curve]) for row in of_part if curve in row]
                axes.plot(*zip(*points, strict=True), label=curve.replace(name, part, 1))
                axes.legend()
        axes.set_title(name)
        axes.set_xlabel("step")
    figure.savefig(run_dir / PICTURE, dpi=80)
