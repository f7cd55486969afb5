"""Append-only file: a record is written whole or not at all."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recorder import DiskFullError
from recorder.format.append_file import AppendFile


@pytest.fixture
def limit() -> Iterator[Callable[[int], None]]:
    """Sets the largest size of a file, in bytes; what is beyond it fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_record_that_does_not_fit_leaves_no_part(
    tmp_path: Path, limit: Callable[[int], None]
) -> None:
    with AppendFile(tmp_path / "a") as file:
        file.append(b"first\n")
        limit(10)
        with pytest.raises(DiskFullError, match="make room first"):
            file.append(b"second\n")
        assert (tmp_path / "a").read_bytes() == b"first\n"
        assert file.size == 6
        limit(resource.RLIM_INFINITY)
        file.append_line({"third": 3})
    assert (tmp_path / "a").read_bytes() == b'first\n{"third":3}\n'


def test_a_file_that_is_there_is_continued_and_can_be_cut(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with AppendFile(tmp_path / "a") as file:
        assert file.size == 5
        file.cut(2)
        file.append(b"x")
    assert (tmp_path / "a").read_bytes() == b"12x"
