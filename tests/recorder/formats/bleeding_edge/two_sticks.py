"""Two-stick test game: a scripted player walks and aims over every stick position, a picture shows its own number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from games import Action, Button, Frame, FrameSize, GameSpec, Stick
from recorder import CaptureInfo, CaptureWriter
from recorder.formats.bleeding_edge.sticks import to_polar

SPEC = GameSpec(
    id="arena-v0",
    title="A square that walks and aims",
    frame=FrameSize(height=36, width=60),
    step_hz=10,
    controls=(
        Stick(name="walk", meaning="move.stick", rotation_token="[wr{}]", magnitude_token="[wm{}]"),
        Stick(name="aim", meaning="look.stick", rotation_token="[ar{}]", magnitude_token="[am{}]"),
        Button(name="leap", meaning="jump"),
        Button(name="shoot", meaning="attack.primary"),
    ),
)
BITS = 8


def picture(number: int) -> Frame:
    """A picture with its number as eight blocks."""
    frame = np.full(SPEC.frame.shape, 20, np.uint8)
    for bit in range(BITS):
        if number >> bit & 1:
            frame[:, bit * 7 : bit * 7 + 7] = 230
    return frame


def number_of(frame: Frame) -> int:
    height, width = frame.shape[:2]
    scale = width / 60
    centres = [frame[height // 2, int((bit * 7 + 3.5) * scale)].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, value in enumerate(centres) if value > 128)


def script(step: int) -> Action:
    """The action of a step: the sticks go over all pairs of buckets, one forward and one backward."""
    walk, aim = step * 5 % 121, 120 - step * 7 % 121
    sticks = [c for c in SPEC.controls if isinstance(c, Stick)]
    return SPEC.normalize(
        {
            "walk": to_polar(sticks[0], (walk // 11, walk % 11)),
            "aim": to_polar(sticks[1], (aim // 11, aim % 11)),
            "leap": int(step % 3 == 0),
            "shoot": int(step % 4 == 1),
        }
    )


def record(root: Path, actions: Sequence[Action], gap_before: int = -1) -> Path:
    """One episode, with two steps missing before step `gap_before`."""
    with CaptureWriter.create(
        root, SPEC, CaptureInfo(instruction="win the match", seed=1), disk_needed=0
    ) as capture:
        for step, action in enumerate(actions):
            capture.count_dropped(2 * (step == gap_before))
            capture.step(picture(step), action)
    return capture.folder
