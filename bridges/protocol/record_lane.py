"""Record lane: which pictures of a recording may be sent, and which the recorder has; without sockets and a clock.

Pictures are numbered 1, 2, 3 … over all episodes and connections of a session, and none may be missing. Credit counts
from the session's beginning, so that a lost message about it is made up for by the next. It grows as the recorder
takes pictures, which holds a game back that is faster.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bridges.protocol.messages import MAX_MESSAGE
from bridges.protocol.record_messages import Credit


@dataclass(frozen=True)
class RecordWindow:
    """How much may be under way: pictures, and bytes of their messages, but always two pictures of any size."""

    pictures: int = 64
    size: int = 8 << 20

    def __post_init__(self) -> None:
        if self.pictures < 2 or self.size < 2 * MAX_MESSAGE:
            raise ValueError("the newest picture waits for the next one: two have to fit")


class RecordLaneError(ValueError):
    """A picture that breaks the rules; `code` is the error's, `close_code` that of the close."""

    def __init__(self, message: str, code: str, close_code: int) -> None:
        super().__init__(message)
        self.code, self.close_code = code, close_code


class RecordLane:
    """The server's side of one session; it outlives connections."""

    def __init__(self, window: RecordWindow) -> None:
        self.received = 0
        """Number of the newest picture."""
        self.recorded = 0
        """Number of the newest picture that the recorder has."""
        self._window = window
        self._recorded_size = self._size = 0
        """Bytes of the messages up to `recorded`, and up to `received`."""
        self._sizes: deque[int] = deque()
        """Of the messages after `recorded`."""
        self._repeats = False
        self._given = self.credit()

    def credit(self) -> Credit:
        """What may be sent by now, in all."""
        return Credit(
            picture=self.recorded + self._window.pictures,
            bytes=self._recorded_size + self._window.size,
            recorded=self.recorded,
        )

    def resume(self) -> None:
        """Another connection, over which pictures may come again before new ones."""
        self._repeats, self._given = True, self.credit()

    def receive(self, number: int, size: int) -> bool:
        """Whether a picture is new, in a message of `size` bytes; raises `RecordLaneError`."""
        if self._repeats and 0 < number <= self.received:
            return False
        self._repeats = False
        if number != self.received + 1:
            reason = f"pictures of a recording are numbered 1, 2, 3 …: {self.received + 1} is next, not {number}"
            raise RecordLaneError(reason, "bad_picture", 4400)
        given = self._given
        if number > given.picture or self._size + size > given.bytes:
            reason = f"the credit was for {given.picture} pictures and {given.bytes} bytes: wait for more"
            raise RecordLaneError(reason, "too_many", 4429)
        self.received, self._size = number, self._size + size
        self._sizes.append(size)
        return True

    def take_credit(self, recorded: int, *, all_of_it: bool) -> Credit | None:
        """The recorder has the pictures up to `recorded`; returns what to tell the game, once.

        Without `all_of_it` only where it is a quarter of the window.
        """
        while self.recorded < min(recorded, self.received):
            self.recorded += 1
            self._recorded_size += self._sizes.popleft()
        credit, given = self.credit(), self._given
        more = (
            (credit.picture - given.picture) / self._window.pictures,
            (credit.bytes - given.bytes) / self._window.size,
        )
        if max(more) <= 0 or (max(more) < 0.25 and not all_of_it):
            return None
        self._given = credit
        return credit
