"""Who plays, and what was last decided for them?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent_core.tokens.action_codec import Attachment

Body = tuple[int, ...]
"""An action's ids without its two markers."""


@dataclass
class Session:
    """One player's place in the cache, and what was last decided."""

    row: int
    attachment: Attachment
    random: np.random.Generator
    instruction: str | None = None
    frame: int = -1
    """Index of the newest frame among those kept."""
    steps: int = 0
    """Frames since memory was last emptied."""
    bodies: tuple[Body, ...] = ((),)
    """What was decided last: that step's action and those foretold for the next ones."""
    kept: bool = False
    said: Choice | None = None
    closed: bool = False


@dataclass(frozen=True)
class Choice:
    """A drawn action as ids, its probability as a whole, and the best alternatives with theirs.

    `later` are the actions of the following steps, where the model writes chunks.
    """

    body: Body
    probability: float
    entropy: float
    """Of the first token's distribution, in nats."""
    alternatives: tuple[tuple[Body, float], ...] = ()
    later: tuple[Body, ...] = ()
