"""Decision: an action with its words, its probability and the time it took, as messages carry it."""

from __future__ import annotations

from bridges.protocol.fields import Count, JsonFloat, Message, Milliseconds
from games import Action


class ActionText(Message):
    """An action in words with its probability."""

    words: str
    probability: JsonFloat


class PlannedAction(Message):
    """An action for a later step, valid unless a newer decision comes; also in words."""

    action: Action
    words: str


class Decision(Message):
    """An action of the game, in words, with its probability as a whole.

    `later` are the planned actions of the steps after it, in order, where the policy plans a chunk.
    """

    action: Action
    words: str
    probability: JsonFloat
    alternatives: tuple[ActionText, ...] = ()
    """Most probable actions, best first."""
    entropy: JsonFloat = 0.0
    """Of the first token's distribution, in nats."""
    later: tuple[PlannedAction, ...] = ()


class Latency(Message):
    """Server time of one observation in milliseconds: waiting, inference, and all of it together."""

    queue_ms: Milliseconds
    infer_ms: Milliseconds
    age_ms: Milliseconds
    batch: Count = 1
    """Observations answered in the same pass."""
