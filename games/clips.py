"""Captioned clips: videos to be described in words, as in the paper's healthcare task; a game without controls."""

from __future__ import annotations

from games.game import Game
from games.spec import FrameSize, GameSpec

SPEC = GameSpec(
    id="clips-v0",
    title="Video clips to be described in words",
    frame=FrameSize(height=224, width=224),
    step_hz=2,
    controls=(),
)
GAME = Game(spec=SPEC)
