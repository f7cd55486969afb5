"""Queued observation: a picture that waits for its answer, with what held when it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridges.policy import PolicyRequest, PolicySession
from bridges.protocol.fields import Owner
from bridges.protocol.frames import EncodedFrame
from games import Action, Frame

Pixels = tuple[Frame, Mapping[int, Frame]]
"""Camera 0's picture, RGB (height, width, 3), and those of other cameras by their numbers."""


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
    cameras: Mapping[int, Frame] = field(default_factory=dict)
    """The same of its other cameras."""

    @property
    def is_ready(self) -> bool:
        """Whether a pass may take it: its pixels are decoded, or need no decoding."""
        return self.frame is not None or self.encoded.is_plain

    def request(self, player: PolicySession, *, is_first: bool) -> PolicyRequest:
        """What the policy gets; raises `FrameError` where a picture is damaged."""
        frame, cameras = self.frame, self.cameras
        if frame is None:
            frame, cameras = decode(self.encoded)
        executed = None if is_first else self.executed
        return PolicyRequest(player, frame, self.instruction, executed, cameras)


def decode(encoded: EncodedFrame) -> Pixels:
    """All pictures of an observation; raises `FrameError`."""
    return encoded.decode(), encoded.decode_cameras()
