"""Strict JSON: what no strict reader takes is refused, and nothing else is."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.protocol.messages import MAX_DEPTH, MAX_TEXT, MessageError, parse_json
from bridges.protocol.strict_json import MAX_CONTAINERS, JsonError, parse


def short(value: object) -> str:
    """Name of a case."""
    return repr(value)[:24]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('[]{}"\\,:aé\n\u2028', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\', max_size=3), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


def depth_of(value: object) -> int:
    children = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(map(depth_of, children), default=0) if isinstance(children, list) else 0


@settings(max_examples=40, deadline=None)
@given(value=VALUES, ascii_only=st.booleans(), max_depth=st.integers(0, 4))
def test_the_depth_is_that_of_the_value(value: object, ascii_only: bool, max_depth: int) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    if depth_of(value) <= max_depth:
        assert parse(text, max_bytes=10_000, max_depth=max_depth) == value
    else:
        with pytest.raises(JsonError, match="levels deep"):
            parse(text, max_bytes=10_000, max_depth=max_depth)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_as_deep_as_may_be_and_no_deeper(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    for depth in (MAX_DEPTH, MAX_DEPTH + 1):
        text = opening * depth + ("1" if opening != "[" else "") + closing * depth
        if depth == MAX_DEPTH:
            assert depth_of(parse_json(text)) == depth
        else:
            with pytest.raises(MessageError, match="at most 32 levels deep"):
                parse_json(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1, NaN]", "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ("1e999", "too large"),
        ("[-1E+400]", "too large"),
        ("9" * 250 + "e99", "too large"),
        ("9" * 310 + ".0", "too large"),
        ("[-1e400]", "too large"),
        ("1" * 400 + ".0", "too large"),
        ("1" * 5000, "too large"),
        ('"\\ud800"', "surrogate"),
        ('"\\uDC00\\ud800"', "surrogate"),
        ('{"\\udfff": 1}', "surrogate"),
        ("\ud800", "surrogate"),
        ("\ufeff{}", "no valid JSON"),
        ("{", "no valid JSON"),
        ("", "no valid JSON"),
        ("'a'", "no valid JSON"),
        ('"' + "a" * MAX_TEXT, "at most 262144 bytes"),
        ('"' + "é" * (MAX_TEXT // 2) + '"', "at most 262144 bytes"),
        ("[" * MAX_TEXT, "levels deep"),
        ("{" * MAX_TEXT, "levels deep"),
        ("[" * 33 + '"', "levels deep"),
        ('"' + '\\"' * 100_000, "no valid JSON"),
        ('"a\\', "no valid JSON"),
    ],
    ids=short,
)
def test_what_is_not_strict_json_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(MessageError, match=re.escape(reason)) as caught:
        parse_json(text)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    "value",
    ["[" * 100, '"]}' * 50, "\\", '\\"[', "\U0001f600", "é" * 1000, [1e308, -0.5, 2**70], {"[": ["{"]}],
)  # fmt: skip
def test_what_is_strict_json_is_read(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False)) == value


def test_a_text_as_long_as_may_be_is_read() -> None:
    text = '"' + "[" * (MAX_TEXT - 2) + '"'
    assert len(parse_json(text)) == MAX_TEXT - 2


@pytest.mark.parametrize("part", ["[]", '{"a": "[{"}'])
def test_as_many_arrays_and_objects_as_may_be_and_no_more(part: str) -> None:
    def text(count: int) -> str:
        return f"[{','.join([part] * (count - 1))}]"

    assert len(parse_json(text(MAX_CONTAINERS))) == MAX_CONTAINERS - 1
    with pytest.raises(MessageError, match="at most 4096 arrays and objects"):
        parse_json(text(MAX_CONTAINERS + 1))
