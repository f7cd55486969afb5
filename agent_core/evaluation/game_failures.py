"""Failures of games that run in another process or behind a socket: what is played again, and how often."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from agent_core.evaluation.plan import EpisodeSpec
from bridges.errors import BridgeError
from games import Env

TRIES = 2
"""How often an episode is begun at most whose game fails, and how often in a row a game may fail to begin any."""
FAILURES = (BridgeError, ConnectionError, TimeoutError, EOFError)
"""What an environment raises whose game has ended or does not answer."""


class LostGameError(BridgeError):
    """A game that begins no episode any more; the message is the game's."""


class GameFailures:
    """Why a game failed, by episode."""

    def __init__(self) -> None:
        self._reasons: dict[EpisodeSpec, tuple[str, ...]] = {}
        self._begun = Counter[EpisodeSpec]()
        self._in_vain = 0

    def of(self, spec: EpisodeSpec) -> tuple[str, ...]:
        """The reasons in order."""
        return self._reasons.get(spec, ())

    def has_begun(self, spec: EpisodeSpec) -> None:
        """Count an episode that has begun."""
        self._begun[spec] += 1
        self._in_vain = 0

    def add(self, spec: EpisodeSpec, error: Exception) -> bool:
        """Note a failure; returns whether the episode is played again."""
        self._reasons[spec] = (*self.of(spec), _reason(error))
        return self._begun[spec] < TRIES

    def add_in_vain(self, spec: EpisodeSpec, error: Exception) -> None:
        """Note an episode that did not begin; raises `LostGameError` after `TRIES` in a row."""
        self.add(spec, error)
        self._in_vain += 1
        if self._in_vain >= TRIES:
            raise LostGameError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """In one line; of an error that is not made for people its type too."""
    text = " ".join(str(error).split())
    return text if isinstance(error, BridgeError) else f"{type(error).__name__}: {text}"


def close_failed(env: Env) -> None:
    """Close an environment whose game may have ended."""
    with suppress(*FAILURES):
        env.close()
