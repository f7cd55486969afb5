"""Opening of episodes: the captures under a path, or one exported dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from recorder.capture.recover import is_being_written
from recorder.episodes.episode import Episode, EpisodeSet
from recorder.episodes.readable import readable_episodes
from recorder.format.manifest import MANIFEST, CaptureError, Skipped
from recorder.formats.lerobot.reader import is_dataset, open_dataset


def open_episodes(path: Path | str, *, strict: bool = False) -> EpisodeSet:
    """All finished captures under a folder, or the episodes of a dataset written by `export_lerobot`.

    Only manifests are read. Captures with a damaged one, those left open and those without a step are named in the
    result's `skipped`; with `strict` the first of them raises `CaptureError` instead. One that is being written is left
    out. Raises `CaptureError` where no episode remains.
    """
    root = Path(path)
    episodes = find_episodes(root, strict=strict)
    if not len(episodes):
        raise _no_episodes(root, episodes.skipped)
    return episodes


def find_episodes(root: Path, *, strict: bool = False) -> EpisodeSet:
    """As `open_episodes`, but empty where there is no episode, or no folder yet."""
    if is_dataset(root):
        dataset = open_dataset(root)
        if strict and dataset.skipped:
            first = dataset.skipped[0]
            raise CaptureError(f"{first.source}: {first.why}")
        return dataset
    episodes, skipped = [], []
    for folder in [root] if (root / MANIFEST).exists() else capture_folders(root):
        try:
            episode = Episode.open(folder)
            if why := _unusable(episode):
                raise CaptureError(why)
        except CaptureError as error:
            if strict:
                raise CaptureError(f"{folder.name}: {error}") from None
            skipped.append(Skipped(folder.name, str(error)))
            continue
        if episode.manifest.status != "recording":
            episodes.append(episode)
    return EpisodeSet(episodes, skipped)


def open_readable(
    path: Path | str,
    *,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> EpisodeSet:
    """As `open_episodes`, and without those that `check_readable` finds to be damaged, which are in `skipped` too.

    Empty where nothing but damaged ones remains. Raises `CaptureError` where there is neither an episode nor a damaged
    one, and with `strict` at the first of these.
    """
    episodes = find_episodes(Path(path), strict=strict)
    if not len(episodes) and not episodes.skipped:
        raise _no_episodes(Path(path), ())
    return readable_episodes(episodes, strict=strict, progress=progress)


def capture_folders(root: Path) -> list[Path]:
    """The folders under `root` that have a manifest, by name."""
    return sorted(path.parent for path in root.glob(f"*/{MANIFEST}"))


def closed_captures(root: Path) -> EpisodeSet:
    """The captures under a folder that were closed in order; none where there is no folder yet.

    Those with a damaged manifest are in `skipped`. Raises `CaptureError` where the folder is a dataset.
    """
    if is_dataset(root):
        raise CaptureError(f"{root} is a LeRobot dataset; captures need a folder of their own")
    captures, skipped = [], []
    for folder in capture_folders(root):
        try:
            captures.append(Episode.open(folder))
        except CaptureError as error:
            skipped.append(Skipped(folder.name, str(error)))
    return EpisodeSet([e for e in captures if e.manifest.status == "closed"], skipped)


def _unusable(episode: Episode) -> str:
    """The reason why a capture is no episode to use; empty where it is one, or is still being written."""
    manifest = episode.manifest
    if manifest.status != "recording":
        return "" if len(episode) else "it has no step and can be deleted"
    return "" if is_being_written(manifest) else "it was left open: run `iafm episodes recover`"


def _no_episodes(root: Path, skipped: Sequence[Skipped]) -> CaptureError:
    why = ""
    if skipped:
        first = skipped[0]
        why = f" ({len(skipped)} that cannot be used; {first.source}: {first.why})"
    elif (root / MANIFEST).exists() or capture_folders(root):
        why = " (but what is being recorded)"
    return CaptureError(f"no episodes in {root}{why}; record some with `iafm record`")
