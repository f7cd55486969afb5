"""Glyphs: a font of 3 x 5 pixels and icons, as data, and text drawn with them."""

from __future__ import annotations

from functools import lru_cache

import pygame

from games.brawl.palette import INK, Color

_ROWS = """
0 75557 1 26227 2 71747 3 71717 4 55711 5 74717 6 74757 7 71122 8 75757 9 75717
A 25755 B 65656 C 34443 D 65556 E 74647 F 74644 G 34553 H 55755 I 72227 J 11152 K 55655 L 44447 M 57755
N 65555 O 25552 P 65644 Q 25573 R 65655 S 34216 T 72222 U 55557 V 55552 W 55775 X 55255 Y 55222 Z 71247
: 02020 . 00002 + 02720 - 00700 % 51245 ! 22202 / 11244
""".split()  # noqa: SIM905 (a table)
FONT = dict(zip(_ROWS[::2], _ROWS[1::2], strict=True))
"""Five rows, each a digit with a bit per pixel, the left one first."""

ICONS = {
    "tank": "XXXXX X...X X...X X...X XXXXX",
    "support": "..X.. ..X.. XXXXX ..X.. ..X..",
    "damage": "..... ..X.. .XXX. ..X.. .....",
    "large tank": "XXXXXXX XXXXXXX XXXXXXX XXXXXXX XXXXXXX XXXXXXX XXXXXXX",
    "large support": "..XXX.. ..XXX.. XXXXXXX XXXXXXX XXXXXXX ..XXX.. ..XXX..",
    "large damage": "...X... ..XXX.. .XXXXX. XXXXXXX .XXXXX. ..XXX.. ...X...",
    "strike": "......X .....XX ....XX. X..XX.. .XXX... ..XX... .X..X..",
    "bolt": "...X... ...X... XX.X.XX .XXXXX. ..XXX.. .XX.XX. .X...X.",
    "dash": "....X.. X.X.XX. .X.XXXX X.XXXXX .X.XXXX X.X.XX. ....X..",
    "guard": "XXXXXXX XXXXXXX XX.X.XX XXX.XXX .XXXXX. ..XXX.. ...X...",
    "pull": "...XX.. ....XX. .....XX XXXX.XX .....XX X...XX. XXXXX..",
    "burst": "X..X..X .X.X.X. ..XXX.. XXX.XXX ..XXX.. .X.X.X. X..X..X",
    "heal": "..XXX.. ..XXX.. XXXXXXX XXXXXXX XXXXXXX ..XXX.. ..XXX..",
    "field": "...X... ..XXX.. ...X... .XXXXX. X..X..X X.....X .XXXXX.",
    "haste": "X..X... XX.XX.. XXXXXX. XXXXXXX XXXXXX. XX.XX.. X..X...",
    "rage": "...X... ..XX..X X.XXX.X XXXXXXX XXX.XXX XX...XX .XX.XX.",
    "evade": "..XXX.. .X...X. X....XX X...XXX X.....X .X...X. ..XXX..",
    "mount": "....... X.....X XXXXXXX .XXXXX. ....... .X.X.X. X.X.X.X",
    "down": ".XXXXX. X.XXX.X X.XXX.X XXX.XXX .XXXXX. .X.X.X. .X.X.X.",
}
"""Rows of pixels."""


@lru_cache(maxsize=4096)
def text(words: str, color: Color, scale: int = 1, outline: Color | None = INK) -> pygame.Surface:
    """A line of text, with an outline of one pixel around it where one is named."""
    words = words.upper()
    width = (4 * len(words) - 1 + 2) * scale
    surface = pygame.Surface((max(width, scale), 7 * scale), pygame.SRCALPHA)
    around = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)] if outline else []
    for shade, offsets in ((outline, around), (color, [(0, 0)])):
        for dx, dy in offsets:
            for i, letter in enumerate(words):
                for row, digit in enumerate(FONT.get(letter, "00000")):
                    for column in range(3):
                        if int(digit) >> (2 - column) & 1:
                            place = 1 + 4 * i + column + dx, 1 + row + dy
                            area = (place[0] * scale, place[1] * scale, scale, scale)
                            surface.fill(shade or color, area)
    return surface


@lru_cache(maxsize=512)
def icon(name: str, color: Color, scale: int = 1, core: Color | None = None) -> pygame.Surface:
    """An icon; `core` is the colour of its middle pixel."""
    rows = ICONS[name].split()
    surface = pygame.Surface((len(rows[0]) * scale, len(rows) * scale), pygame.SRCALPHA)
    for y, row in enumerate(rows):
        for x, pixel in enumerate(row):
            if pixel == "X":
                surface.fill(color, (x * scale, y * scale, scale, scale))
    if core is not None:
        surface.fill(core, (len(rows[0]) // 2 * scale, len(rows) // 2 * scale, scale, scale))
    return surface


def centered(target: pygame.Surface, source: pygame.Surface, x: float, y: float) -> None:
    """Draw one surface on another with its middle at (x, y)."""
    width, height = source.get_size()
    target.blit(source, (round(x - width / 2), round(y - height / 2)))
