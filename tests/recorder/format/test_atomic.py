"""Atomic replacement: the old content or the new, whatever happens in between."""

import os
from pathlib import Path

import pytest

from recorder.format.atomic import (
    current_or_old,
    replaced_file,
    replaced_folder,
    restore_folder,
    write_atomic,
)


def content_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_text_and_bytes_are_written(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "früher")
    write_atomic(tmp_path / "a", "später")
    write_atomic(tmp_path / "b", b"\x00\xff")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "später"
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_file_is_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    flush, rename = os.fsync, Path.replace

    def logged_flush(file: int) -> None:
        order.append("flush")
        flush(file)

    def logged_rename(path: Path, target: Path) -> Path:
        order.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", logged_flush)
    monkeypatch.setattr(Path, "replace", logged_rename)
    write_atomic(tmp_path / "a", "new")
    with replaced_folder(tmp_path / "folder") as draft:
        (draft / "b").write_text("new")
        (draft / "c").write_text("new")
    assert order == ["flush", "rename", "flush", "flush", "rename"]


def test_a_disk_that_takes_no_more_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomic(tmp_path / "a", "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(tmp_path / "a", "new")
    assert content_of(tmp_path) == {"a": "old"}


def test_a_block_that_raises_leaves_what_was_there(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "old")
    with pytest.raises(KeyboardInterrupt), replaced_file(tmp_path / "a") as draft:  # noqa: PT012
        draft.write_text("ne")
        raise KeyboardInterrupt
    assert content_of(tmp_path) == {"a": "old"}
    with replaced_folder(tmp_path / "folder") as draft:
        (draft / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), replaced_folder(tmp_path / "folder") as draft:  # noqa: PT012
        (draft / "a").write_text("ne")
        raise KeyboardInterrupt
    assert content_of(tmp_path / "folder") == {"a": "old"}
    assert {path.name for path in tmp_path.iterdir()} == {"a", "folder"}


def test_a_folder_cut_off_between_its_renames_is_still_there(tmp_path: Path) -> None:
    folder, old = tmp_path / "folder", tmp_path / "folder.old"
    with replaced_folder(folder) as draft:
        (draft / "a").write_text("first")
    folder.replace(old)
    assert current_or_old(folder) == old
    with pytest.raises(KeyboardInterrupt), replaced_folder(folder):
        raise KeyboardInterrupt
    assert content_of(current_or_old(folder)) == {"a": "first"}
    restore_folder(folder)
    assert content_of(folder) == {"a": "first"}
    folder.replace(old)
    with replaced_folder(folder) as draft:
        (draft / "a").write_text("second")
    assert current_or_old(folder) == folder
    assert content_of(folder) == {"a": "second"}
    assert not old.exists()


def test_linked_files_of_a_folder_stay_whole(tmp_path: Path) -> None:
    """A dataset is extended by linking its large files."""
    with replaced_folder(tmp_path / "folder") as draft:
        (draft / "large").write_text("first")
    with replaced_folder(tmp_path / "folder") as draft:
        os.link(tmp_path / "folder" / "large", draft / "large")
        (draft / "more").write_text("second")
    assert content_of(tmp_path / "folder") == {"large": "first", "more": "second"}
