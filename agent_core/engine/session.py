"""Who plays, and what was last decided for them?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent_core.tokens.action_codec import ActionCodec

ActionTokens = tuple[int, ...]
"""An action's ids without its two markers."""


@dataclass
class Session:
    """One player's place in the cache, and what was last decided."""

    slot: int
    codec: ActionCodec
    rng: np.random.Generator
    instruction: str | None = None
    frame_index: int = -1
    """Index of the newest frame among those kept."""
    step: int = 0
    """Frames since memory was last emptied."""
    last_actions: tuple[ActionTokens, ...] = ((),)
    """What was decided last: that step's action and those foretold for the next ones."""
    frame_in_cache: bool = False
    last_sample: SampledAction | None = None
    closed: bool = False


@dataclass(frozen=True)
class SampledAction:
    """A drawn action as ids, its probability as a whole, and the best alternatives with theirs.

    `later` are the actions of the following steps, where the model writes chunks.
    """

    tokens: ActionTokens
    probability: float
    entropy: float
    """Of the first token's distribution, in nats."""
    alternatives: tuple[tuple[ActionTokens, float], ...] = ()
    chunk_rest: tuple[ActionTokens, ...] = ()
