"""Texts and events of a capture, each on disk when the call returns."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from recorder.format.append_file import AppendFile
from recorder.format.manifest import EVENTS, TEXT, Style, TextSpan


class NoteWriter:
    """Writes `text.jsonl` and `events.jsonl`; one process at a time does. Raises `DiskFullError`."""

    def __init__(self, folder: Path) -> None:
        self._texts_file = AppendFile(folder / TEXT)
        self._events_file = AppendFile(folder / EVENTS)
        self._texts = 0

    def text(
        self,
        *,
        style: Style,
        text: str,
        i0: int,
        i1: int | None,
        t0_ns: int | None,
        t1_ns: int | None,
        source: str,
        author: str,
        supersedes: int | None,
    ) -> int:
        """Write a text about the frames from `i0`; returns its id."""
        span = TextSpan(
            id=self._texts, t0_ns=time.monotonic_ns() if t0_ns is None else t0_ns, t1_ns=t1_ns, i0=i0, i1=i1,
            text=text, style=style, source=source, author=author, supersedes=supersedes,
        )  # fmt: skip
        self._texts_file.append_line(span.model_dump())
        self._texts += 1
        return span.id

    def event(self, kind: str, i: int, values: dict[str, Any]) -> None:
        """Write an event before frame `i`."""
        self._events_file.append_line({"t_ns": time.monotonic_ns(), "i": i, "kind": kind, **values})

    def close(self) -> None:
        """Close the files; safe to call twice."""
        self._texts_file.close()
        self._events_file.close()
