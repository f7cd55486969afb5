"""Error classes of the bridges; no imports, so that a command can name them without loading anything."""

from __future__ import annotations


class BridgeError(RuntimeError):
    """The server cannot start or a client cannot connect; one line says why and the way out."""


class PolicyError(ValueError):
    """The policy cannot play this game; the message says why in one line."""
