"""Typed lines: what they mean, and what means nothing in one line."""

import pytest

from games.human.typed_line import Fix, Say, TypedLineError, Write, WrittenLine, parse_line

WRITTEN = [WrittenLine(0, "thought", "a pgi", 3), WrittenLine(2, "quick_tag", "good", 5, 6)]


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("  a pig ", Write("thought", "a pig")),
        ("/goal find sand", Write("instruction", "find sand")),
        ("/goal", Write("instruction", "")),
        ("/correct left, not right", Write("correction", "left, not right")),
        ("/caption a pig on a hill", Write("caption", "a pig on a hill")),
        ("/say hello", Say("hello")),
        ("/fix a cow", Fix(WRITTEN[1], "a cow")),
        ("/fix #0 a pig", Fix(WRITTEN[0], "a pig")),
        ("/fix 0", Fix(WRITTEN[0], "")),
    ],
)
def test_meanings(line: str, meaning: object) -> None:
    assert parse_line(line, WRITTEN, has_chat=True) == meaning


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/gaol find sand", r"^no command /gaol; did you mean '/goal'\?$"),
        ("/", r"^no command /$"),
        ("/correct", r"^write /correct WORDS$"),
        ("/fix 1 x", r"^there is no line 1$"),
        ("/say hello", r"^this game has no chat$"),
    ],
)
def test_what_means_nothing_is_one_line(line: str, why: str) -> None:
    with pytest.raises(TypedLineError, match=why):
        parse_line(line, WRITTEN, has_chat=False)


def test_without_a_line_there_is_nothing_to_put_right() -> None:
    with pytest.raises(TypedLineError, match="there is no line yet"):
        parse_line("/fix a pig", [], has_chat=False)
