"""Screen: the window's picture, the panel beside it, the lines above and below, and what lies over the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pygame

from games.env import Frame
from games.human.display import desktop_size
from games.human.fonts import FONT_PACKAGES, WHITE, Color, FallbackFont
from games.human.recording_light import AMBER, GREY, LightState
from games.human.text_box import TextBox
from games.human.typed_line import WrittenLine

DARK: Color = (17, 19, 22)
PANEL: Color = (27, 30, 35)
GREEN: Color = (95, 191, 134)
SOFT: Color = (172, 178, 186)
TOP, BOTTOM, SIDE, MARGIN = 44, 40, 264, 16
"""Pixels of the lines above and below the picture, of the panel beside it, and of its margin."""
PICTURE: tuple[int, int] = (960, 640)
"""Width and height that the picture fills as far as it can."""
SMALLEST: tuple[int, int] = (720, 640)
"""Width and height of a window, with room for the lines that were written below the palette of tags."""
KEYS_LINE = "F1 keys   T write   Enter next   F2 again   Backspace throw away   Esc quit"
LINE_FEED = 24


@dataclass
class Shown:
    """What the window shows at one moment."""

    picture: Frame
    instruction: str
    light: LightState
    player: str = ""
    """Who plays, where an agent may; "" where only a person does."""
    progress: float | None = None
    banner: str = ""
    countdown: int = 0
    """Seconds until the episode begins; 0 while it is played."""
    tags: Sequence[tuple[str, str]] = ()
    written: Sequence[WrittenLine] = ()
    help: Sequence[tuple[str, str]] = ()
    """Names and what they do; empty while the help is closed."""
    box: TextBox | None = None
    notes: Sequence[str] = field(default_factory=list)
    """Texts in the panel while the help is open: the game's hints, the gamepads."""


class Screen:
    """Draws on a window's surface; the picture is enlarged by a whole number, where it fits at all."""

    def __init__(self, surface: pygame.Surface) -> None:
        self.surface = surface
        self.font, self.large = FallbackFont(17), FallbackFont(20)
        self._huge = FallbackFont(96)

    def draw(self, shown: Shown) -> None:
        """Draw everything; the caller flips."""
        self.surface.fill(DARK)
        width, height = self.surface.get_size()
        area = pygame.Rect(0, TOP, max(8, width - SIDE), max(8, height - TOP - BOTTOM))
        picture = self._draw_picture(shown.picture, area)
        self._draw_top(shown, width)
        self._draw_panel(shown, pygame.Rect(area.right, TOP, SIDE, area.height))
        if shown.help:
            self._draw_help(shown, area)
        elif shown.countdown:
            self._centre(self._huge, str(shown.countdown), picture.center)
        if shown.banner:
            self._draw_banner(shown.banner, picture)
        self._draw_bottom(shown, width, height)

    def _draw_picture(self, picture: Frame, area: pygame.Rect) -> pygame.Rect:
        height, width = picture.shape[:2]
        size = fitted((width, height), area.size)
        place = pygame.Rect((0, 0), size)
        place.center = area.center
        if not self.surface.get_rect().contains(place):
            return place  # hardly a window
        source = pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB")
        target = self.surface.subsurface(place)
        if size[0] < width:
            pygame.transform.smoothscale(source.convert(self.surface), size, target)
        else:
            pygame.transform.scale(source.convert(self.surface), size, target)
        return place

    def _draw_top(self, shown: Shown, width: int) -> None:
        text = shown.instruction or "no instruction"
        color = WHITE if shown.instruction else SOFT
        self.large.draw(self.surface, self.large.head(text, width - 2 * MARGIN), MARGIN, 9, color)
        if shown.progress is not None:
            done = int(width * min(max(shown.progress, 0.0), 1.0))
            pygame.draw.rect(self.surface, PANEL, (0, TOP - 4, width, 4))
            pygame.draw.rect(self.surface, GREEN, (0, TOP - 4, done, 4))

    def _draw_panel(self, shown: Shown, area: pygame.Rect) -> None:
        pygame.draw.rect(self.surface, PANEL, area)
        x, y, room = area.x + MARGIN, area.y + 14, area.width - 2 * MARGIN
        pygame.draw.circle(self.surface, shown.light.color, (x + 7, y + 10), 7)
        self.large.draw(self.surface, shown.light.word, x + 24, y - 1)
        y += 34
        groups: list[list[tuple[str, Color]]] = [
            [(line, SOFT) for line in shown.light.lines if line]
            + [(line, AMBER) for line in [shown.light.warning] if line],
            [(shown.player, GREEN)] if shown.player else [],
            [(f"{key}  {text}", SOFT) for key, text in shown.tags if not shown.help],
            *([(line, SOFT) for line in self.font.wrap(note, room, 6)] for note in shown.notes),
        ]
        for group in filter(None, groups):
            for line, color in group:
                self.font.draw(self.surface, self.font.head(line, room), x, y, color)
                y += LINE_FEED
            y += 12
        texts = [
            line
            for written in shown.written
            for line in self.font.wrap(f"#{written.id} {written.text or '(taken back)'}", room, 3)
        ]
        fit = max(0, (area.bottom - y - 8) // LINE_FEED)
        for line in texts[-fit:] if fit else ():
            self.font.draw(self.surface, line, x, y, WHITE)
            y += LINE_FEED

    def _draw_help(self, shown: Shown, area: pygame.Rect) -> None:
        inner = area.inflate(-24, -24)
        if inner.width < 100 or inner.height < 60:
            return
        rows = list(shown.help)
        if self.font.lacks_glyphs:
            rows.append((f"<U+…>: no font has it, install {FONT_PACKAGES}", ""))
        cover = pygame.Surface(inner.size, pygame.SRCALPHA)
        cover.fill((*DARK, 236))
        self.surface.blit(cover, inner)
        fits = max(1, (inner.height - 20) // LINE_FEED)
        columns = [rows[i : i + fits] for i in range(0, len(rows), fits)]
        width = (inner.width - 2 * MARGIN) // len(columns)
        for number, column in enumerate(columns):
            self._draw_rows(column, inner.x + MARGIN + number * width, inner.y + 10, width - 12)

    def _draw_rows(self, rows: Sequence[tuple[str, str]], x: int, y: int, width: int) -> None:
        """Two columns, the first as wide as it needs."""
        left = [self.font.width(name) for name, text in rows if text]
        indent = min(max(left, default=0) + 18, width // 2)
        for name, text in rows:
            room = indent - 10 if text else width
            self.font.draw(self.surface, self.font.head(name, room), x, y)
            self.font.draw(self.surface, self.font.head(text, width - indent), x + indent, y, SOFT)
            y += LINE_FEED

    def _draw_banner(self, text: str, picture: pygame.Rect) -> None:
        room = max(80, picture.width - 40)
        text = self.large.head(text, room)
        size = (self.large.width(text) + 36, self.large.height + 20)
        place = pygame.Rect((0, 0), size)
        place.center = (picture.centerx, picture.y + picture.height // 4)
        cover = pygame.Surface(size, pygame.SRCALPHA)
        cover.fill((*DARK, 225))
        self.surface.blit(cover, place)
        self.large.draw(self.surface, text, place.x + 18, place.y + 10)

    def _draw_bottom(self, shown: Shown, width: int, height: int) -> None:
        y = height - BOTTOM + 9
        if shown.box is None:
            line = self.font.head(KEYS_LINE, width - 2 * MARGIN)
            self.font.draw(self.surface, line, MARGIN, y, GREY)
            return
        pygame.draw.rect(self.surface, PANEL, (0, height - BOTTOM, width, BOTTOM))
        box = shown.box
        since = f"since {box.back_seconds} s ago" if box.back_seconds else "Up: earlier"
        right = box.problem or since
        room = width - 3 * MARGIN - self.font.width(right)
        composed = f"[{box.composition}]_" if box.composition else "_"
        full = "   (full)" if box.is_full else ""
        line = self.font.tail("> " + box.text + composed + full, room)
        self.font.draw(self.surface, line, MARGIN, y)
        color = AMBER if box.problem else SOFT
        self.font.draw(self.surface, right, width - MARGIN - self.font.width(right), y, color)

    def _centre(self, font: FallbackFont, text: str, middle: tuple[int, int]) -> None:
        cover = pygame.Surface((160, 160), pygame.SRCALPHA)
        pygame.draw.circle(cover, (*DARK, 200), (80, 80), 80)
        self.surface.blit(cover, (middle[0] - 80, middle[1] - 80))
        x, y = middle[0] - font.width(text) // 2, middle[1] - font.height // 2
        font.draw(self.surface, text, x, y)


def fitted(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """A picture's width and height enlarged by the largest whole number that fits, or made smaller where none does."""
    factor = min(room[0] / size[0], room[1] / size[1])
    if factor >= 1:
        factor = int(factor)
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


def window_size(picture: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a window around a picture of this size, as large as `PICTURE` and the desktop allow."""
    extra = (SIDE + 2 * MARGIN, TOP + BOTTOM + 2 * MARGIN)
    desktop = desktop_size()
    room = (
        min(PICTURE[0] + 192, desktop[0] - extra[0] - 40),
        min(PICTURE[1] + 16, desktop[1] - extra[1] - 80),
    )
    width, height = fitted(picture, (max(64, room[0]), max(64, room[1])))
    return max(SMALLEST[0], width + extra[0]), max(SMALLEST[1], height + extra[1])
