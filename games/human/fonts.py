"""Fonts with fallback: each character in the first font that has it, else its code point such as <U+4E2D>."""

from __future__ import annotations

import math
import unicodedata
import warnings
from collections.abc import Iterable
from itertools import groupby

import pygame
import pygame.freetype

Color = tuple[int, int, int]
FAMILIES = (
    *("dejavusans", "notosans", "arial", "liberationsans"),
    *("notosanscjksc", "notosanscjkjp", "notosanscjkkr", "notosanscjktc", "notosanssc"),
    *("sourcehansanscn", "sourcehansanssc", "sourcehansans", "sourcehansansjp"),
    *("wenquanyimicrohei", "wenquanyizenhei", "droidsansfallback"),
    *("microsoftyahei", "simsun", "msgothic", "yugothic", "malgungothic"),
    *("pingfangsc", "pingfang", "hiraginosans", "hiraginosansgb", "applesdgothicneo"),
    *("notosansarabic", "notosansdevanagari", "notosansthai", "arialunicodems"),
    *("unifont", "unifontupper"),
)
"""Common families, as pygame spells them; the first ones have Cyrillic, Greek and Arabic."""
FONT_PACKAGES = "fonts-noto-cjk or fonts-unifont"
"""Debian's packages with the characters that are most often missing."""
WHITE: Color = (250, 250, 250)
LINES_KEPT = 256


class FallbackFont:
    """One line of text in several fonts; system fonts are opened when a character needs them.

    Letters are neither joined nor ordered from right to left.
    """

    def __init__(self, size: int, families: Iterable[str] = FAMILIES) -> None:
        pygame.freetype.init()
        self._size = size
        self._default = self._open(None)
        self._fonts = [self._default]
        self._families = list(families)
        self._font_of: dict[str, pygame.freetype.Font | None] = {}
        self._advances: dict[str, float] = {}
        self._lines: dict[tuple[str, Color], pygame.Surface] = {}

    @property
    def height(self) -> int:
        """Pixels from one line to the next."""
        return int(self._default.get_sized_height(self._size))

    @property
    def lacks_glyphs(self) -> bool:
        """Whether a character was asked for that no font has."""
        return None in self._font_of.values()

    def runs(self, text: str) -> list[tuple[pygame.freetype.Font, str]]:
        """`text` in pieces of one font each, with the code points of characters that no font has."""
        pieces = [self._piece(character) for character in text]
        grouped = groupby(pieces, key=lambda piece: piece[0])
        return [(font, "".join(part for _, part in run)) for font, run in grouped]

    def width(self, text: str) -> int:
        """Pixels from the first character to the end of the last."""
        return math.ceil(sum(map(self._advance, text)))

    def tail(self, text: str, width: int) -> str:
        """The end of `text` that fits into a width."""
        fits = self._fitting(text[::-1], width)
        return text[len(text) - fits :]

    def head(self, text: str, width: int) -> str:
        """The beginning of `text` that fits into a width, with … where something is left out."""
        if self.width(text) <= width:
            return text
        return text[: self._fitting(text, width - self.width("…"))] + "…"

    def wrap(self, text: str, width: int, most: int) -> list[str]:
        """`text` in at most so many lines that fit into a width, broken at spaces where there are any."""
        lines, rest = list[str](), text
        while rest and len(lines) < most - 1 and self.width(rest) > width:
            fits = max(1, self._fitting(rest, width))
            space = rest.rfind(" ", 1, fits + 1)
            end = space if space > 0 else fits
            lines.append(rest[:end])
            rest = rest[end:].lstrip()
        return [*lines, self.head(rest, width)]

    def _fitting(self, text: str, width: float) -> int:
        """How many characters of the beginning fit into a width."""
        total = 0.0
        for count, character in enumerate(text):
            total += self._advance(character)
            if total > width:
                return count
        return len(text)

    def _advance(self, character: str) -> float:
        """Pixels from a character to the next."""
        if character not in self._advances:
            font, part = self._piece(character)
            self._advances[character] = sum(m[4] for m in font.get_metrics(part) if m)
        return self._advances[character]

    def draw(
        self, surface: pygame.Surface, text: str, x: int, y: int, color: Color = WHITE
    ) -> None:
        """Draw a line, its shadow under it, with its upper left corner at (x, y)."""
        if text:
            surface.blit(self._line(text, color), (x, y))

    def _line(self, text: str, color: Color) -> pygame.Surface:
        """A line as a picture; the newest ones are kept."""
        key = (text, color)
        if key not in self._lines:
            if len(self._lines) >= LINES_KEPT:
                del self._lines[next(iter(self._lines))]
            size = (self.width(text) + 2, self.height + 2)
            self._lines[key] = pygame.Surface(size, pygame.SRCALPHA)
            self._render(self._lines[key], text, color)
        return self._lines[key]

    def _render(self, surface: pygame.Surface, text: str, color: Color) -> None:
        x, baseline = 0, int(self._default.get_sized_ascender(self._size))
        for font, part in self.runs(text):
            for shift, ink in ((1, (0, 0, 0)), (0, color)):
                try:
                    font.render_to(surface, (x + shift, baseline + shift), part, ink)
                except pygame.error:  # nothing to see: characters without width
                    break
            x += round(sum(metrics[4] for metrics in font.get_metrics(part) if metrics))

    def _piece(self, character: str) -> tuple[pygame.freetype.Font, str]:
        if character.isspace():
            return self._default, " "
        if character not in self._font_of:
            self._font_of[character] = self._find(character)
        font = self._font_of[character]
        if font is not None:
            return font, character
        is_mark = unicodedata.category(character) == "Cf"  # joiners and the like, never seen
        return self._default, "" if is_mark else f"<U+{ord(character):04X}>"

    def _find(self, character: str) -> pygame.freetype.Font | None:
        if unicodedata.category(character) in ("Cc", "Cs"):
            return None
        for font in self._fonts:
            if _has(font, character):
                return font
        while self._families:
            path = _path(self._families.pop(0))
            if path is None:
                continue
            try:
                font = self._open(path)
            except (pygame.error, OSError):
                continue
            self._fonts.append(font)
            if _has(font, character):
                return font
        return None

    def _open(self, path: str | None) -> pygame.freetype.Font:
        font = pygame.freetype.Font(path, self._size)
        font.origin = True  # drawn from the baseline, which all fonts share
        return font


def _has(font: pygame.freetype.Font, character: str) -> bool:
    """`pygame.font`'s metrics are those of the box where a glyph is missing, freetype's are None."""
    return font.get_metrics(character)[0] is not None


def _path(family: str) -> str | None:
    """The file of a font family; None where the system has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a system without fontconfig has no fonts to list
        return pygame.font.match_font(family)
