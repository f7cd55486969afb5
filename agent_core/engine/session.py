"""Session state of one player: its row of the KV cache and its last sampled action."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent_core.tokens.action_codec import ActionCodec

ActionTokens = tuple[int, ...]
"""Token ids of one action, without START and END."""


@dataclass
class Session:
    """A player's row of the KV cache, its random generator and its last actions."""

    slot: int
    """Batch slot: the session's row of the KV cache."""
    codec: ActionCodec
    rng: np.random.Generator
    instruction: str | None = None
    frame_index: int = -1
    """Index of the newest frame, counting only frames that stay in the cache; -1 before the first one."""
    step: int = 0
    """Frames since the last reset."""
    last_actions: tuple[ActionTokens, ...] = ((),)
    """The last sampled chunk: the action of its step, then those predicted for the next steps."""
    frame_in_cache: bool = False
    """Whether the newest frame stays in the cache; otherwise the next one overwrites it."""
    last_sample: SampledAction | None = None
    closed: bool = False


@dataclass(frozen=True)
class SampledAction:
    """A sampled action, its probability, and the most probable alternatives."""

    tokens: ActionTokens
    probability: float
    """Of the whole action, at the sampling temperature (at 1 where sampling is greedy)."""
    entropy: float
    """Of the first sampled token's distribution, in nats."""
    alternatives: tuple[tuple[ActionTokens, float], ...] = ()
    """Actions with their probabilities, most probable first."""
    chunk_rest: tuple[ActionTokens, ...] = ()
    """Actions predicted for the following steps, where the model predicts action chunks."""
