"""Output of the commands: answers on stdout (JSON where asked for), progress and remarks on stderr.

Text is written as it is: nothing in it is markup, and no line of it is wrapped. Control characters, which could move
a terminal's cursor, are shown as escapes. Only tables are laid out; away from a terminal they are as wide as they need.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

WIDE = 10_000
"""Columns of a table that goes to a file or a pipe: nothing is wrapped there."""


def answer(value: Any, as_json: bool, show: Callable[[], None]) -> int:
    """Print `value` as one line of JSON, or let `show` print it for people; returns exit code 0."""
    if as_json:
        say_json(value)
    else:
        show()
    return 0


def say(text: str) -> None:
    """A line of the answer."""
    _write(sys.stdout, printable(text))


def say_json(value: Any) -> None:
    """A line of JSON, written at once; what is no number in it is null."""
    _write(sys.stdout, json.dumps(_strict(value)))


def remark(text: str) -> None:
    """A line beside the answer."""
    _write(sys.stderr, printable(text))


@contextmanager
def remarks(logger: str) -> Iterator[None]:
    """What a logger of this name warns of is a remark while the context lasts."""
    handler = _RemarkHandler(logging.WARNING)
    logging.getLogger(logger).addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger(logger).removeHandler(handler)


class _RemarkHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        remark(record.getMessage())


def table(head: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table of the answer; cells are text, never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=Text(title) if title else None)
    for name in head:
        grid.add_column(Text(printable(name)))
    for row in rows:
        grid.add_row(*(Text(printable(str(cell))) for cell in row))
    width = None if sys.stdout.isatty() else WIDE
    console = Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as capture:
        console.print(grid)
    _write(sys.stdout, capture.get().rstrip("\n"))


def records(rows: Sequence[Mapping[str, object]]) -> None:
    """A table of records that have the same fields."""
    head = list(dict.fromkeys(name for row in rows for name in row))
    table(head, [[plain(row.get(name)) for name in head] for row in rows])


def fields(values: Mapping[str, object]) -> None:
    """A table with a row a field; of nested fields a row each, with both names."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += [(f"{name} {inner}", plain(number)) for inner, number in value.items()]
        else:
            rows.append((name, plain(value)))
    table(("", "value"), rows)


def plain(value: object) -> str:
    """A field for people: "–" for none, numbers to four significant digits, sequences with commas."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return (
                "–"
                if math.isnan(value)
                else f"{value:,.4g}"
                if abs(value) < 1000
                else f"{value:,.0f}"
            )
        case int():
            return f"{value:,}"
        case list() | tuple():
            return ", ".join(map(plain, value)) or "–"
        case Mapping():
            return ", ".join(f"{name} {plain(inner)}" for name, inner in value.items())
    return str(value)


def printable(text: str) -> str:
    """`text` with its control characters as escapes such as `\\x1b`; line ends and tabs stay."""
    return "".join(ascii(c)[1:-1] if _is_control(c) else c for c in text)


def _is_control(character: str) -> bool:
    """Whether it is one of Unicode's C0 and C1 controls that are no line end or tab."""
    return (character < " " and character not in "\n\t") or "\x7f" <= character <= "\x9f"


def _write(stream: IO[str], text: str) -> None:
    stream.write(text + "\n")
    stream.flush()


def _strict(value: Any) -> Any:
    """`value` as JSON has it: NaN and infinity are null, what is no JSON (a path) is text."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case Mapping():
            return {str(name): _strict(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_strict(inner) for inner in value]
    return str(value)
