"""Episode statistics of one game: what settings are chosen from, before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from agent_core.errors import ConfigError
from games import GameSpec
from recorder import CaptureError, Episode, open_episodes

MAX_READ = 500
"""Episodes whose actions are read, spread evenly over all of them."""


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
    every = -(-len(episodes) // MAX_READ)
    noops, changes, read = _count_actions(episodes[::every], spec)
    return EpisodeStatistics(
        spec,
        len(episodes),
        sum(map(len, episodes)),
        median(map(len, episodes)),
        tuple(sorted({e.header.instruction for e in episodes})),
        noops / max(1, read),
        changes / max(1, read),
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


def _count_actions(episodes: Sequence[Episode], spec: GameSpec) -> tuple[int, int, int]:
    """Steps without action, steps that change it, all steps; episodes that cannot be read are passed over."""
    null, noops, changes, read = spec.null_action(), 0, 0, 0
    for episode in episodes:
        try:
            actions = episode.actions
        except CaptureError:
            continue  # training names it and leaves it out
        noops += sum(action == null for action in actions)
        changes += sum(before != after for before, after in pairwise(actions))
        read += len(actions)
    return noops, changes, read
