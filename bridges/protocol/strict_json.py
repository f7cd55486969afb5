"""Strict JSON: bounded in bytes, values and depth, without NaN, infinity or lone surrogates.

Every check is one pass of C code over the text, so that a hostile message costs no more than a legal one of its size.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any

import numpy as np

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, or the rest of the text behind a quote that is never closed; possessive, so that nothing is tried twice."""
_BRACKETS = np.zeros(256, np.int8)
_BRACKETS[list(b"[{")] = 1
_BRACKETS[list(b"]}")] = -1
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_MAY_OVERFLOW = (b"e000", b"e+000", b"0" * 200)
"""One of which every number beyond a double's holds, its digits as zeros: a long exponent, or hundreds of digits."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

MAX_CONTAINERS = 4096
"""Arrays and objects of a text: an empty one of 2 bytes takes 64 when it is read."""
_TOO_LARGE = "a number is too large"


class JsonError(ValueError):
    """A text is no strict JSON, too long or too deep."""


def parse(text: str, *, max_bytes: int, max_depth: int) -> Any:
    """The value of a JSON text; raises `JsonError`."""
    try:
        if len(text) > max_bytes or len(data := text.encode()) > max_bytes:
            raise JsonError(f"a text message has at most {max_bytes} bytes")
        if _containers(data) > max_depth:
            _check_containers(_outside_strings(data), max_depth)
        zeros = data.translate(_DIGITS_AS_ZEROS)
        parse_float = _finite if any(part in zeros for part in _MAY_OVERFLOW) else None
        value = json.loads(text, parse_constant=_refuse, parse_float=parse_float)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # raises where one is alone
    except JsonError:
        raise
    except json.JSONDecodeError as error:
        raise JsonError(f"no valid JSON: {error}") from None
    except UnicodeEncodeError:
        raise JsonError("half of a surrogate pair is no character") from None
    except ValueError:  # an integer of thousands of digits
        raise JsonError(_TOO_LARGE) from None
    return value


def _containers(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{")


def _check_containers(outside: bytes, max_depth: int) -> None:
    """Whether a parser would enter more levels, be it before it fails on a text that is no JSON, or make too many."""
    brackets = _BRACKETS[np.frombuffer(outside, np.uint8)]
    if brackets.cumsum(dtype=np.int32).max(initial=0) > max_depth:
        raise JsonError(f"JSON is at most {max_depth} levels deep")
    if _containers(outside) > MAX_CONTAINERS:
        raise JsonError(f"JSON has at most {MAX_CONTAINERS} arrays and objects")


def _outside_strings(data: bytes) -> bytes:
    """The text without its strings, those that are never closed included."""
    if b"\\" in data:
        return _STRING.sub(b"", data)
    return b"".join(data.split(b'"')[::2])


def _refuse(name: str) -> None:
    raise JsonError(f"{name} is not JSON")


def _finite(literal: str) -> float:
    if not isfinite(value := float(literal)):
        raise JsonError(_TOO_LARGE)
    return value
