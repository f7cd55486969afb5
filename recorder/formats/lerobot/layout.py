"""Layout of a dataset's files: the path templates of `meta/info.json`, filled in without leaving the dataset."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from recorder.format.manifest import CaptureError

MAX_TEMPLATE = 256
MAX_NAME = 128
"""Longest name of a camera that becomes part of a path."""
_WIDTH = re.compile(r"(0?[1-9])?d?")
"""The formats of a number: as it is, or with leading zeros up to a width of one digit."""


def file_path(root: Path, template: str, fields: Mapping[str, int | str]) -> Path:
    """A file of the dataset at `root`, such as `data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet`.

    A template has plain fields only. Where there is no such file, but one whose name differs by case alone, it is that
    one. Raises `CaptureError` in one line for a template that is anything else, and for a path outside of `root`.
    """
    if len(template) > MAX_TEMPLATE:
        raise CaptureError(f"a path template of {len(template)} characters")
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise CaptureError(f"path template {template!r}: {error}") from None
    filled = "".join(
        text + _filled(template, name, width, conversion, fields)
        for text, name, width, conversion in parts
    )
    path = PurePosixPath(filled)
    if not filled.isprintable() or "\\" in filled or path.is_absolute() or ".." in path.parts:
        raise CaptureError(f"path template {template!r} leads out of the dataset: {filled!r}")
    return _in_any_case(root / path)


def _filled(
    template: str,
    name: str | None,
    width: str | None,
    conversion: str | None,
    fields: Mapping[str, int | str],
) -> str:
    """One field of a template, as text."""
    if name is None:
        return ""
    if name not in fields:
        known = ", ".join(f"{{{field}}}" for field in fields)
        raise CaptureError(f"path template {template!r}: {{{name}}} is none of {known}")
    value = fields[name]
    if conversion or not _WIDTH.fullmatch(width or "") or (width and isinstance(value, str)):
        raise CaptureError(
            f"path template {template!r}: {{{name}}} may have a format such as :03d, not {width!r}"
        )
    if len(str(value)) > MAX_NAME:
        raise CaptureError(f"path template {template!r}: {{{name}}} is too long")
    return format(value, width or "")


def _in_any_case(path: Path) -> Path:
    """The file, or the only one beside it whose name differs by case alone."""
    if path.exists() or not path.parent.is_dir():
        return path
    others = [other for other in path.parent.iterdir() if other.name.lower() == path.name.lower()]
    return others[0] if len(others) == 1 else path
