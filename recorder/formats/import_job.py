"""Import job: what one import added, skipped, dropped and clipped, whichever format it reads.

An episode is known by a hash of its content, not by its name: a repeated import adds nothing, two folders of the same
name are both imported, and a copy under another name is not. What cannot be read is skipped and named; the rest is
imported. A full disk stops the import.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from games import GameSpec
from recorder.capture.staging import delete_abandoned, staged
from recorder.capture.writer import DISK_NEEDED, CaptureWriter
from recorder.format.manifest import (
    CaptureError,
    CaptureInfo,
    DiskFullError,
    ImportSource,
    Skipped,
)
from recorder.open import closed_captures

logger = logging.getLogger("iafm.import")


@dataclass(frozen=True)
class ImportReport:
    """Result of an import."""

    added: int
    """New episodes."""
    held: int = 0
    """Episodes that were there already, by content."""
    skipped: tuple[Skipped, ...] = ()
    """What could not be read: recordings, clips, episodes, or lines of them."""
    dropped: int = 0
    """Steps of the source that are in no episode: without a picture, without an action, or not certain to belong
    together."""
    clipped: float = 0.0
    """Share of added steps with a value beyond the game's range, which were clipped to it."""


class ImportJob:
    """One import into the folder `out`.

    With `strict` the first thing that cannot be read raises `CaptureError` instead of being skipped.
    """

    def __init__(self, out: Path, *, strict: bool = False, disk_needed: int = DISK_NEEDED) -> None:
        self.out = out
        self._strict = strict
        self._disk_needed = disk_needed
        delete_abandoned(out)
        captures = closed_captures(out)
        sources = [(e.id, e.header.source) for e in captures]
        self._held = {source.sha256: (id_, source.options) for id_, source in sources if source}
        self._added = self._present = 0
        self._skipped: list[Skipped] = []
        self._steps = self._dropped = self._clipped = 0
        self._has_warned = False
        for capture in captures.skipped:
            self.skip(capture.source, f"{capture.why}; what it holds may be imported again")

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Around one episode of the source: what makes it unreadable is noted, and the import goes on."""
        try:
            yield
        except DiskFullError:
            raise
        except CaptureError as error:
            self.skip(name, str(error))

    def skip(self, name: str, why: str) -> None:
        """Note that a part of the source was left out; raises `CaptureError` with `strict`."""
        if self._strict:
            raise CaptureError(f"{name}: {why}")
        logger.warning("skipped %s: %s", name, why)
        self._skipped.append(Skipped(name, why))

    def holds(self, source: ImportSource) -> bool:
        """Whether `out` holds an episode of this content; it is counted then.

        One that was imported with other options is noted as skipped: a second one beside it would double its steps.
        """
        if source.sha256 not in self._held:
            return False
        capture, options = self._held[source.sha256]
        if options == source.options:
            self._present += 1
        else:
            before = options or "the defaults"
            self.skip(
                source.name,
                f"imported before, as {capture}, with other options ({before}); delete that or use another --out",
            )
        return True

    @contextmanager
    def capture(
        self, spec: GameSpec, info: CaptureInfo, source: ImportSource
    ) -> Iterator[CaptureWriter]:
        """A capture that takes its place at the block's end, and is counted as added; deleted where the block raises.

        The block may close it, to say whether it was a success.
        """
        info = info.model_copy(update={"source": source})
        with staged(self.out, spec, info, disk_needed=self._disk_needed) as capture:
            yield capture
            if not capture.steps:
                raise CaptureError("no step of it can be read")
        self._held[source.sha256] = (capture.folder.name, source.options)
        self._added += 1
        self._steps += capture.steps

    def drop(self, steps: int) -> None:
        """Count steps of the source that are in no episode."""
        self._dropped += steps

    def clip(self, steps: int, warning: str) -> None:
        """Count steps whose values were clipped; the import's first are logged at once, with `warning`."""
        if steps and not self._has_warned:
            logger.warning(warning)
            self._has_warned = True
        self._clipped += steps

    def report(self) -> ImportReport:
        """What the import did so far."""
        return ImportReport(
            added=self._added,
            held=self._present,
            skipped=tuple(self._skipped),
            dropped=self._dropped,
            clipped=round(self._clipped / max(self._steps, 1), 4),
        )


def content_hash(*parts: bytes | str) -> str:
    """SHA-256 over byte strings and texts, in hexadecimal; where one part ends is part of it."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal; raises `CaptureError` where it cannot be read."""
    try:
        stat = path.stat()
        return _file_hash(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=1024)
def _file_hash(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
