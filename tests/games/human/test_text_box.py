"""Text box: what is typed, pasted and composed."""

import pygame
import pytest

from games.human import text_box
from games.human.text_box import LENGTH_MAX, REPEAT_FRAMES, Outcome, TextBox

Event = pygame.event.Event


def box_of(text: str) -> TextBox:
    box = TextBox(pygame.K_t)
    box.handle(Event(pygame.KEYUP, key=pygame.K_t))
    box.handle(Event(pygame.TEXTINPUT, text=text))
    return box


def press(box: TextBox, key: int, mod: int = 0) -> Outcome:
    return box.handle(Event(pygame.KEYDOWN, key=key, mod=mod))


def test_a_line_is_accepted_or_dropped() -> None:
    assert press(box_of("left"), pygame.K_RETURN) is Outcome.ACCEPTED
    assert press(box_of("left"), pygame.K_KP_ENTER) is Outcome.ACCEPTED
    assert press(box_of("left"), pygame.K_ESCAPE) is Outcome.DROPPED
    assert press(box_of("  "), pygame.K_RETURN) is Outcome.DROPPED


def test_backspace_repeats_while_it_is_held() -> None:
    box = box_of("abcdef")
    box.handle(Event(pygame.KEYDOWN, key=pygame.K_BACKSPACE))
    for _ in range(REPEAT_FRAMES):
        box.tick()
    assert box.text == "abcde"
    box.tick()
    box.tick()
    assert box.text == "abc"
    box.handle(Event(pygame.KEYUP, key=pygame.K_BACKSPACE))
    box.tick()
    assert box.text == "abc"


@pytest.mark.parametrize("modifier", [pygame.KMOD_LCTRL, pygame.KMOD_LMETA])
def test_paste(modifier: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_box, "clipboard_text", lambda: "b\nc\td\x07e\ud800 \u200cж")
    box = box_of("a")
    assert press(box, pygame.K_v, modifier) is Outcome.OPEN
    assert box.text == "ab c d e  \u200cж"
    press(box, pygame.K_v)
    assert box.text == "ab c d e  \u200cж"


def test_no_clipboard_is_an_empty_one() -> None:
    assert text_box.clipboard_text() == ""


def test_a_line_has_an_end() -> None:
    box = box_of("x" * (LENGTH_MAX - 1))
    assert not box.is_full
    box.insert("yz")
    assert box.is_full
    assert box.text == "x" * (LENGTH_MAX - 1) + "y"


def test_keys_of_a_composition_are_the_input_methods() -> None:
    box = box_of("a")
    box.handle(Event(pygame.TEXTEDITING, text="zhong", start=0, length=5))
    assert box.composition == "zhong"
    for key in (pygame.K_RETURN, pygame.K_BACKSPACE, pygame.K_ESCAPE):
        assert press(box, key) is Outcome.OPEN
    box.handle(Event(pygame.TEXTINPUT, text="中"))
    assert (box.text, box.composition) == ("a中", "")
    assert press(box, pygame.K_RETURN) is Outcome.ACCEPTED
