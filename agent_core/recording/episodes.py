"""Recorded episodes: listing, statistics, validation, recovery, export and import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from games.registry import load
from recorder import (
    ActionColumns,
    CaptureError,
    Episode,
    detect_format,
    export_lerobot,
    import_captions,
    import_lerobot,
    import_vpt,
    open_episodes,
    recover,
    validate,
)


def manage_episodes(action: str, path: Path) -> list[dict[str, Any]]:
    """One row per episode (list, show, validate, recover) or per task (stats)."""
    match action:
        case "recover":
            return [
                {"capture": r.folder.name, "outcome": r.outcome, "steps": r.steps}
                for r in recover(path)
            ]
        case "show":
            return [row for episode in open_episodes(path) for row in _steps(episode)]
        case "validate":
            return [{"id": e.id, "problems": validate(e)} for e in open_episodes(path)]
        case "stats":
            return _stats(list(open_episodes(path)))
    return [
        {"id": e.id, "task": e.header.task, "actor": e.header.actor, "steps": len(e), "success": e.header.success,
         "instruction": e.header.instruction}
        for e in open_episodes(path)
    ]  # fmt: skip


def export_episodes(
    path: Path, out: Path, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Write the episodes under `path` as a LeRobotDataset v3.0 at `out`, or add those it does not hold yet."""
    report = export_lerobot(open_episodes(path), out, progress=progress)
    return {"added": report.added, "episodes": len(open_episodes(out)), "out": str(out)}


def import_episodes(
    path: Path,
    out: Path,
    game: str | None,
    camera: str = "",
    columns: ActionColumns | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Convert foreign recordings to captures under `out`: a LeRobotDataset, VPT's format, or clips with captions."""
    report: dict[str, Any] = {"added": 0, "episodes": 0, "out": str(out)}
    match detect_format(path):
        case "captions":
            spec = load(game or "clips").spec
            report["added"] = import_captions(path, out, spec, progress=progress).added
        case "vpt":
            imported = import_vpt(path, out, load(game or "minecraft").spec, progress=progress)
            report |= {"added": imported.added, "clipped": imported.clipped}
            skipped = [{"source": s.source, "why": s.why} for s in imported.skipped]
            report |= {"dropped": imported.dropped, "skipped": skipped}
        case "lerobot":
            if game is None:
                raise CaptureError(f"{path} is a LeRobot dataset: it needs --game, such as calvin")
            target = load(game)
            converted = import_lerobot(
                path, out, target, camera=camera, columns=columns, progress=progress
            )
            report |= {"added": converted.added, "clipped": converted.clipped}
    return report | {"episodes": len(open_episodes(out))}


def _steps(episode: Episode) -> list[dict[str, Any]]:
    """An episode in words: a row whenever action, thought or caption changes."""
    rows: list[dict[str, Any]] = []
    previous: tuple[str, ...] = ()
    names = ("action", "thought", "caption")
    steps = zip(episode.executed, episode.thoughts, episode.captions, strict=True)
    for i, (action, thought, caption) in enumerate(steps):
        texts = (episode.spec.to_words(action), thought, caption)
        if texts != previous:
            rows.append({"id": episode.id, "step": i, **dict(zip(names, texts, strict=True))})
        previous = texts
    return rows


def _stats(episodes: list[Episode]) -> list[dict[str, Any]]:
    rows = []
    for task in sorted({e.header.task for e in episodes}):
        of_task = [e for e in episodes if e.header.task == task]
        steps = sum(len(e) for e in of_task)
        judged = [e.header.success for e in of_task if e.header.success is not None]
        rate = round(sum(judged) / len(judged), 3) if judged else None
        minutes = round(sum(len(e) / e.spec.step_hz for e in of_task) / 60, 1)
        rows.append(
            {
                "task": task,
                "episodes": len(of_task),
                "steps": steps,
                "minutes": minutes,
                "success": rate,
            }
        )
    return rows
