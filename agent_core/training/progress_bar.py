"""Progress bar of long work: a bar on a terminal, a plain line every ten seconds elsewhere; both on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

LINE_EVERY_S = 10.0


class ProgressBar:
    """`with ProgressBar("recording") as update: update(3, 100)`; a hidden one (`shown=False`) prints nothing.

    The bar is drawn where `terminal` is true; else `write` gets the lines, and `clock` (seconds) tells when.
    """

    def __init__(
        self,
        label: str,
        *,
        shown: bool = True,
        terminal: bool | None = None,
        write: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label, self._shown, self._clock = label, shown, clock
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._write = write or (lambda line: sys.stderr.write(line + "\n"))
        self._line_at = clock()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ProgressBar:
        if self._shown and self._terminal:
            self._bar = _rich_bar()
            self._task = self._bar.add_task(self.label, total=None, share="", note="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """`done` of `total` is finished; whole numbers are shown as counts, fractions as per cent."""
        if self._bar is not None:
            self._bar.update(
                self._task, completed=done, total=total, share=share(done, total), note=note
            )
        elif self._shown and (now := self._clock()) - self._line_at >= LINE_EVERY_S:
            self._line_at = now
            self._write(" ".join(filter(None, (f"{self.label}: {share(done, total)}", note))))


def share(done: float, total: float) -> str:
    """`3 of 100` for whole numbers, `35 %` for fractions."""
    if isinstance(done, int) and isinstance(total, int):
        return f"{done} of {total}"
    return f"{100 * done / total:.0f} %" if total else "0 %"


def _rich_bar() -> Any:
    """Label, bar, share, elapsed and remaining time, and a note; no text of it is markup."""
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[share]}", markup=False),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}", markup=False),
        console=Console(stderr=True, markup=False, highlight=False, emoji=False),
    )
