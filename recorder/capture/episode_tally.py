"""Episode tally: what came of an episode, what was written, and what could not be."""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class EndedEpisode(NamedTuple):
    """An episode whose capture is closed; `name` is the capture's, empty where there is none.

    `pictures`, `bytes` and `sha256` are of the pictures as they came, one after the other; `error` says why steps were
    dropped.
    """

    name: str
    pictures: int
    bytes: int
    sha256: str
    steps: int
    dropped: int
    error: str


class EpisodeTally:
    """Counts while an episode goes on."""

    def __init__(self) -> None:
        self.name = self.error = ""
        self.steps = self.dropped = 0
        self._pictures = self._bytes = 0
        self._hash = hashlib.sha256()

    def add_picture(self, payload: bytes) -> None:
        """A picture came."""
        self._pictures += 1
        self._bytes += len(payload)
        self._hash.update(payload)

    def fail(self, reason: str) -> None:
        """Something is not recorded; the first reason stays."""
        self.error = self.error or reason

    def ended(self) -> EndedEpisode:
        return EndedEpisode(
            self.name, self._pictures, self._bytes, self._hash.hexdigest(), self.steps, self.dropped, self.error
        )  # fmt: skip
