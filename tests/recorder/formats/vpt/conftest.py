"""Made recordings: a picture shows its number as blocks, a row its tick as hotbar keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from games import Action, Frame, FrameSize
from games.minecraft import SPEC
from recorder import Episode, ImportReport, import_vpt, open_episodes

BITS = 8
SIDE = 16
"""Height of a picture, and width of one of its blocks, in pixels."""
BEGIN_MILLI = 1_649_575_088_006
SMALL = SPEC.model_copy(update={"frame": FrameSize(height=SIDE, width=SIDE * BITS)})


def line(**values: Any) -> dict[str, Any]:
    """One row as a contractor's recorder writes it, at rest where no value is given."""
    mouse = {
        "x": 640.0, "y": 360.0, "dx": 0.0, "dy": 0.0, "scaledX": 0.0, "scaledY": 0.0, "dwheel": 0.0,
        "buttons": values.pop("buttons", []), "newButtons": values.pop("new", []),
    }  # fmt: skip
    mouse |= {name: values.pop(name) for name in ("x", "y", "dx", "dy") if name in values}
    keys = [f"key.keyboard.{key}" for key in values.pop("keys", [])]
    rest = {"isGuiOpen": False, "hotbar": 0, "yaw": -90.5}
    stats = {"minecraft.custom:minecraft.jump": 3}
    keyboard = {"keys": keys, "newKeys": [], "chars": ""}
    return {"mouse": mouse, "keyboard": keyboard, **rest, "stats": stats, **values}


def numbered(tick: int, milli: float | None = None, **values: Any) -> dict[str, Any]:
    """The row of a tick, which it shows in the slot keys that are down."""
    keys = [str(1 + bit) for bit in range(BITS) if tick >> bit & 1] + list(values.pop("keys", []))
    milli = BEGIN_MILLI + 50 * tick if milli is None else milli
    return line(tick=tick, milli=milli, keys=keys, **values)


def tick_of(action: Action) -> int:
    return sum(1 << bit for bit in range(BITS) if action[f"hotbar.{1 + bit}"])


def picture_of(frame: Frame) -> int:
    blocks = frame.reshape(SIDE, BITS, SIDE, 3).mean((0, 2, 3))
    return sum(1 << bit for bit in range(BITS) if blocks[bit] > 128)


def film(
    path: Path,
    times: Iterable[float],
    numbers: Sequence[int] | None = None,
    size: tuple[int, int] = (SIDE * BITS, SIDE),
    b_frames: int = 0,
) -> None:
    """A video whose pictures are shown from these seconds on; picture k shows its number, or k."""
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream(
            "libx264", rate=20, options={"preset": "ultrafast", "bf": str(b_frames)}
        )
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000)
        for k, time in enumerate(times):
            number = numbers[k] if numbers is not None else k
            bits = [255 * (number >> bit & 1) for bit in range(BITS)]
            blocks = np.repeat(np.array(bits, np.uint8), -(-size[0] // BITS))[: size[0]]
            pixels = np.broadcast_to(blocks[None, :, None], (size[1], size[0], 3))
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            picture.pts, picture.time_base = round(time * 90_000), Fraction(1, 90_000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


@dataclass(frozen=True)
class Made:
    """A folder of made recordings, and what an import of it gives."""

    folder: Path
    out: Path

    def add(
        self,
        rows: Iterable[dict[str, Any] | str | bytes],
        times: Iterable[float] | None = None,
        *,
        name: str = "a",
        numbers: Sequence[int] | None = None,
        suffixes: tuple[str, str] = (".jsonl", ".mp4"),
    ) -> Path:
        """Write one recording; rows that are no object are written as they are. One picture a row at 20/s, or these."""
        rows = list(rows)
        lines_path = self.folder / (name + suffixes[0])
        lines_path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row) if isinstance(row, dict) else row for row in rows]
        lines_path.write_bytes(b"".join(
            (text if isinstance(text, bytes) else text.encode(errors="surrogateescape")) + b"\n" for text in lines
        ))  # fmt: skip
        film(
            self.folder / (name + suffixes[1]),
            np.arange(len(rows)) / 20 if times is None else times,
            numbers,
        )
        return lines_path

    def load(self, **options: Any) -> ImportReport:
        return import_vpt(
            self.folder, self.out, options.pop("spec", SMALL), disk_needed=0, **options
        )

    def episodes(self) -> list[Episode]:
        return list(open_episodes(self.out))

    def pairs(self) -> list[tuple[int, int]]:
        """The tick and the picture of every step of the only episode."""
        (episode,) = self.episodes()
        ticks = [tick_of(action) for action in episode.actions]
        return list(zip(ticks, map(picture_of, episode.frames()), strict=True))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "in", tmp_path / "out")


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """`line`: a row at rest but for what is given."""
    return line


@pytest.fixture
def tick() -> Callable[..., dict[str, Any]]:
    """`numbered`: a row that shows its tick."""
    return numbered


@pytest.fixture
def video() -> Callable[..., None]:
    """`film`: a video whose pictures show their numbers."""
    return film
