"""Recorded episodes: listing, statistics, validation, recovery, export and import."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from games.registry import load
from recorder import (
    ActionColumns,
    CaptureError,
    Episode,
    Skipped,
    detect_format,
    export_bleeding_edge,
    export_lerobot,
    export_vpt,
    find_episodes,
    import_bleeding_edge,
    import_captions,
    import_doom,
    import_lerobot,
    import_vpt,
    inspect_captures,
    open_readable,
    recordings,
    recover,
)
from recorder.formats.brawl.importer import import_brawl

export_logger = logging.getLogger("iafm.export")
Progress = Callable[[int, int], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class EpisodeRows:
    """A row per episode, task or step; `skipped` names the captures that have none because they cannot be read."""

    rows: list[Row]
    skipped: tuple[Skipped, ...] = ()
    has_problems: bool = False
    """Whether anything was skipped, or has problems by its row."""


def manage_episodes(
    action: str, path: Path, *, strict: bool = False, progress: Progress | None = None
) -> EpisodeRows:
    """Rows of the actions list, show, stats, validate and recover.

    Raises `CaptureError` where there is no episode, and with `strict` at the first that cannot be read, or has
    problems.
    """
    match action:
        case "recover":
            return EpisodeRows(
                [
                    {"capture": r.folder.name, "outcome": r.outcome, "steps": r.steps}
                    for r in recover(path)
                ]
            )
        case "validate":
            return _validated(path, strict, progress)
    episodes = open_readable(path, strict=strict, progress=progress)
    match action:
        case "show":
            rows = [row for episode in episodes for row in _steps(episode)]
        case "stats":
            rows = _stats([_record(e) for e in episodes])
        case _:
            rows = [_record(e) for e in episodes]
    return EpisodeRows(rows, episodes.skipped, bool(episodes.skipped))


EXPORTERS = {"lerobot": export_lerobot, "bleeding-edge": export_bleeding_edge, "vpt": export_vpt}
"""What writes a format: LeRobotDataset v3.0, Bleeding Edge's `.npz` files, VPT's recordings."""
_COUNT: dict[str, Callable[[Path], int]] = {
    "lerobot": lambda out: len(find_episodes(out)),
    "bleeding-edge": lambda out: len(list(out.glob("*.npz"))),
    "vpt": lambda out: len(recordings(out)),
}
"""Number of episodes that a folder holds, by format."""


def export_episodes(
    path: Path,
    out: Path,
    progress: Progress | None = None,
    *,
    format_name: str = "lerobot",
    strict: bool = False,
) -> dict[str, Any]:
    """Write the episodes under `path` in a format of `EXPORTERS` at `out`, or add those it does not hold yet.

    Those that cannot be read are `skipped`, and logged; with `strict` the first of them raises `CaptureError`.
    """
    episodes = open_readable(path, strict=strict)
    for each in episodes.skipped:
        export_logger.warning("skipped %s: %s", each.source, each.why)
    if format_name not in EXPORTERS:
        raise CaptureError(f"{format_name} is imported only; exported are {', '.join(EXPORTERS)}")
    report = EXPORTERS[format_name](episodes, out, strict=strict, progress=progress)
    return {
        "added": report.added,
        "skipped": skipped_records((*episodes.skipped, *report.skipped)),
        "rounded": report.rounded,
        "episodes": _COUNT[format_name](out),
        "out": str(out),
    }


@dataclass(frozen=True)
class ImportOptions:
    """What an import takes from the user rather than from the files; each counts for some formats only."""

    camera: str = ""
    columns: ActionColumns = field(default_factory=ActionColumns)
    instruction: str = ""
    task: str = ""
    recorder_version: str = ""
    format_name: str = ""
    """A key of `_KINDS`; found by the files' names where empty."""

    def check(self, path: Path, kind: str) -> None:
        """Raises `CaptureError` for an option that the files' format does not know."""
        for name, option, of in _OPTIONS:
            if of != kind and getattr(self, name) != getattr(ImportOptions(), name):
                raise CaptureError(
                    f"{path} holds {_KINDS[kind]}: {option} counts for {_KINDS[of]} only"
                )


_KINDS = {
    "captions": "clips with captions",
    "lerobot": "a LeRobot dataset",
    "vpt": "recordings of Minecraft",
    "bleeding-edge": "recordings of Bleeding Edge",
    "brawl": "replay files of brawl",
    "doom": "demos of Doom",
}
_OPTIONS = (
    ("camera", "--camera", "lerobot"),
    ("columns", "--action-column or --numbers", "lerobot"),
    ("instruction", "--instruction", "vpt"),
    ("task", "--task", "vpt"),
    ("recorder_version", "--recorder-version", "vpt"),
)


def import_episodes(
    path: Path,
    out: Path,
    game: str | None,
    options: ImportOptions | None = None,
    progress: Progress | None = None,
    *,
    strict: bool = False,
) -> dict[str, Any]:
    """Convert foreign recordings to captures under `out`: a LeRobotDataset, VPT's and Bleeding Edge's
    formats, replay files of brawl, demos of Doom, or clips with captions.

    What cannot be read is `skipped`; with `strict` the first of that raises `CaptureError`.
    """
    options = options or ImportOptions()
    kind = options.format_name or detect_format(path)
    options.check(path, kind)
    match kind:
        case "captions":
            spec = load(game or "clips").spec
            report = import_captions(path, out, spec, strict=strict, progress=progress)
        case "vpt":
            spec = load(game or "minecraft").spec
            report = import_vpt(
                path, out, spec, instruction=options.instruction, task=options.task,
                recorder_version=options.recorder_version, strict=strict, progress=progress,
            )  # fmt: skip
        case "bleeding-edge":
            spec = load(game or "bleeding-edge").spec
            report = import_bleeding_edge(path, out, spec, strict=strict, progress=progress)
        case "brawl":
            spec = load(game or "brawl").spec
            report = import_brawl(path, out, spec, strict=strict, progress=progress)
        case "doom":
            spec = load(game or "doom").spec
            report = import_doom(path, out, spec, strict=strict, progress=progress)
        case "lerobot":
            if game is None:
                raise CaptureError(f"{path} is a LeRobot dataset: it needs --game, such as calvin")
            report = import_lerobot(
                path, out, load(game), camera=options.camera, columns=options.columns, strict=strict,
                progress=progress,
            )  # fmt: skip
    return {
        "added": report.added,
        "held": report.held,
        "skipped": skipped_records(report.skipped),
        "dropped": report.dropped,
        "clipped": report.clipped,
        "episodes": len(find_episodes(out)),
        "out": str(out),
    }


def skipped_records(skipped: Sequence[Skipped]) -> list[dict[str, str]]:
    """What was left out, as records."""
    return [asdict(each) for each in skipped]


def _validated(path: Path, strict: bool, progress: Progress | None) -> EpisodeRows:
    rows = []
    for each in inspect_captures(path, strict=strict, progress=progress):
        note = "being written, not checked" if each.is_being_written else ""
        rows.append(
            {"id": each.name, "problems": list(each.problems), "steps": each.steps,
             "dropped": each.dropped, "note": note}
        )  # fmt: skip
    return EpisodeRows(rows, has_problems=any(row["problems"] for row in rows))


def _record(episode: Episode) -> Row:
    header = episode.header
    began = datetime.fromtimestamp(episode.manifest.start_wall_ns / 1e9, UTC)
    return {
        "id": episode.id,
        "date": began.isoformat(timespec="seconds"),
        "game": episode.spec.name,
        "task": header.task,
        "actor": header.actor,
        "steps": len(episode),
        "seconds": round(len(episode) / episode.spec.step_hz, 2),
        "bytes": episode.size_bytes,
        "success": header.success,
        "instruction": header.instruction,
    }


def _steps(episode: Episode) -> list[Row]:
    """An episode in words: a row whenever action, thought or caption changes."""
    rows: list[Row] = []
    previous: tuple[str, ...] = ()
    names = ("action", "thought", "caption")
    steps = zip(episode.executed, episode.thoughts, episode.captions, strict=True)
    for i, (action, thought, caption) in enumerate(steps):
        texts = (episode.spec.to_words(action), thought, caption)
        if texts != previous:
            seconds = round(i / episode.spec.step_hz, 2)
            named = dict(zip(names, texts, strict=True))
            rows.append({"id": episode.id, "step": i, "seconds": seconds, **named})
        previous = texts
    return rows


def _stats(records: list[Row]) -> list[Row]:
    """A row per task of each game."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for record in records:
        groups.setdefault((record["game"], record["task"]), []).append(record)
    rows = []
    for (game, task), of_task in sorted(groups.items()):
        seconds = sum(record["seconds"] for record in of_task)
        judged = [record["success"] for record in of_task if record["success"] is not None]
        rows.append(
            {
                "game": game,
                "task": task,
                "episodes": len(of_task),
                "steps": sum(record["steps"] for record in of_task),
                "minutes": round(seconds / 60, 1),
                "seconds": round(seconds, 2),
                "bytes": sum(record["bytes"] for record in of_task),
                "success": round(sum(judged) / len(judged), 3) if judged else None,
                "judged": len(judged),
            }
        )
    return rows
