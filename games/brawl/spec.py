"""Spec of brawl-v0: Bleeding Edge's two sticks and eleven buttons, by the paper's names and tokens."""

from __future__ import annotations

from games.bleeding_edge import SPEC as BLEEDING_EDGE
from games.spec import FrameSize, GameSpec

SPEC = GameSpec(
    id="brawl-v0",
    title="Brawl, the embedded third-person four-against-four arena",
    frame=FrameSize(height=180, width=320),
    step_hz=10,
    controls=BLEEDING_EDGE.controls,
    hints=(
        "The left stick moves relative to the view, the right stick turns it; a lock-on keeps it on an enemy.",
        "Your team is blue, the other orange. Stand on A, B and C to take them; carry yellow cells to your blue base.",
        "The minimap turns with the view: up is ahead. A cross is a support, a square a tank, a dot a damage fighter.",
    ),
)
