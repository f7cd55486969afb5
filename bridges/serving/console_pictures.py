"""Console pictures: frames as small JPEGs, encoded off the event loop."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import cv2
import numpy as np

from bridges.protocol import frames
from bridges.protocol.frames import EncodedFrame, FrameError
from bridges.serving.limits import ServerLimits
from bridges.serving.process import start_worker
from bridges.serving.sessions import Session, SessionRegistry
from games import Frame

log = logging.getLogger("iafm.bridge")


class PictureEncoder:
    """Encodes in a thread of its own."""

    def __init__(self, longest_side: int) -> None:
        self._longest_side = longest_side
        self._worker = start_worker("console pictures")

    async def encode(
        self, frame: Callable[[], Frame], number: int, t_ns: int, session: str
    ) -> bytes:
        """As `console_picture`, of the frame that `frame` returns there; raises what that raises."""
        return await asyncio.get_running_loop().run_in_executor(
            self._worker,
            lambda: console_picture(frame(), number, t_ns, session, self._longest_side),
        )

    def close(self) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)


class PictureBroadcast:
    """Shows consoles the pictures of the games that they watch, each encoded once; `start` runs in the background."""

    def __init__(
        self,
        sessions: SessionRegistry,
        limits: ServerLimits,
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.encoder = PictureEncoder(limits.watch_pixels)
        self._sessions, self._limits, self._start = sessions, limits, start
        self._encoding: set[Session] = set()
        """Sessions of which a picture is being encoded."""

    def show(
        self, session: Session, encoded: EncodedFrame, frame: Callable[[], Frame], now: float
    ) -> None:
        """Send a picture to those who see its game, where one is due; `frame` gives its pixels, in another thread."""
        if session in self._encoding or not self._sessions.viewers_of(session):
            return
        if session.take_picture_due(now, self._limits.watch_hz):
            self._encoding.add(session)
            self._start(self._show(session, encoded, frame))

    async def _show(
        self, session: Session, encoded: EncodedFrame, frame: Callable[[], Frame]
    ) -> None:
        try:
            data = await self.encoder.encode(frame, encoded.number, encoded.t_ns, session.name)
            for watcher in self._sessions.viewers_of(session):
                watcher.peer.send(data)
        except FrameError:
            log.debug("a picture does not decode: consoles do not see it")
        finally:
            self._encoding.discard(session)

    def close(self) -> None:
        self.encoder.close()


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
