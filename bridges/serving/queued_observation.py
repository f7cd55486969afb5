"""Queued observation: a picture that waits for its answer, with what held when it came."""

from __future__ import annotations

from dataclasses import dataclass

from bridges.protocol.fields import Owner
from bridges.protocol.frames import EncodedFrame
from games import Action, Frame


@dataclass(eq=False)
class QueuedObservation:
    """An observation that waits for its answer; `received` in seconds of the monotonic clock."""

    encoded: EncodedFrame
    instruction: str
    received: float
    owner: Owner = "agent"
    """Who owned the player when it came."""
    index: int = 0
    """Number of the session's observations before it."""
    executed: Action | None = None
    """What the game did in the step before it; None where that was the answer's action."""
    is_decoding: bool = False
    frame: Frame | None = None
    """Its pixels, once they are decoded."""

    @property
    def is_ready(self) -> bool:
        """Whether a pass may take it: its pixels are decoded, or need no decoding."""
        return self.frame is not None or self.encoded.is_plain

    def pixels(self) -> Frame:
        """RGB (height, width, 3); raises `FrameError` where the picture is damaged."""
        return self.encoded.decode() if self.frame is None else self.frame
