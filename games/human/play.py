"""Play by a person: the window opened, one world after another, the measured pace."""

from __future__ import annotations

from collections.abc import Iterator

import pygame

from games.env import Env
from games.human.contracts import Detailed, PlayOptions, PlayRecorder, World
from games.human.display import open_window
from games.human.pace import MAX_DETAIL, Pace
from games.human.screen import window_size
from games.human.window import Window


def play_human(
    env: Env, recorder: PlayRecorder, worlds: Iterator[World], options: PlayOptions | None = None
) -> Pace:
    """Open the window and play one world after another until Esc, or until the recorder is finished.

    Returns the measured pace. Raises `UnplayableError` where there is no display.
    """
    options = options or PlayOptions()
    picture = env.game.frame.width, env.game.frame.height
    if isinstance(env, Detailed):
        env.picture_detail = MAX_DETAIL
        picture = picture[0] * MAX_DETAIL, picture[1] * MAX_DETAIL
    try:
        screen = open_window(
            lambda: options.size or window_size(picture),
            f"iafm – {env.game.title}",
            headless=options.headless,
        )
        window = Window(env, recorder, worlds, screen, options)
        try:
            window.run(needs_focus=not options.headless)
        finally:
            window.pads.close()
        return window.pace
    finally:
        pygame.quit()
