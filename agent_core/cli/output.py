"""How do commands speak? Answers on stdout (as JSON where asked), progress and remarks on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

out = Console()
err = Console(stderr=True)


def answer(value: Any, as_json: bool, show: Callable[[], None]) -> int:
    """Print `value` as JSON, or let `show` print it for people."""
    if as_json:
        sys.stdout.write(json.dumps(value) + "\n")
    else:
        show()
    return 0


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left; a plain line every tenth where stderr is no terminal."""
    columns = (
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(label, total=None)
        printed = [0]

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if bar.disable and done * 10 // max(total, 1) > printed[0]:
                printed[0] = done * 10 // total
                err.print(f"{label}: {done} of {total}", highlight=False)

        yield update
