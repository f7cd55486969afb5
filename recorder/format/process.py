"""Processes by number and start, and what killed ones left: files and folders that carry such a name."""

from __future__ import annotations

import os
from pathlib import Path


def process_state(process: int) -> tuple[str, int] | None:
    """A process's state letter and its start in clock ticks since boot; None where the system has neither."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def is_running(process: int, started: int | None) -> bool:
    """Whether a process with this number runs that began at `started` (clock ticks since boot; None: not known)."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    state = process_state(process)
    if state is None:
        return True
    letter, began = state
    return letter not in "ZX" and started in (None, began)


def process_name() -> str:
    """`NUMBER-START` of this process, for what it deletes at its end; START is 0 where it is not known."""
    _, started = process_state(os.getpid()) or ("", 0)
    return f"{os.getpid()}-{started}"


def is_abandoned(name: str) -> bool:
    """Whether the process of a `process_name` is gone; also true of what is no such name."""
    number, _, started = name.partition("-")
    is_name = number.isdecimal() and (started or "0").isdecimal()
    return not (is_name and is_running(int(number), int(started or 0) or None))
