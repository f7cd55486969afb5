"""Tables of episodes for people: as wide as the terminal, or as they need to be away from one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from agent_core.cli.output import printable, say

Row = Mapping[str, Any]
Columns = Mapping[str, Callable[[Row], str]]
"""By heading: the cell of a row. Headings that begin with ">" are of numbers, aligned to the right."""
MIN_TEXT = 20
"""Columns of the terminal below which a row's text gets a line of its own."""


def show_list(rows: Sequence[Row]) -> None:
    """A line per episode, and how many there are."""
    columns: Columns = {
        "recorded": lambda row: _local(row["date"]),
        ">length": lambda row: duration(row["seconds"]),
        ">size": lambda row: size(row["bytes"]),
        "game": lambda row: row["game"],
        "task": lambda row: row["task"] or "–",
        "actor": lambda row: row["actor"],
        "success": outcome,
    }
    _print(columns, rows, lambda row: row["instruction"], "instruction")
    say(_total(rows, len(rows)))


def show_stats(rows: Sequence[Row]) -> None:
    """A line per task, and the total."""
    columns: Columns = {
        "game": lambda row: row["game"],
        "task": lambda row: row["task"] or "–",
        ">episodes": lambda row: f"{row['episodes']:,}",
        ">steps": lambda row: f"{row['steps']:,}",
        ">length": lambda row: duration(row["seconds"]),
        ">size": lambda row: size(row["bytes"]),
        ">success": success_rate,
    }
    _print(columns, rows)
    say(_total(rows, sum(row["episodes"] for row in rows)))


def show_steps(rows: Sequence[Row]) -> None:
    """Each episode in words: when an action, thought or caption began."""
    columns: Columns = {
        ">step": lambda row: f"{row['step']:,}",
        ">time": lambda row: duration(row["seconds"]),
        "action": lambda row: row["action"],
    }
    for name, of_episode in groupby(rows, key=lambda row: row["id"]):
        say(name)
        steps, thought = [], ""
        for row in of_episode:
            before, thought = thought, row["thought"] or row["caption"]
            steps.append({**row, "text": "" if thought == before else thought})
        _print(columns, steps, lambda row: row["text"], "thought")
        say("")


def show_validation(rows: Sequence[Row]) -> None:
    """The captures with problems or notes, and how many there are."""
    for row in rows:
        dropped = f"{row['dropped']:,} steps were dropped while it was recorded"
        notes = [*row["problems"], *filter(None, (row["note"], dropped * bool(row["dropped"])))]
        if notes:
            say(row["id"])
        for note in notes:
            say(f"  {note}")
    bad = sum(bool(row["problems"]) for row in rows)
    say(f"{len(rows):,} captures, {f'{bad:,} with' if bad else 'no'} problems")


def outcome(row: Row) -> str:
    """Whether an episode was a success, in a word."""
    return {True: "yes", False: "no", None: "unfinished"}[row["success"]]


def success_rate(row: Row) -> str:
    """The share of successes and of how many episodes it is known."""
    return "–" if row["success"] is None else f"{row['success']:.0%} of {row['judged']:,}"


def duration(seconds: float) -> str:
    """As minutes and seconds, 75:04, also beyond an hour."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,}:{rest:02}"


def size(number: int) -> str:
    """Bytes with a unit and two or three digits: 7.4 MB."""
    value, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}" if value < 9.95 and units[0] != "B" else f"{value:.0f} {units[0]}"  # fmt: skip


def _local(date: str) -> str:
    """When an episode was recorded, by the clock of this machine."""
    return datetime.fromisoformat(date).astimezone().strftime("%Y-%m-%d %H:%M")


def _total(rows: Sequence[Row], episodes: int) -> str:
    """How much there is: episodes, steps, time, room, successes."""
    judged = [row for row in rows if row["success"] is not None]
    weights = [row.get("judged", 1) for row in judged]
    parts = [
        f"{episodes:,} episode{'s' * (episodes != 1)}",
        f"{sum(row['steps'] for row in rows):,} steps",
        duration(sum(row["seconds"] for row in rows)),
        size(sum(row["bytes"] for row in rows)),
    ]
    if judged:
        wins = sum(float(r["success"]) * w for r, w in zip(judged, weights, strict=True))
        parts.append(f"success {wins / sum(weights):.0%} of {sum(weights):,}")
    return "total: " + ", ".join(parts)


def _print(
    columns: Columns,
    rows: Sequence[Row],
    text: Callable[[Row], str] | None = None,
    heading: str = "",
) -> None:
    """Lines of aligned cells. `text` is the last column; on a narrow terminal it gets lines of its own."""
    cells = [[_one_line(cell(row)) for cell in columns.values()] for row in rows]
    heads = [name.removeprefix(">") for name in columns]
    widths = [max(map(_width, column)) for column in zip(heads, *cells, strict=True)]
    right = [name.startswith(">") for name in columns]
    texts = [_one_line(text(row)) for row in rows] if text else [""] * len(rows)
    room = _columns_of_terminal() - sum(widths) - 2 * len(widths)
    is_below = room < min(MIN_TEXT, max(map(_width, texts), default=0))
    say(_line(heads, widths, right, "" if is_below else heading, room))
    for row, words in zip(cells, texts, strict=True):
        say(_line(row, widths, right, "" if is_below else words, room))
        if is_below and words:
            say("    " + _fit(words, _columns_of_terminal() - 4))


def _line(
    cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], text: str, room: int
) -> str:
    padded = [
        " " * (width - _width(cell)) + cell if is_right else cell + " " * (width - _width(cell))
        for cell, width, is_right in zip(cells, widths, right, strict=True)
    ]
    return "  ".join([*padded, _fit(text, room)]).rstrip()


def _columns_of_terminal() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 1 << 30


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())


def _width(text: str) -> int:
    """Columns of a terminal that a text takes; Chinese characters take two."""
    from rich.cells import cell_len

    return cell_len(text)


def _fit(text: str, room: int) -> str:
    """The text, cut to so many columns of the terminal."""
    from rich.cells import set_cell_size

    return text if _width(text) <= room else set_cell_size(text, max(room - 1, 0)) + "…"
