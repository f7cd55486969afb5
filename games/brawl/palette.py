"""Palette and places of what is read off the picture: bars, icons, minimap, in pixels of a frame of 320 x 180."""

from __future__ import annotations

Color = tuple[int, int, int]

ALLY: Color = (72, 156, 255)
ENEMY: Color = (255, 100, 52)
NEUTRAL: Color = (172, 174, 180)
WHITE: Color = (255, 255, 255)
INK: Color = (16, 17, 22)
PANEL: Color = (30, 32, 40)
GOLD: Color = (255, 206, 52)
GREEN: Color = (96, 232, 120)
RED: Color = (244, 64, 56)
BAR_EMPTY: Color = (58, 26, 28)
HEALTH_FILL: Color = (88, 216, 104)
HEALTH_LOW: Color = (240, 72, 60)

KIND: dict[tuple[bool, str], Color] = {
    (True, "tank"): (70, 104, 255),
    (True, "support"): (96, 255, 132),
    (True, "damage"): (84, 224, 255),
    (False, "tank"): (224, 22, 40),
    (False, "support"): (255, 84, 216),
    (False, "damage"): (255, 124, 8),
}
"""The colour of a fighter's icon, by whether it is an ally, and class: cold for allies, warm for enemies."""
# The colour of the middle pixel of an icon says what it is; nothing else on the minimap has these colours.
CORE: dict[tuple[bool, str], Color] = {
    (True, "tank"): (200, 226, 255),
    (True, "support"): (20, 96, 44),
    (True, "damage"): (20, 40, 120),
    (False, "tank"): (255, 226, 200),
    (False, "support"): (120, 10, 96),
    (False, "damage"): (110, 16, 8),
}
"""By whether it is an ally, and class."""
LETTER: dict[str, Color] = {"A": (255, 240, 141), "B": (151, 255, 236), "C": (241, 171, 255)}
"""The distance below a point's sign in the picture."""
PLATE: dict[str, Color] = {"A": (250, 238, 150), "B": (160, 246, 230), "C": (230, 180, 250)}
"""The ground of a point's letter on the minimap."""
PLATE_CORE: dict[str, Color] = {"A": (44, 36, 6), "B": (6, 44, 36), "C": (240, 190, 255)}
CELL: Color = (255, 240, 40)
CELL_CORE: Color = (255, 250, 190)
HOME_CORE: Color = (1, 254, 254)
AWAY_CORE: Color = (254, 1, 60)

MAP_X, MAP_Y, MAP_RADIUS = 278, 41, 38
MAP_METERS = 18.0
"""Meters from the middle of the minimap to its edge; what is farther away is drawn at the edge."""
MAP_EDGE = 33
"""Pixels from the middle at which it is drawn then."""
MAP_FLOOR: Color = (44, 48, 57)
MAP_BLOCK: Color = (116, 121, 132)
MAP_OUT: Color = (20, 22, 27)
MAP_RIM: Color = (150, 156, 168)

FLAGS_X, FLAGS_Y, FLAG_WIDTH, FLAG_GAP = 141, 16, 10, 14
"""Boxes of the points below the score; the line under the one that the fighter stands on is white."""
STAND_Y = 26

SLOTS_X, SLOTS_Y, SLOT, SLOT_GAP = 108, 161, 15, 3
"""The six slots: special abilities 1 to 3, super ability, dodge, mount."""
SLOT_READY: Color = (250, 250, 250)
SLOT_COOLING: Color = (76, 80, 90)
SLOT_ACTIVE: Color = (255, 208, 61)

HEALTH_X, HEALTH_Y, HEALTH_WIDTH, HEALTH_HEIGHT = 24, 167, 72, 8
BADGE_X, BADGE_Y = 13, 168
"""Middle of the class's icon."""
CARRIED_X, CARRIED_Y, CARRIED_GAP = 29, 159, 9
"""Middle of the first of the cells that are carried."""
TARGET_X, TARGET_Y, TARGET_WIDTH = 132, 33, 64
"""Bar of the locked target; its icon's middle lies 8 pixels to the left of it."""
ALLIES_X, ALLIES_Y, ALLIES_GAP, ALLIES_WIDTH = 15, 7, 10, 30
"""Bars of the three allies in the order of their seats, from the top; each icon's middle is 8 pixels to the left."""
