"""Instruction room: warnings of instructions that are longer than a model has room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # recording reads no vocabulary and needs no tokenizer
    from agent_core.tokens.vocabulary import Vocabulary

MARKERS = 2
"""BOS and EOS, which take a token each."""


def cut_warning(text: str, vocabulary: Vocabulary, max_text_tokens: int) -> str | None:
    """A line that says how much of an instruction is cut; None where it fits."""
    length, room = len(vocabulary.encode_text(text)), max_text_tokens - MARKERS
    return _line(text, str(length), room) if length > room else None


def sure_cut_warning(text: str, max_text_tokens: int) -> str | None:
    """As `cut_warning` before there is a vocabulary: a word takes at least one token."""
    words, room = len(text.split()), max_text_tokens - MARKERS
    return _line(text, f"at least {words}", room) if words > room else None


def _line(text: str, length: str, room: int) -> str:
    shown = text if len(text) <= 60 else text[:57] + "..."
    return (
        f"the instruction {shown!r} has {length} tokens, a model reads the first {room} "
        "(model.max_text_tokens, less two markers)"
    )
