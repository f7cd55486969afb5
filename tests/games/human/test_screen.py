"""Screen: crisp whole-number enlargement, nothing of the window over the picture, any window size and text."""

from collections.abc import Iterator

import numpy as np
import pygame
import pytest

from games.human.display import open_window
from games.human.recording_light import RecordingLight, RecordingStatus
from games.human.screen import BOTTOM, SIDE, SMALLEST, TOP, Screen, Shown, fitted, window_size
from games.human.text_box import TextBox
from games.human.typed_line import WrittenLine

PICTURE = np.random.default_rng(0).integers(1, 255, (56, 64, 3), dtype=np.uint8)
LIGHT = RecordingLight(5).update(RecordingStatus(steps=7, free_bytes=9 << 30), 0.0, 5.0)
LONG = "the elf goes round the hole and over the ice, which nobody would have thought " * 4


def shown(**changes: object) -> Shown:
    box = TextBox(pygame.K_t)
    box.text, box.back_seconds = LONG, 3
    values = {
        "tags": [("1", "good"), ("2", LONG)],
        "written": [WrittenLine(k, "thought", LONG, 0) for k in range(9)],
        "player": LONG, "progress": 0.4, "box": box,
        **changes,
    }  # fmt: skip
    return Shown(PICTURE, LONG, LIGHT, **values)  # type: ignore[arg-type]


@pytest.fixture
def surface() -> Iterator[pygame.Surface]:
    yield open_window(lambda: (900, 620), "screen", headless=True)
    pygame.quit()


@pytest.mark.parametrize(
    ("size", "room", "expected"),
    [
        ((64, 56), (640, 560), (640, 560)),
        ((64, 56), (639, 560), (576, 504)),
        ((100, 100), (150, 400), (100, 100)),
        ((640, 480), (320, 999), (320, 240)),
        ((5000, 2), (50, 50), (50, 1)),
    ],
)
def test_a_picture_is_enlarged_by_a_whole_number(
    size: tuple[int, int], room: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fitted(size, room) == expected


def test_every_pixel_is_a_square_and_nothing_lies_over_them(surface: pygame.Surface) -> None:
    Screen(surface).draw(shown())
    pixels = pygame.surfarray.array3d(surface).swapaxes(0, 1)
    width, height = fitted((64, 56), (900 - SIDE, 620 - TOP - BOTTOM))
    factor = width // 64
    left, top = (900 - SIDE - width) // 2, TOP + (620 - TOP - BOTTOM - height) // 2
    inner = pixels[top : top + height, left : left + width]
    assert np.array_equal(inner, PICTURE.repeat(factor, 0).repeat(factor, 1))


@pytest.mark.parametrize("size", [(1, 1), (90, 60), (300, 200), (2000, 300)])
def test_any_window_can_be_drawn(size: tuple[int, int], surface: pygame.Surface) -> None:
    screen = Screen(pygame.transform.scale(surface, size))
    for help in ((), (("walk", "w"),) * 60):
        screen.draw(shown(help=help, banner=LONG, countdown=2))


def test_long_lines_are_wrapped(surface: pygame.Surface) -> None:
    font = Screen(surface).font
    lines = font.wrap(LONG.strip(), 232, 3)
    assert len(lines) == 3
    assert all(font.width(line) <= 232 for line in lines)
    assert lines[-1].endswith("…")
    assert LONG.startswith(" ".join(lines[:2]))
    assert font.wrap("short", 232, 3) == ["short"]
    assert "".join(font.wrap("x" * 60, 232, 9)) == "x" * 60


def test_a_window_fits_the_desktop(surface: pygame.Surface) -> None:
    width, height = window_size((384, 216))
    desktop = pygame.display.get_desktop_sizes()[0]
    assert width <= max(720, desktop[0])
    assert height <= max(SMALLEST[1], desktop[1])
