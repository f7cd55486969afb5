"""Index files of public recordings: their forms, and paths that are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import CaptureError
from recorder.formats.vpt.index import IndexedRecording, RecordingIndex, parse_index, unsafe

BASE = "https://example.org/data/"


def parse(paths: list[Any], base: Any = BASE) -> RecordingIndex:
    return parse_index(json.dumps({"basedir": base, "relpaths": paths}).encode(), "all.json")


@pytest.mark.parametrize("suffix", [".mp4", ""])
@pytest.mark.parametrize("base", [BASE, BASE.rstrip("/")])
def test_both_forms(suffix: str, base: str) -> None:
    index = parse([f"data/6.9/a-1-20220101-000000{suffix}", f"b{suffix}"], base)
    first, second = index.recordings
    assert index.url(first, ".jsonl") == BASE + "data/6.9/a-1-20220101-000000.jsonl"
    assert (first.local, second.local) == ("6.9/a-1-20220101-000000", "b")
    assert index.skipped == ()


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../a", "a/../../b", "a/./b", "a//b", "C:/a", "C:a", "a\\b", "\\\\host\\a", "a\0b",
        "a\nb", "-rf", ".ssh/a", "a/.b", "a?b", "a#b", "a%2e%2eb", "~a", "ä", "a" * 201, 3, None, ["a"],
        "file:a", "http://b/a",
    ],
)  # fmt: skip
def test_paths_that_are_refused(path: Any) -> None:
    index = parse([path, "6.9/good"])
    assert [r.path for r in index.recordings] == ["6.9/good"]
    assert len(index.skipped) == 1


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=30))
def test_what_is_not_refused_is_inside(text: str) -> None:
    if not unsafe(text):
        assert set(text) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/"
        )
        assert not {"", ".", ".."} & set(IndexedRecording(text).local.split("/"))


def test_two_that_would_be_one_file() -> None:
    index = parse(["x/6.9/a.mp4", "x/6.9/a", "y/6.9/A.mp4", "y/6.10/a.mp4"])
    assert [r.path for r in index.recordings] == ["x/6.9/a", "y/6.10/a"]
    (skipped,) = index.skipped
    assert "written where 'x/6.9/a' is" in skipped.why


def test_many_that_are_refused_are_counted() -> None:
    skipped = parse([".."] * 50).skipped
    assert (len(skipped), skipped[-1].why) == (21, "30 further paths are refused")


@pytest.mark.parametrize(
    "base",
    [
        "file:///data/", "ftp://example.org/", "//example.org/", "", "data", "https://", "https:///a", 3, None,
        "https://a b/", "https://exämple.org/", "https://[::1/", "https://h:99999/", "https://me:pw@example.org/",
        "javascript:1",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(base: Any) -> None:
    with pytest.raises(CaptureError):
        parse(["a"], base)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"basedir": "https://a/", "relpaths": {}}']
)  # fmt: skip
def test_what_is_no_index(content: bytes) -> None:
    with pytest.raises(CaptureError, match=r"all\.json is no index file"):
        parse_index(content, "all.json")


def test_a_pattern() -> None:
    index = parse(["data/6.9/a-1", "data/6.13/b-2", "data/6.13/c-22"])
    assert [r.path for r in index.matching("6.13/").recordings] == ["data/6.13/b-2", "data/6.13/c-22"]  # fmt: skip
    assert [r.path for r in index.matching("6.*-2").recordings] == ["data/6.13/b-2", "data/6.13/c-22"]  # fmt: skip
    assert [r.path for r in index.matching("[bc]-2").recordings] == ["data/6.13/b-2", "data/6.13/c-22"]  # fmt: skip
    assert len(index.matching("").recordings) == 3
