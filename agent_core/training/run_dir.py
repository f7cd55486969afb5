"""Run folder: created, locked by one run at a time, cleared for a new one, intact where the disk is full."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from agent_core.errors import TrainError

STATE, BEST, LAST = "state", "best", "last"
_LOCK = "lock"


def create_run_dir(run_dir: Path) -> None:
    """Make sure that there is a run's folder; raises `TrainError`."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(
            f"{run_dir} cannot be a run's folder ({error.strerror}); take another with --run"
        ) from None


@contextmanager
def locked_run_dir(run_dir: Path, is_main: bool = True) -> Iterator[None]:
    """Create the folder and hold it for this run alone; raises `TrainError` where another process trains in it.

    The lock belongs to the open file: the system releases it when the process ends, however it ends. Of a run's
    processes the main one takes it.
    """
    create_run_dir(run_dir)
    if not is_main:
        yield
        return
    try:
        descriptor = os.open(run_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise TrainError(
            f"cannot write to {run_dir} ({error.strerror}); take another folder with --run"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise TrainError(
                f"process {owner} trains in {run_dir}; wait for it, or take another folder with --run"
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def clear_run(run_dir: Path) -> None:
    """Remove everything of an earlier run but its decoded frames."""
    folders = [f"{name}{end}" for name in (STATE, BEST, LAST) for end in ("", ".old")]
    for path in (run_dir / name for name in (*folders, "log.jsonl", "tensorboard")):
        path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)


@contextmanager
def write_guard(run_dir: Path) -> Iterator[None]:
    """Where the disk is full, remove unfinished files and raise `TrainError`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        for draft in run_dir.glob("*.draft"):
            draft.unlink() if draft.is_file() else shutil.rmtree(draft, ignore_errors=True)
        raise TrainError(
            f"cannot write to {run_dir}: {error}; what was saved before is intact, run again to go on"
        ) from None
