"""Display: the window that a person plays in, refused where nobody could see it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pygame

from games.game import UnplayableError
from games.human.recording_light import RED

ICON_PIXELS, ICON_RIM = 64, (17, 19, 22)
UNSEEN = ("dummy", "offscreen")
"""SDL's drivers without a screen, which it falls back to by itself."""


def open_window(
    size: Callable[[], tuple[int, int]], title: str, *, headless: bool = False
) -> pygame.Surface:
    """Open a window, whose size in pixels is asked for once the display is there.

    `headless` opens one that nobody sees, for tests.

    Raises `UnplayableError` where there is no display.
    """
    try:
        with _driver("dummy" if headless else _possible()):
            pygame.display.init()
        if pygame.display.get_driver() in UNSEEN and not headless:
            raise pygame.error(f"SDL would draw on its {pygame.display.get_driver()!r} driver")
        pygame.display.set_icon(_icon())
        screen = pygame.display.set_mode(size(), pygame.RESIZABLE)
    except pygame.error as error:
        pygame.display.quit()
        raise UnplayableError(
            f"no display to open a window on ({error}): play on a desktop or over `ssh -X`, "
            "or let the scripted expert play (--expert)"
        ) from None
    pygame.display.set_caption(title)
    return screen


def _icon() -> pygame.Surface:
    """The recording light, as the taskbar shows it."""
    icon = pygame.Surface((ICON_PIXELS, ICON_PIXELS), pygame.SRCALPHA)
    middle = (ICON_PIXELS // 2, ICON_PIXELS // 2)
    pygame.draw.circle(icon, ICON_RIM, middle, ICON_PIXELS // 2)
    pygame.draw.circle(icon, RED, middle, ICON_PIXELS // 3)
    return icon


def _possible() -> str | None:
    """The drivers to try; None for SDL's choice. Wayland needs a run-time folder, and complains without one."""
    environment = ("XDG_RUNTIME_DIR", "SDL_VIDEODRIVER")
    is_plain = sys.platform == "linux" and not any(map(os.environ.get, environment))
    return "x11,kmsdrm" if is_plain else None


def desktop_size() -> tuple[int, int]:
    """Width and height of the desktop in pixels, once a display is open."""
    sizes = pygame.display.get_desktop_sizes()
    return (int(sizes[0][0]), int(sizes[0][1])) if sizes else (1280, 800)


@contextmanager
def _driver(name: str | None) -> Iterator[None]:
    """SDL's video driver by name, for as long as SDL reads it."""
    before = os.environ.get("SDL_VIDEODRIVER")
    if name is not None:
        os.environ["SDL_VIDEODRIVER"] = name
    try:
        yield
    finally:
        if name is not None:
            os.environ.pop("SDL_VIDEODRIVER")
            os.environ.update({} if before is None else {"SDL_VIDEODRIVER": before})
