"""Phrases of an action in words: taken one by one by the controls that they belong to."""

from __future__ import annotations

import re


def take(phrases: list[str], phrase: str) -> bool:
    """Remove a phrase; returns whether it was there."""
    if phrase in phrases:
        phrases.remove(phrase)
        return True
    return False


def take_match(phrases: list[str], pattern: str) -> re.Match[str] | None:
    """Remove the first phrase that matches as a whole; returns its match, None where there is none."""
    for phrase in phrases:
        if match := re.fullmatch(pattern, phrase):
            phrases.remove(phrase)
            return match
    return None
