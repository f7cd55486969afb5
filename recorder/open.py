"""Opening of episodes: the captures under a path, or one exported dataset."""

from __future__ import annotations

from pathlib import Path

from recorder.episodes.episode import Episode, EpisodeSet
from recorder.format.manifest import MANIFEST, CaptureError
from recorder.formats.lerobot.reader import is_dataset, open_dataset


def open_episodes(path: Path | str) -> EpisodeSet:
    """All finished captures under a folder, or the episodes of a dataset written by `export_lerobot`.

    Captures without a single step are skipped. Raises `CaptureError` where no episode remains.
    """
    root = Path(path)
    if is_dataset(root):
        return open_dataset(root)
    if (root / MANIFEST).exists():
        return EpisodeSet([Episode.open(root)])
    folders = sorted(p.parent for p in root.glob(f"*/{MANIFEST}")) if root.is_dir() else []
    episodes = [Episode.open(folder) for folder in folders]
    finished = [e for e in episodes if e.manifest.status != "recording"]
    if not any(len(e) for e in finished):
        unfinished = len(episodes) - len(finished)
        hint = f" ({unfinished} unfinished: run `iafm episodes recover`)" if unfinished else ""
        raise CaptureError(f"no episodes in {root}{hint}; record some with `iafm record`")
    return EpisodeSet([e for e in finished if len(e)])


def closed_captures(root: Path) -> list[Episode]:
    """The captures under a folder that were closed in order; none where there is no folder yet.

    Raises `CaptureError` where the folder is a dataset, or one of its captures is damaged.
    """
    if is_dataset(root):
        raise CaptureError(f"{root} is a LeRobot dataset; captures need a folder of their own")
    episodes = [Episode.open(path.parent) for path in sorted(root.glob(f"*/{MANIFEST}"))]
    return [episode for episode in episodes if episode.manifest.status == "closed"]
