"""Tournament: matches of two grades of bots, and how sure it is that one of them is the better.

`python -m games.brawl.tournament --matches 40` plays each grade against the one below, and the best against itself.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from itertools import pairwise

from games.brawl.bout import Bout
from games.brawl.skill import GRADES, Skill

_Z = 1.96
"""Normal quantile of a 95 % interval."""


@dataclass(frozen=True)
class Standing:
    """Wins of the first grade (a draw is half a one), and Wilson's 95 % interval of its share."""

    wins: float
    matches: int
    low: float
    high: float


def play_tournament(one: Skill, other: Skill, matches: int, first_seed: int = 0) -> Standing:
    """Play `matches`, the first grade on either side in turn."""
    wins = sum(_play(one, other, seed) for seed in range(first_seed, first_seed + matches))
    return standing(wins, matches)


def standing(wins: float, matches: int) -> Standing:
    """The standing of so many wins."""
    share, z2 = wins / matches, _Z * _Z
    middle = (share + z2 / (2 * matches)) / (1 + z2 / matches)
    half = (
        _Z
        * math.sqrt(share * (1 - share) / matches + z2 / (4 * matches * matches))
        / (1 + z2 / matches)
    )
    return Standing(wins, matches, round(middle - half, 3), round(middle + half, 3))


def _play(one: Skill, other: Skill, seed: int) -> float:
    """1 where the first grade wins, 0.5 for a draw."""
    is_swapped = seed % 2 == 1
    bout = Bout(seed, (other, one) if is_swapped else (one, other))
    while not bout.match.is_over:
        bout.step({})
    winner = bout.match.winner
    return 0.5 if winner is None else float(winner == int(is_swapped))


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = argparse.ArgumentParser(description="matches of the bots' grades")
    arguments.add_argument("--matches", type=int, default=40, help="of each two grades")
    return arguments


def main() -> None:
    """Print the standing of each grade against the one below, and of the best one's west against east, as JSON."""
    matches = parser().parse_args().matches
    results = {
        f"{better.name} against {worse.name}": asdict(play_tournament(better, worse, matches))
        for worse, better in pairwise(GRADES.values())
    }
    best = [*GRADES.values()][-1]
    mirror = sum(_play(best, best, seed) for seed in range(0, 2 * matches, 2))  # always in the west
    results[f"{best.name} in the west against {best.name}"] = asdict(standing(mirror, matches))
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
