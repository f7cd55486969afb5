"""Export report: what one export added and left out, whichever format it writes."""

from __future__ import annotations

from dataclasses import dataclass

from recorder.format.manifest import Skipped


@dataclass(frozen=True)
class ExportReport:
    """Result of an export."""

    added: int
    """New episodes."""
    skipped: tuple[Skipped, ...] = ()
    """Episodes that cannot be read, or that the format cannot hold."""
    rounded: int = 0
    """Steps of which a value lies between the format's levels and was written as the nearest."""
