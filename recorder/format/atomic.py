"""Atomic replacement of files and folders: a reader finds the old content or the new, never a part.

New content is written beside its place as `NAME.draft`, flushed to the disk and renamed. A file is replaced by one
rename. A folder takes two: the old one becomes `NAME.old` until the new one stands; after a kill in between,
`current_or_old` still finds it and `restore_folder` puts it back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRAFT = ".draft"
"""Ending of a file or folder that has not taken its place yet; a kill may leave one."""


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8); where that fails, the old one stays and no draft is left."""
    with replaced_file(path) as draft:
        if isinstance(content, bytes):
            draft.write_bytes(content)
        else:
            draft.write_text(content, encoding="utf-8")


@contextmanager
def replaced_file(path: Path, draft: Path | None = None) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` at the block's end and is deleted where the block raises.

    Give a `draft` where several processes may write the same file at once.
    """
    draft = draft or path.with_name(path.name + DRAFT)
    try:
        yield draft
        _flush(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """An empty folder to write to, which takes the place of `path` at the block's end, as `replaced_file`."""
    draft = path.with_name(path.name + DRAFT)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        for file in draft.rglob("*"):
            if file.is_file() and file.stat().st_nlink == 1:  # a linked one was flushed before
                _flush(file)
        _replace_folder(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def current_or_old(folder: Path) -> Path:
    """The folder, or its predecessor where a kill met its replacing."""
    old = _predecessor(folder)
    return old if old.is_dir() and not folder.exists() else folder


def restore_folder(folder: Path) -> None:
    """Undo a replacement that was cut off between its two renames, and delete what another one left."""
    old = _predecessor(folder)
    if old.exists() and not folder.exists():
        old.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _replace_folder(draft: Path, path: Path) -> None:
    old = _predecessor(path)
    if path.exists():  # else the predecessor is all there is, until the draft stands
        shutil.rmtree(old, ignore_errors=True)
        path.replace(old)
    draft.replace(path)
    shutil.rmtree(old, ignore_errors=True)


def _predecessor(folder: Path) -> Path:
    return folder.with_name(folder.name + ".old")


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
