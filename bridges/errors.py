"""Error classes of the bridges; no imports, so that a command can name them without loading anything."""

from __future__ import annotations


class BridgeError(RuntimeError):
    """The server cannot start or a client cannot connect; one line says why and the way out."""


class AnswerError(BridgeError):
    """One picture or one query has no answer; the session goes on.

    `code` is that of the server's `error`, or `connection_lost` for a picture that was on its way.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class DisconnectedError(BridgeError):
    """No connection; `code` is the server's close code, None where there was none."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class PolicyError(ValueError):
    """The policy cannot play this game; the message says why in one line, `hint` is the way out."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
