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


def short(number: float, count: int) -> str:
    """A number for people, with at most `count` decimals: "9", "-1.5"."""
    text = f"{number:.{count}f}"
    return text.rstrip("0").rstrip(".") if count else text


def turn_phrases(label: str, pitch: float, yaw: float, count: int) -> tuple[str, ...]:
    """A camera's turn in degrees, with at most `count` decimals: "turn right 9°", "look down 1.5°"."""
    what = f"{label} " if label else ""
    side, level = "right" if yaw > 0 else "left", "down" if pitch > 0 else "up"
    return (
        *((f"{what}turn {side} {short(abs(yaw), count)}°",) if yaw else ()),
        *((f"{what}look {level} {short(abs(pitch), count)}°",) if pitch else ()),
    )


def take_turn(phrases: list[str], label: str) -> tuple[float, float]:
    """Remove the phrases of a camera's turn; returns (pitch, yaw) in degrees."""
    what = re.escape(f"{label} ") if label else ""
    yaw = take_match(phrases, rf"{what}turn (left|right) ([\d.]+)°")
    pitch = take_match(phrases, rf"{what}look (up|down) ([\d.]+)°")
    return (
        float(pitch[2]) * (1 if pitch[1] == "down" else -1) if pitch else 0.0,
        float(yaw[2]) * (1 if yaw[1] == "right" else -1) if yaw else 0.0,
    )
