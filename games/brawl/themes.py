"""Themes: names, seeds and colours of the seven maps, as data."""

from __future__ import annotations

from dataclasses import dataclass

Color = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Theme:
    """A map's name, what it is made of, and its colours."""

    name: str
    seed: int
    blocks: int
    crates: float
    """Share of low crates among the blocks."""
    pillars: float
    """Share of tall pillars."""
    floor: Color
    tile: Color
    line: Color
    block: Color
    crate: Color
    sky_top: Color
    sky_low: Color
    hills: Color
    outside: Color


THEMES = (
    Theme("Harbor", 11, 18, 0.45, 0.15, (92, 104, 116), (101, 114, 126), (70, 80, 92),
          (142, 132, 122), (176, 122, 66), (92, 150, 214), (206, 226, 240), (86, 122, 140), (38, 70, 96)),
    Theme("Canyon", 23, 20, 0.2, 0.5, (172, 124, 84), (182, 134, 92), (142, 98, 66),
          (156, 88, 58), (190, 150, 96), (96, 166, 226), (250, 222, 176), (166, 92, 60), (128, 80, 54)),
    Theme("Gardens", 37, 20, 0.25, 0.25, (92, 140, 78), (100, 150, 84), (72, 114, 62),
          (160, 164, 150), (120, 92, 60), (110, 184, 236), (222, 240, 236), (58, 110, 72), (62, 106, 56)),
    Theme("Foundry", 41, 22, 0.35, 0.35, (84, 76, 76), (94, 84, 82), (58, 52, 54),
          (112, 98, 94), (168, 84, 44), (60, 40, 50), (226, 126, 70), (70, 46, 48), (48, 34, 36)),
    Theme("Glacier", 53, 18, 0.2, 0.4, (176, 200, 214), (188, 212, 224), (142, 170, 190),
          (120, 160, 190), (212, 226, 234), (70, 120, 190), (226, 240, 248), (150, 182, 208), (126, 158, 184)),
    Theme("Neon Yard", 67, 22, 0.4, 0.3, (50, 46, 72), (58, 53, 82), (94, 74, 150),
          (78, 70, 112), (44, 128, 138), (24, 18, 48), (128, 58, 142), (52, 36, 86), (30, 26, 50)),
    Theme("Ruins", 79, 24, 0.2, 0.45, (150, 142, 116), (160, 152, 124), (120, 114, 92),
          (176, 164, 132), (128, 104, 74), (86, 144, 200), (238, 226, 198), (112, 124, 96), (104, 102, 76)),
)  # fmt: skip
"""The seven maps, by number."""
