"""Fields: types of the values in messages, and what all messages are."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_INT = 2**53 - 1
"""Largest integer that every JSON reader takes exactly."""
MAX_REWARD = 1e15
"""Largest magnitude of a reward or score, so that the sum of an episode's stays finite."""

InstructionText = Annotated[str, Field(max_length=500)]
JsonFloat = Annotated[
    float,
    Field(allow_inf_nan=True),
    AfterValidator(lambda value: value if isfinite(value) else 0.0),
]
"""A number; NaN and infinity, which JSON does not have, become 0."""
Reward = Annotated[float, Field(ge=-MAX_REWARD, le=MAX_REWARD)]
ReportedAction = Annotated[dict[Annotated[str, Field(max_length=48)], Any], Field(max_length=256)]
"""An action, or a part of one, which the game's spec has yet to check."""
Count = Annotated[int, Field(ge=0, le=MAX_INT)]
Id = Annotated[int, Field(ge=-MAX_INT, le=MAX_INT)]
ObservationNumber = Annotated[int, Field(ge=0, lt=2**32)]
"""The number in a picture's header."""
Milliseconds = Annotated[float, Field(ge=0)]
ClockTime = Annotated[float, Field(ge=-1e15, le=1e15)]
"""Milliseconds of a clock that begins anywhere."""
Owner = Literal["human", "agent", "shared"]
"""Whose actions the game applies: a person's, the agent's, or the agent's until a person presses something."""
Source = Literal["game", "console"]
"""Where a person's message came from."""
MAX_AGENTS = 16
AgentNumber = Annotated[int, Field(ge=0, lt=MAX_AGENTS)]
"""Which of a connection's agents; a message that comes from a console names the session instead."""
MAX_CAMERAS = 4
SessionName = Annotated[str, Field(max_length=100)]
QueryKind = Literal["next_action", "why", "caption"]
QUERY_KINDS: tuple[QueryKind, ...] = get_args(QueryKind)


class Message(BaseModel):
    """Frozen; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
