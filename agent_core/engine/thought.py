"""Thought decoder: greedy text generation in the scratch slots of the KV cache.

A thought (or caption) attends to the instruction and the context frames, not to actions. No later token attends to the
scratch slots, so generating a thought changes no action.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent_core.engine.cache_layout import TokenPositions
from agent_core.engine.kv_cache import KVCache
from agent_core.engine.session import Session
from agent_core.tokens.vocabulary import EOS, Vocabulary


def generate_thought(cache: KVCache, vocabulary: Vocabulary, session: Session, kind: int) -> str:
    """The text after the token `kind` (`THOUGHT` or `CAPTION`) for the newest frame; empty before the first frame."""
    if session.frame_index < 0:
        return ""
    ids = [kind]
    while len(ids) < cache.model.config.max_thought_tokens:
        token = _next_token(cache, vocabulary.text_size, session, ids)
        if token == EOS:
            break
        ids.append(token)
    return vocabulary.decode_text(ids)


def _next_token(cache: KVCache, text_size: int, session: Session, ids: Sequence[int]) -> int:
    """The most likely text token after `ids`, whose last token is written to the next scratch slot."""
    model, layout, k = cache.model, cache.layout, len(ids) - 1
    # a thought has the position ids of the frame's action, to which it does not attend
    action_start = TokenPositions(
        np.array([session.slot]),
        np.array([session.frame_index]),
        np.array([[model.config.visual_tokens]]),
    )
    mask = layout.thought_mask(session.slot, session.frame_index, len(ids))
    hidden = model.decoder.forward_cached(
        model.embed_thought(cache.to_device(np.array([[ids[-1]]])), k),
        cache.to_device(mask[None, None]),
        cache.kv,
        slice(session.slot, session.slot + 1),
        cache.to_device(np.array([[layout.scratch_start + k]])),
        cache.to_device(layout.position_ids(action_start) + k),
    )
    return int(model.logits(hidden)[0, 0, :text_size].argmax())
