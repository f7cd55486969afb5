"""Messages of replays: where a recorded match stands, and what a console asks of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bridges.protocol.fields import AgentNumber, Count, Message, SessionName


class ReplayProgress(Message):
    """Where a replay stands, as consoles see it."""

    match: str = Field("", max_length=200)
    """Name of the recorded match."""
    step: Count = 0
    """The step whose picture was sent last, from 0."""
    steps: Count = 0
    paused: bool = False
    words: str = Field("", max_length=2000)
    """What was done at this step, in words."""


class ReplayState(ReplayProgress):
    """As `ReplayProgress`, from the game that replays."""

    type: Literal["replay.state"] = "replay.state"
    agent: AgentNumber = 0


class Replay(Message):
    """What a console asks of a replay: `step` shows the next step and pauses, `seek` goes to `step`."""

    type: Literal["replay"] = "replay"
    command: Literal["play", "pause", "step", "seek"]
    step: Count = 0
    session: SessionName | None = None
    agent: AgentNumber = 0
