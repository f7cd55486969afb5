"""Cameras: the pictures of one observation, of which camera 0's comes last and completes it.

A picture whose observation never completes makes room for the next one's.
"""

from __future__ import annotations

from dataclasses import replace

from bridges.protocol.frames import EncodedFrame, FrameError, unpack
from bridges.protocol.messages import Hello


class CameraPictures:
    """Of one game: the pictures that wait for camera 0's, of each agent at most one observation's."""

    def __init__(self, hello: Hello, max_bytes: int) -> None:
        self._agents, self._cameras, self._max_bytes = hello.agents, hello.cameras, max_bytes
        self._waiting: dict[int, tuple[int, dict[int, EncodedFrame]]] = {}
        """By agent: the observation's number, and its pictures by camera."""

    def receive(self, data: bytes) -> tuple[EncodedFrame | None, int]:
        """The observation that a picture completes, and how many pictures were in vain.

        Raises `FrameError` also for an agent or a camera that the hello did not announce, and for an observation that
        has too many bytes.
        """
        encoded = unpack(data)
        self._check(encoded)
        number, waiting = self._waiting.pop(encoded.agent, (encoded.number, {}))
        wasted = 0 if number == encoded.number else len(waiting)
        others = {} if wasted else waiting
        if not encoded.camera:
            complete = replace(encoded, cameras=others)
            self._check_size(complete.size)
            return complete, wasted
        wasted += encoded.camera in others
        others = {**others, encoded.camera: replace(encoded, meta=b"")}
        self._check_size(sum(other.size for other in others.values()))
        self._waiting[encoded.agent] = encoded.number, others
        return None, wasted

    def _check(self, encoded: EncodedFrame) -> None:
        for value, announced, noun, byte in (
            (encoded.agent, self._agents, "agent", 7),
            (encoded.camera, self._cameras, "camera", 6),
        ):
            if value >= announced:
                reason = f"the hello announced {announced} {noun}{'s' * (announced > 1)}"
                raise FrameError(f"{reason}; the header's byte {byte} is {value}", 4400)

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            most = f"{self._max_bytes >> 20} MiB"
            raise FrameError(f"the pictures of an observation have at most {most} together", 4413)


def camera_warnings(cameras: int, *, are_seen: bool, is_recording: bool) -> tuple[str, ...]:
    """A line for a game with several cameras, of which the player or the recorder uses camera 0 only."""
    if cameras == 1:
        return ()
    others = "camera 1 is" if cameras == 2 else f"cameras 1 to {cameras - 1} are"
    parts = [] if are_seen else ["the player sees camera 0 only"]
    parts += [f"{others} not recorded"] if is_recording else []
    return ("; ".join(parts),) if parts else ()
