"""Episode statistics of one game: what settings are chosen from, before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from agent_core.errors import ConfigError
from games import GameSpec
from recorder import CaptureError, Episode, open_episodes

MAX_READ = 500
"""Episodes whose steps are read, spread evenly over all of them."""


@dataclass(frozen=True)
class EpisodeStatistics:
    """What recorded episodes of one game are like; episodes known as failures are left out where there are others."""

    spec: GameSpec
    episodes: int
    steps: int
    median_steps: float
    """Of an episode."""
    instructions: tuple[str, ...]
    """The distinct ones, sorted; "" where some episodes have none."""
    noop_share: float
    """Share of steps without any action."""
    change_share: float
    """Share of steps whose action differs from the one before."""


def episode_statistics(folders: Sequence[str], game: str) -> EpisodeStatistics:
    """Statistics of the episodes in these folders, all of which must be `game`'s (its spec's name or id).

    Raises `CaptureError` where a folder has no episode, `ConfigError` for episodes of several games or of another one.
    """
    if not folders:
        raise ConfigError("data.episodes names no folder; name one with --data")
    recorded = [episode for folder in folders for episode in open_episodes(folder)]
    spec = _only_spec(recorded, ", ".join(folders), game)
    episodes = [e for e in recorded if e.header.success is not False] or recorded
    read = _read(episodes[:: -(-len(episodes) // MAX_READ)])
    return EpisodeStatistics(
        spec,
        len(episodes),
        sum(map(len, episodes)),
        median(map(len, episodes)),
        tuple(sorted(read.instructions | {e.header.instruction for e in episodes})),
        read.noops / max(1, read.steps),
        read.changes / max(1, read.steps),
    )


def _only_spec(episodes: Sequence[Episode], place: str, game: str) -> GameSpec:
    specs = {episode.spec.id: episode.spec for episode in episodes}
    if len(specs) > 1:
        raise ConfigError(
            f"{place} holds episodes of {' and '.join(sorted(specs))}: settings are chosen for one game; name the "
            "folders of one with --data, or write a recipe such as agent_core/recipes/two-games.toml"
        )
    (spec,) = specs.values()
    if game not in (spec.id, spec.name):
        raise ConfigError(
            f"{place} holds episodes of {spec.name}, not of {game}: --game {spec.name} trains on them, "
            "--data names another folder"
        )
    return spec


@dataclass
class _Read:
    """What the steps of some episodes come to."""

    steps: int = 0
    noops: int = 0
    changes: int = 0
    instructions: set[str] = field(default_factory=set)
    """Those given on the way."""


def _read(episodes: Sequence[Episode]) -> _Read:
    """Read the steps; episodes where that fails are passed over: training names them."""
    read = _Read()
    for episode in episodes:
        try:
            actions, texts = episode.actions, episode.texts
        except CaptureError:
            continue
        null = episode.spec.null_action()
        read.steps += len(actions)
        read.noops += sum(action == null for action in actions)
        read.changes += sum(before != after for before, after in pairwise(actions))
        read.instructions |= {span.text for span in texts if span.style == "instruction"}
    return read
