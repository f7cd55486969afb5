"""Client recording: credit of a recording, and the episode as the game sent it, to compare; without sockets."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable

from bridges.protocol.frames import payload_of
from bridges.protocol.record_messages import Credit, RecordState


class EpisodeDigest:
    """The pictures of an episode as the server counts them: how many, their bytes, and a hash of these."""

    def __init__(self) -> None:
        self.pictures = self.bytes = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """A picture's message."""
        payload = payload_of(data)
        self.pictures += 1
        self.bytes += len(payload)
        self._hash.update(payload)

    def difference(self, state: RecordState) -> str:
        """What the server has otherwise; empty where all is the same, and every step was written."""
        sent = {"pictures": self.pictures, "bytes": self.bytes, "sha256": self._hash.hexdigest()}
        sent |= {"steps": self.pictures, "dropped": 0}
        given = state.model_dump()
        different = [
            f"{name} {given[name]}, not {sent[name]}" for name in sent if given[name] != sent[name]
        ]
        return "; ".join([state.error] * bool(state.error) + different)


class ClientRecording:
    """What a recording may send, what it sent of the episode under way, and what became of those that ended."""

    def __init__(self) -> None:
        self.credit = Credit(picture=0, bytes=0)
        self.digest = EpisodeDigest()
        self.states: deque[RecordState] = deque()
        """Of ended episodes, until somebody takes them."""
        self.end_is_lost = False
        """Whether the session was lost that heard of an episode's end: nobody says what became of it."""
        self._size = 0
        """Bytes of all messages with pictures."""
        self._is_ending = False

    def may_send(self, number: int, size: int) -> bool:
        """Whether there is credit for a picture of this number, in a message of `size` bytes."""
        return number <= self.credit.picture and self._size + size <= self.credit.bytes

    def add(self, data: bytes) -> None:
        """A picture was sent."""
        self._size += len(data)
        self.digest.add(data)

    def end(self) -> None:
        """The end of the episode was sent."""
        self._is_ending = True

    def apply_state(self, state: RecordState) -> None:
        self._is_ending = False
        self.states.append(state)

    def begin_anew(self, pictures: Iterable[bytes], *, sends_end: bool) -> None:
        """Another session gets the pictures that are not recorded, and the episode's end where that is not known."""
        self._size, self.digest = 0, EpisodeDigest()
        for data in pictures:
            self.add(data)
        self.end_is_lost |= self._is_ending and not (sends_end and self.digest.pictures)

    def take_state(self) -> tuple[RecordState, str]:
        """The oldest ended episode, and how it differs from what was sent; another begins."""
        state, digest, self.digest = self.states.popleft(), self.digest, EpisodeDigest()
        return state, digest.difference(state)
