"""Fonts with fallback: no character is drawn as a box."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pygame
import pytest

from games.human import fonts
from games.human.fonts import FallbackFont

mpl = pytest.importorskip("matplotlib", reason="its wheel holds the font")
DEJAVU = str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
"""A font with Arabic and mathematical letters, which pygame's own lacks."""


@pytest.fixture(autouse=True)
def _freetype() -> Iterator[None]:
    yield
    pygame.freetype.quit()


def parts(font: FallbackFont, text: str) -> list[str]:
    return [part for _, part in font.runs(text)]


def test_what_no_font_has_is_shown_as_its_code_point() -> None:
    font = FallbackFont(18, families=())
    assert parts(font, "turn left, é, поворот") == ["turn left, é, поворот"]
    assert not font.lacks_glyphs
    assert parts(font, "go 中!") == ["go <U+4E2D>!"]
    assert parts(font, "😀\x00\ud800") == ["<U+1F600><U+0000><U+D800>"]
    assert font.lacks_glyphs


def test_each_run_has_the_first_font_with_its_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def path(family: str) -> str | None:
        asked.append(family)
        return {"broken": __file__, "dejavu": DEJAVU}.get(family)

    monkeypatch.setattr(fonts, "_path", path)
    font = FallbackFont(18, families=("missing", "broken", "dejavu", "later"))
    assert parts(font, "go left") == ["go left"]
    assert asked == []
    assert parts(font, "go رع 𝔸!") == ["go ", "رع", " ", "𝔸", "!"]
    assert asked == ["missing", "broken", "dejavu"]
    assert not font.lacks_glyphs
    assert parts(font, "中") == ["<U+4E2D>"]
    assert asked[-1] == "later"


def test_marks_without_width_and_spaces_are_drawn() -> None:
    font = FallbackFont(18, families=())
    assert "".join(parts(font, "a\u200db\u3000c\nd")) == "ab c d"
    surface = pygame.Surface((300, 40))
    font.draw(surface, "\u200d", 2, 2)
    font.draw(surface, "", 2, 2)
    assert not pygame.surfarray.array3d(surface).any()
    font.draw(surface, "ab 中", 2, 2)
    columns = np.flatnonzero(pygame.surfarray.array3d(surface).any(axis=(1, 2)))
    assert columns[-1] == pytest.approx(2 + font.width("ab 中"), abs=3)


def test_of_a_long_line_the_end_is_shown() -> None:
    font = FallbackFont(18, families=())
    line = font.tail("x" * 400 + "the end", 200)
    assert line.endswith("xthe end")
    assert font.width(line) <= 200
    assert font.tail("short", 200) == "short"


def test_a_system_without_fonts_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(family: str) -> None:
        import warnings

        warnings.warn("fc-list is missing", stacklevel=1)

    monkeypatch.setattr(pygame.font, "match_font", warn)
    assert parts(FallbackFont(18), "中") == ["<U+4E2D>"]
