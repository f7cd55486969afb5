"""Append-only file: a record is written whole or not at all."""

from pathlib import Path

import pytest

from recorder import DiskFullError
from recorder.format.append_file import AppendFile
from tests.recorder.full_disk import file_size_limit


def test_a_record_that_does_not_fit_leaves_no_part(tmp_path: Path) -> None:
    with AppendFile(tmp_path / "a") as file:
        file.append(b"first\n")
        with file_size_limit(10), pytest.raises(DiskFullError, match="make room first"):
            file.append(b"second\n")
        assert (tmp_path / "a").read_bytes() == b"first\n"
        assert file.size == 6
        file.append_line({"third": 3})
    assert (tmp_path / "a").read_bytes() == b'first\n{"third":3}\n'


def test_a_file_that_is_there_is_continued_and_can_be_cut(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with AppendFile(tmp_path / "a") as file:
        assert file.size == 5
        file.cut(2)
        file.append(b"x")
    assert (tmp_path / "a").read_bytes() == b"12x"
