"""Layout of a Bleeding Edge file: its arrays, the order of the buttons, the stick buckets, and limits of reading.

One `.npz` is one stretch of a match. `images` (T, 180, 300, 3) or (T, 3, 180, 300) uint8 at 10 Hz; `actions` (T, 16)
float32: 12 buttons (0 or 1), then left x, left y, right x, right y; `states` (T, 56) float32, padded with -1 at the
end; `names` (T,) text, "match/step/tick". The first two are required.
"""

from __future__ import annotations

from games.bleeding_edge import SPEC

TWELFTH = "Unassigned"
BUTTONS = (
    "Evade",
    "Jump",
    "LockOn",
    "Mount",
    "MeleeAttack",
    "SpecialAbility1",
    "SpecialAbility2",
    "SpecialAbility3",
    "SuperAbility",
    "SwitchLockOnTarget",
    "Taunt",
    TWELFTH,
)
"""Columns 0 to 11 of `actions`. The published files do not name them, so names and order are ours: the 11 buttons of
the paper in its order, and a twelfth, of which nothing is published and which the paper's actions lack. It is written
as 0; where it is pressed in a file the presses are left out and counted."""
STICKS = ("left_stick", "right_stick")
MEANINGS = {name: str(SPEC.by_name[name].meaning) for name in (*BUTTONS[:-1], *STICKS)}
"""The meaning of each named button and stick."""

HEIGHT, WIDTH = SPEC.frame.height, SPEC.frame.width
STEP_HZ = SPEC.step_hz
COLUMNS = len(BUTTONS) + 4
STATES = 56
PADDING = -1.0

CENTRES = (-1.0, -0.85, -0.625, -0.375, -0.15, 0.0, 0.15, 0.375, 0.625, 0.85, 1.0)
"""What the 11 buckets of an axis stand for; bucket 5 is at rest. x is right, y is up (away from the player): ours."""
EDGES = (-1.05, -0.95, -0.75, -0.5, -0.25, -0.05, 0.05, 0.25, 0.5, 0.75, 0.95, 1.05)
"""Edges between the buckets, and the ends of the first and last; an edge belongs to the bucket above it."""

MAX_STEPS = 18_000
"""Longest match that is read or written: half an hour."""
MAX_INSTRUCTION = 500
"""Characters, as on the wire."""
STATE_EVENT = "bleeding_edge_state"
"""Event of a capture with the `states` of a step, without their padding."""
