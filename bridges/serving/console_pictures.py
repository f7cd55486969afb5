"""Console pictures: answered frames as small JPEGs, encoded off the event loop."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from bridges.protocol import frames
from games import Frame


class PictureEncoder:
    """Encodes in a thread of its own."""

    def __init__(self, longest_side: int) -> None:
        self._longest_side = longest_side
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="console pictures")

    async def encode(self, frame: Frame, number: int, t_ns: int, session: str) -> bytes:
        """As `console_picture`."""
        return await asyncio.get_running_loop().run_in_executor(
            self._worker, console_picture, frame, number, t_ns, session, self._longest_side
        )

    def close(self) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)


def console_picture(frame: Frame, number: int, t_ns: int, session: str, longest_side: int) -> bytes:
    """The frame (H, W, 3) as a binary message that names its session, with no side above `longest_side`."""
    meta = json.dumps({"session": session}).encode()
    small = downscaled(frame, longest_side)
    return frames.pack(small, number, t_ns, frames.Codec.JPEG, meta=meta)


def downscaled(frame: Frame, longest_side: int) -> Frame:
    """The frame (H, W, 3) with its longest side cut to `longest_side`."""
    height, width = frame.shape[:2]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return frame
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
