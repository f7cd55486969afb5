"""Disk guard: whether there is room for more steps."""

from __future__ import annotations

import shutil
from pathlib import Path

from recorder.format.manifest import DiskFullError

DISK_CHECK_STEPS = 20
"""Steps between two checks of the free space."""


class DiskGuard:
    """Looks at the free space of a folder now and then."""

    def __init__(self, folder: Path, pause: int) -> None:
        self.paused = False
        """Whether there was too little room when last looked at."""
        self._folder = folder
        self._pause = pause

    def has_changed(self, step: int) -> bool:
        """Look at the disk where it is time to, by the game's number of the step; whether `paused` changed."""
        if step % DISK_CHECK_STEPS:
            return False
        before = self.paused
        self.paused = shutil.disk_usage(self._folder).free < self._pause
        return self.paused != before


def require_room(folder: Path, needed: int) -> None:
    """Raise `DiskFullError` where fewer than `needed` bytes are free."""
    if (free := shutil.disk_usage(folder).free) < needed:
        raise DiskFullError(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: make room first"
        )
