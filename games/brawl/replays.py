"""Replays: matches of the scripted expert as replay files.

`python -m games.brawl.replays --out data/brawl-replays --episodes 20` writes one file an episode, called after its task
and seed. `iafm replay` scores a player against them, `iafm episodes import` makes episodes of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from games.brawl.env import BrawlEnv
from games.brawl.expert import scripted_expert
from games.brawl.replay import write_replay
from games.brawl.tasks import TASKS

FIRST_SEED = 990_000
"""Recordings for training begin with low seeds."""
PLAYER = "scripted expert"
_ABOUT = """Let the scripted expert play the arena, and write a replay file an episode, called after its
task and seed: the match's seed and all commands, from which every picture is drawn again
exactly. A file of that name is replaced. Ctrl-C ends it; the files that are there stay."""
_EXAMPLES = """examples:
  python -m games.brawl.replays --out data/brawl-replays
  python -m games.brawl.replays --out data/cells --episodes 5 --tasks bring_cells
  iafm replay data/brawl-replays
  iafm episodes import data/brawl-replays --out data/brawl-again"""


def play_episode(env: BrawlEnv, task: str, seed: int) -> bool:
    """Let the expert play an episode to its end; whether it reached the goal."""
    env.reset(seed=seed, options={"task": task})
    expert = scripted_expert(env)
    has_ended, info = False, dict[str, Any]()
    while not has_ended:
        _, _, terminated, truncated, info = env.step(expert()[0])
        has_ended = terminated or truncated
    return bool(info["success"])


def write_episode(env: BrawlEnv, folder: Path, task: str, seed: int) -> dict[str, Any]:
    """Play an episode and write its replay; returns its row of the report."""
    success = play_episode(env, task, seed)
    replay = env.replay("expert")
    path = folder / f"{task}-{seed}.npz"
    write_replay(replay, path)
    steps = len(replay) - replay.header.first
    instruction = replay.header.instruction
    return {
        "file": path.name, "task": task, "instruction": instruction, "seed": seed, "steps": steps,
        "success": success,
    }  # fmt: skip


def non_negative_int(text: str) -> int:
    """A whole number from 0 on; raises what argparse reports."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = argparse.ArgumentParser(
        prog="python -m games.brawl.replays",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("--out", type=Path, required=True, help="folder for the files")
    arguments.add_argument(
        "--episodes", type=non_negative_int, default=20, help="how many (default: %(default)s)"
    )
    arguments.add_argument(
        "--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="TASK",
        help=f"played in turn: {', '.join(TASKS)} (default: all)",
    )  # fmt: skip
    arguments.add_argument(
        "--seed", type=non_negative_int, default=FIRST_SEED,
        help="of the first episode; the next has the next (default: %(default)s)",
    )  # fmt: skip
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Print a line an episode on standard error, at the end the report as JSON; 130 after Ctrl-C."""
    options = parser().parse_args(argv)
    written: list[dict[str, Any]] = []
    env, is_interrupted = BrawlEnv(), False
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for number in range(options.episodes):
            task = options.tasks[number % len(options.tasks)]
            written.append(write_episode(env, options.out, task, options.seed + number))
            _remark(
                f"{number + 1} of {options.episodes}: {written[-1]['file']}, {_ending(written[-1])}"
            )
    except KeyboardInterrupt:
        is_interrupted = True
    except OSError as error:
        _remark(f"{options.out} cannot be written: {error.strerror}")
        return 2
    report = {"player": PLAYER, "out": str(options.out), "interrupted": is_interrupted}
    print(json.dumps({**report, "written": written}, indent=2))
    return 130 if is_interrupted else 0


def _ending(row: dict[str, Any]) -> str:
    return f"{row['steps']:,} steps, {'' if row['success'] else 'no '}success"


def _remark(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
