"""Bodies and poses of the three classes, as data: ellipsoids by limb, and how far each limb swings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from games.brawl.palette import Color

Place = tuple[float, float, float]
"""Right, front and up in meters."""


@dataclass(frozen=True)
class Part:
    """An ellipsoid of a body; the colours "team" and "dark" are the team's."""

    limb: str
    middle: Place
    radii: Place
    color: Color | str
    twist: float = 0.0
    """Turn about the vertical."""
    glow: bool = False


@dataclass(frozen=True)
class Pose:
    """Swings of limbs in radians (positive to the front), the lean of the body, and how far it rises."""

    swing: dict[str, float] = field(default_factory=dict)
    lean: float = 0.0
    rise: float = 0.0
    hidden: tuple[str, ...] = ("board",)


LIMBS: dict[str, Place] = {
    "arm_l": (-0.42, 0.0, 1.42),
    "arm_r": (0.42, 0.0, 1.42),
    "leg_l": (-0.18, 0.0, 0.85),
    "leg_r": (0.18, 0.0, 0.85),
    "head": (0.0, 0.0, 1.5),
}
"""The joints that limbs swing about."""
_SKIN, _STEEL, _GREY, _LEATHER = (238, 190, 150), (176, 186, 200), (96, 102, 116), (104, 70, 48)
_BOARD = (
    Part("board", (0, 0, 0.12), (0.34, 0.95, 0.09), "team"),
    Part("board", (0, -0.7, 0.06), (0.2, 0.2, 0.12), (150, 240, 255), glow=True),
)
TANK = (
    Part("leg_l", (-0.24, 0, 0.62), (0.2, 0.2, 0.34), _GREY),
    Part("leg_r", (0.24, 0, 0.62), (0.2, 0.2, 0.34), _GREY),
    Part("leg_l", (-0.24, 0.08, 0.2), (0.22, 0.32, 0.2), _STEEL),
    Part("leg_r", (0.24, 0.08, 0.2), (0.22, 0.32, 0.2), _STEEL),
    Part("body", (0, 0, 1.15), (0.52, 0.4, 0.5), "team"),
    Part("body", (0, 0.14, 1.2), (0.36, 0.32, 0.34), _STEEL),
    Part("body", (0, 0, 0.82), (0.44, 0.34, 0.16), _LEATHER),
    Part("body", (-0.58, 0, 1.62), (0.32, 0.32, 0.26), _STEEL),
    Part("body", (0.58, 0, 1.62), (0.32, 0.32, 0.26), _STEEL),
    Part("head", (0, 0.06, 1.86), (0.27, 0.28, 0.28), _STEEL),
    Part("head", (0, 0.26, 1.84), (0.2, 0.12, 0.07), (30, 32, 40)),
    Part("head", (-0.3, 0.0, 2.02), (0.09, 0.09, 0.24), (240, 232, 210)),
    Part("head", (0.3, 0.0, 2.02), (0.09, 0.09, 0.24), (240, 232, 210)),
    Part("arm_l", (-0.68, 0, 1.2), (0.18, 0.18, 0.36), "dark"),
    Part("arm_r", (0.68, 0, 1.2), (0.18, 0.18, 0.36), "dark"),
    Part("arm_l", (-0.76, 0.24, 1.05), (0.1, 0.5, 0.56), "team"),
    Part("arm_l", (-0.85, 0.24, 1.05), (0.06, 0.2, 0.22), (255, 226, 120)),
    Part("arm_r", (0.7, 0.5, 0.9), (0.07, 0.75, 0.07), _LEATHER),
    Part("arm_r", (0.7, 1.12, 0.9), (0.24, 0.24, 0.36), _STEEL),
    *_BOARD,
)
SUPPORT = (
    Part("leg_l", (-0.14, 0.04, 0.16), (0.14, 0.24, 0.16), _LEATHER),
    Part("leg_r", (0.14, 0.04, 0.16), (0.14, 0.24, 0.16), _LEATHER),
    Part("body", (0, 0, 0.42), (0.46, 0.46, 0.34), (240, 244, 240)),
    Part("body", (0, 0, 0.72), (0.36, 0.34, 0.36), (240, 244, 240)),
    Part("body", (0, 0, 1.08), (0.32, 0.27, 0.36), "team"),
    Part("body", (0, 0.16, 0.95), (0.12, 0.22, 0.4), (104, 226, 140)),
    Part("head", (0, 0.04, 1.62), (0.24, 0.24, 0.25), _SKIN),
    Part("head", (0, -0.07, 1.7), (0.27, 0.25, 0.25), (250, 250, 240)),
    Part("head", (0, 0, 2.06), (0.34, 0.34, 0.05), (255, 236, 120), glow=True),
    Part("arm_l", (-0.42, 0, 1.15), (0.13, 0.13, 0.32), "team"),
    Part("arm_r", (0.42, 0, 1.15), (0.13, 0.13, 0.32), "team"),
    Part("arm_l", (-0.42, 0, 0.84), (0.1, 0.1, 0.1), _SKIN),
    Part("arm_r", (0.42, 0, 0.84), (0.1, 0.1, 0.1), _SKIN),
    Part("arm_r", (0.5, 0.14, 1.1), (0.05, 0.05, 1.0), (206, 170, 100)),
    Part("arm_r", (0.5, 0.14, 2.12), (0.2, 0.2, 0.2), (110, 255, 160), glow=True),
    *_BOARD,
)
DAMAGE = (
    Part("leg_l", (-0.16, 0, 0.6), (0.13, 0.14, 0.34), (48, 44, 60)),
    Part("leg_r", (0.16, 0, 0.6), (0.13, 0.14, 0.34), (48, 44, 60)),
    Part("leg_l", (-0.16, 0.05, 0.16), (0.13, 0.24, 0.16), "dark"),
    Part("leg_r", (0.16, 0.05, 0.16), (0.13, 0.24, 0.16), "dark"),
    Part("body", (0, 0, 1.14), (0.29, 0.23, 0.4), (64, 58, 82)),
    Part("body", (0, 0.12, 1.2), (0.17, 0.16, 0.3), "team"),
    Part("body", (0, 0, 0.84), (0.27, 0.23, 0.1), "dark"),
    Part("head", (0, 0.08, 1.64), (0.2, 0.2, 0.22), (40, 36, 50)),
    Part("head", (0, 0.22, 1.66), (0.14, 0.08, 0.05), (255, 244, 170), glow=True),
    Part("head", (0, -0.06, 1.72), (0.25, 0.27, 0.27), "team"),
    Part("body", (0.0, -0.34, 1.36), (0.16, 0.3, 0.1), "team"),
    Part("body", (0.05, -0.66, 1.26), (0.12, 0.26, 0.08), "team"),
    Part("arm_l", (-0.4, 0, 1.15), (0.11, 0.11, 0.32), (64, 58, 82)),
    Part("arm_r", (0.4, 0, 1.15), (0.11, 0.11, 0.32), (64, 58, 82)),
    Part("arm_l", (-0.42, 0.48, 0.82), (0.05, 0.55, 0.11), (226, 214, 255)),
    Part("arm_r", (0.42, 0.48, 0.82), (0.05, 0.55, 0.11), (226, 214, 255)),
    *_BOARD,
)
BODIES = {"tank": TANK, "support": SUPPORT, "damage": DAMAGE}


def _walk(phase: float) -> Pose:
    s = math.sin(phase)
    swing = {"leg_l": 0.75 * s, "leg_r": -0.75 * s, "arm_l": -0.5 * s, "arm_r": 0.35 * s}
    return Pose(swing, lean=-0.1, rise=0.07 * abs(math.cos(phase)))


POSES: dict[str, Pose] = {
    "idle": Pose({"arm_l": 0.08, "arm_r": 0.12}),
    **{f"walk{i}": _walk(i * math.tau / 6) for i in range(6)},
    "windup": Pose({"arm_r": 2.7, "arm_l": 0.5, "leg_l": 0.3}, lean=0.18),
    "strike": Pose({"arm_r": 0.65, "arm_l": -0.5, "leg_r": 0.5, "leg_l": -0.5}, lean=-0.3),
    "windup2": Pose({"arm_l": 2.4, "arm_r": -0.5, "leg_r": 0.3}, lean=0.1),
    "strike2": Pose({"arm_l": 0.9, "arm_r": 0.7, "leg_l": 0.5, "leg_r": -0.5}, lean=-0.25),
    "cast": Pose({"arm_l": 2.2, "arm_r": 2.0}, lean=0.12, rise=0.05),
    "guard": Pose({"arm_l": 1.1, "arm_r": 0.6, "leg_l": 0.4, "leg_r": -0.4}, rise=-0.12),
    "jump": Pose({"arm_l": 1.6, "arm_r": 1.4, "leg_l": 0.7, "leg_r": -0.4}),
    "dash": Pose({"arm_l": -0.9, "arm_r": 0.9, "leg_l": 0.9, "leg_r": -0.8}, lean=-0.55),
    **{
        f"roll{i}": Pose(
            {"leg_l": 1.5, "leg_r": 1.5, "arm_l": 1.2, "arm_r": 1.2},
            lean=-i * math.tau / 4 - 0.6,
            rise=-0.35,
        )
        for i in range(4)
    },
    "stun": Pose({"arm_l": -0.3, "arm_r": -0.3, "head": 0.3}, lean=0.22),
    "ride": Pose({"arm_l": -0.4, "arm_r": 0.5, "leg_l": 0.35, "leg_r": -0.35}, -0.14, 0.24, ()),
    "ride2": Pose({"arm_l": -0.5, "arm_r": 0.4, "leg_l": 0.35, "leg_r": -0.35}, -0.18, 0.3, ()),
    "taunt0": Pose({"arm_l": 2.9, "arm_r": 0.2}, rise=0.1),
    "taunt1": Pose({"arm_l": 2.4, "arm_r": 2.9}, rise=0.0),
    "down": Pose({"arm_l": 2.4, "arm_r": 1.8, "leg_l": 0.3}, lean=1.5, rise=-0.62),
}
