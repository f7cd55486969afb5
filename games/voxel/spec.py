"""Spec of voxel-v0: Minecraft's controls, by name and meaning, with a camera of nine levels per axis."""

from __future__ import annotations

from games.controls import Button, Camera
from games.spec import FrameSize, GameSpec

CAMERA_BINS = (-18.0, -9.0, -4.0, -1.5, 0.0, 1.5, 4.0, 9.0, 18.0)
"""Degrees per step, fine near zero for aiming and coarse outside for turning."""

SPEC = GameSpec(
    id="voxel-v0",
    title="Voxel, the embedded first-person block world",
    frame=FrameSize(height=72, width=128),
    step_hz=20,
    controls=(
        Button(name="forward", meaning="move.forward", label="walk forward"),
        Button(name="back", meaning="move.back", label="walk back"),
        Button(name="left", meaning="move.left", label="step left"),
        Button(name="right", meaning="move.right", label="step right"),
        Button(name="jump", meaning="jump", label="jump"),
        Button(name="sneak", meaning="sneak", label="sneak"),
        Button(name="sprint", meaning="sprint", label="sprint"),
        Button(name="attack", meaning="attack.primary", label="attack"),
        Button(name="use", meaning="use", label="place a block"),
        Camera(name="camera", meaning="look", pitch_bins=CAMERA_BINS, yaw_bins=CAMERA_BINS),
    ),
    exclusive=(("forward", "back"), ("left", "right")),
    hints=(
        "Trees have brown trunks, cows are black and white, pigs are pink, the gold pillar shines yellow.",
        "Hold attack on a block to break it; hit an animal three times to hunt it.",
        "The bar at the bottom of the picture shows what the player has collected.",
    ),
)
