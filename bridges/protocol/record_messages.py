"""Messages of recordings: what may be sent, and what became of an episode."""

from __future__ import annotations

from typing import Literal

from bridges.protocol.fields import Count, Message


class Credit(Message):
    """What a recording may send, counted from the session's beginning, and what the recorder has."""

    type: Literal["credit"] = "credit"
    picture: Count
    """Number of the last picture that may be sent."""
    bytes: Count
    """Of all messages with pictures together; a picture that comes again counts once."""
    recorded: Count = 0
    """Number of the newest picture that the recorder has: those up to it need not be kept."""


class Recording(Message):
    """What has been recorded of a session; `dropped` steps are missing, each where the episode says so."""

    episodes: Count
    steps: Count
    dropped: Count = 0


class RecordState(Message):
    """An episode of a recording whose capture is closed: what the recorder got, wrote and could not write."""

    type: Literal["record.state"] = "record.state"
    episode: str
    """Name of the capture; empty where there is none."""
    pictures: Count
    bytes: Count
    """Of the pictures alone."""
    sha256: str
    """Of the pictures' bytes, one after the other."""
    steps: Count
    """Written."""
    dropped: Count = 0
    """Steps that could not be written."""
    error: str = ""
    """Why not."""
