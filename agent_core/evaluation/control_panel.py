"""Control panel: an action drawn as sticks, cameras, axes and buttons, with its words below."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from games import Action, Axis, Button, Camera, Choice, Frame, GameSpec, Stick

BACKGROUND, LINE, TEXT = (24, 26, 30), (110, 116, 124), (226, 228, 232)
PRESSED, WRONG = (70, 190, 110), (232, 104, 84)
"""RGB."""
DIAL = 84
"""Side of a stick's or camera's field, in pixels."""
MARGIN = 10
FONT, SMALL = cv2.FONT_HERSHEY_SIMPLEX, 0.42


def draw_panel(
    spec: GameSpec, action: Action, title: str, shape: tuple[int, int], other: Action | None = None
) -> Frame:
    """A panel (height, width, 3) of an action; what differs from the `other` action is red instead of green."""
    image = np.full((*shape, 3), BACKGROUND, np.uint8)
    write(image, title, (MARGIN, 20), 0.5)
    colours = {
        c.name: PRESSED if other is None or action[c.name] == other[c.name] else WRONG
        for c in spec.controls
    }
    below = _draw_dials(image, spec, action, colours, 32)
    below = _draw_rows(image, spec, action, colours, below)
    _draw_buttons(image, spec, action, colours, below)
    _draw_words(image, spec.to_words(action))
    return image


def write(image: Frame, text: str, at: tuple[int, int], size: float = SMALL) -> None:
    """Write a line of text with its left end at (x, y); the font has ASCII only."""
    cv2.putText(image, plain_text(text), at, FONT, size, TEXT, 1, cv2.LINE_AA)


def plain_text(text: str) -> str:
    """`text` in ASCII, with "deg" for degrees and "?" for what is missing there."""
    return text.replace("°", " deg").encode("ascii", "replace").decode()


def shortened(text: str, room: int) -> str:
    """`text` as far as it fits into so many pixels, in ASCII, with dots where something is left out."""
    text = plain_text(text)
    if _width(text) <= room:
        return text
    lengths = range(1, len(text))
    fits = bisect_right(lengths, room, key=lambda n: _width(f"{text[:n]}..."))
    return f"{text[:fits]}..."


def wrapped(text: str, room: int, count: int) -> list[str]:
    """`text` in at most `count` lines of so many pixels, the last one shortened."""
    lines: list[str] = []
    words = plain_text(text).split()
    while words and len(lines) < count:
        fits = bisect_right(range(len(words)), room, key=lambda n: _width(" ".join(words[: n + 1])))
        fits = len(words) if len(lines) + 1 == count else max(1, fits)
        lines.append(shortened(" ".join(words[:fits]), room))
        words = words[fits:]
    return lines


def _width(text: str) -> int:
    """Of a line in ASCII, in pixels."""
    (width, _), _ = cv2.getTextSize(text, FONT, SMALL, 1)
    return int(width)


def _draw_dials(
    image: Frame, spec: GameSpec, action: Action, colours: dict[str, Any], top: int
) -> int:
    """Sticks as circles and cameras as squares, each with an arrow; returns the y below them."""
    dials = [c for c in spec.controls if isinstance(c, Stick | Camera)]
    left = MARGIN
    for control in dials:
        if left + DIAL > image.shape[1]:
            break
        centre, radius = (left + DIAL // 2, top + DIAL // 2), DIAL // 2 - 2
        if isinstance(control, Stick):
            cv2.circle(image, centre, radius, LINE, 1, cv2.LINE_AA)
            x, y = _stick_place(action[control.name])
        else:
            corner = (centre[0] - radius, centre[1] - radius)
            cv2.rectangle(image, corner, (centre[0] + radius, centre[1] + radius), LINE, 1)
            x, y = _camera_place(control, action[control.name])
        tip = (round(centre[0] + x * radius), round(centre[1] + y * radius))
        cv2.line(image, centre, tip, colours[control.name], 2, cv2.LINE_AA)
        cv2.circle(image, tip, 5, colours[control.name], -1, cv2.LINE_AA)
        write(image, control.name[:12], (left, top + DIAL + 12), 0.36)
        left += DIAL + MARGIN
    return top + DIAL + 22 if dials else top


def _stick_place(value: tuple[float, float]) -> tuple[float, float]:
    """Where a stick points: x to the right, y down, both of -1 to 1; 0° is up."""
    angle, magnitude = math.radians(value[0]), value[1]
    return magnitude * math.sin(angle), -magnitude * math.cos(angle)


def _camera_place(camera: Camera, value: tuple[float, float]) -> tuple[float, float]:
    """As `_stick_place`; the root of the share of the largest turn, so that small turns can be seen."""
    pitch, yaw = value
    shares = (yaw / _largest(camera.yaw_bins), pitch / _largest(camera.pitch_bins))
    x, y = (math.copysign(math.sqrt(abs(share)), share) for share in shares)
    return x, y


def _largest(bins: Sequence[float]) -> float:
    return max(map(abs, bins)) or 1.0


def _draw_rows(
    image: Frame, spec: GameSpec, action: Action, colours: dict[str, Any], top: int
) -> int:
    """Axes as bars and choices as words, a row each; returns the y below them."""
    for control in spec.controls:
        if isinstance(control, Axis):
            share = (action[control.name] - control.low) / (control.high - control.low)
            left, right = image.shape[1] // 2, image.shape[1] - MARGIN
            cv2.rectangle(image, (left, top + 2), (right, top + 10), LINE, 1)
            end = round(left + share * (right - left))
            cv2.rectangle(image, (left, top + 2), (end, top + 10), colours[control.name], -1)
            write(image, control.name[:20], (MARGIN, top + 11), 0.36)
        elif isinstance(control, Choice):
            option = control.options[action[control.name]]
            write(image, f"{control.name[:16]}: {option[:16]}", (MARGIN, top + 11), 0.36)
        else:
            continue
        top += 16
    return top


def _draw_buttons(
    image: Frame, spec: GameSpec, action: Action, colours: dict[str, Any], top: int
) -> None:
    """Buttons as boxes in rows, filled where they are down; those that have no room are left out."""
    x, y, height = MARGIN, top, 18
    for control in spec.controls:
        if not isinstance(control, Button):
            continue
        label = plain_text(control.name[:20])
        (text_width, _), _ = cv2.getTextSize(label, FONT, 0.36, 1)
        width = text_width + 10
        if x + width > image.shape[1] - MARGIN:
            x, y = MARGIN, y + height + 4
        if y + height > image.shape[0] - 40:
            return
        is_wrong = colours[control.name] == WRONG
        colour = colours[control.name] if action[control.name] or is_wrong else LINE
        cv2.rectangle(
            image, (x, y), (x + width, y + height), colour, -1 if action[control.name] else 1
        )
        write(image, label, (x + 5, y + 13), 0.36)
        x += width + 4


def _draw_words(image: Frame, words: str) -> None:
    """The action in words, at the bottom, in two lines at most."""
    for i, line in enumerate(wrapped(words, image.shape[1] - 2 * MARGIN, 2)):
        write(image, line, (MARGIN, image.shape[0] - 24 + 16 * i))
