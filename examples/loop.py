"""The loop: a person plays, a model is trained, the agent plays, the person corrects it, the model is trained again.

python -m examples.loop --out runs/loop           # ten simulated minutes of play; about ten minutes on two cores
python -m examples.loop --demo                    # a moment of everything, which learns nothing

The person is scripted: a reaction late, with mistakes. All play goes over the wire, and `iafm train` gets what the
server recorded.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent_core.agent import Agent
from agent_core.evaluation.metrics import wilson_interval
from bridges.client import BridgeClient, connect
from bridges.policy import Policy
from bridges.protocol.fields import Owner
from bridges.record_client import record
from bridges.serving.no_policy import NoPolicy
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from examples.catch import (
    FALL,
    FLOOR,
    REACH,
    SPEC,
    SPEED,
    Catch,
    Nobody,
    Player,
    play,
    play_recorded,
)
from games import Action
from recorder import Tap, open_episodes

LATENCY = 4
"""Steps that the person sees the game late: a fifth of a second."""
MISTAKE_PROB, MISTAKE_STEPS = 0.01, 5
SLACK = LATENCY + 2
"""Steps to spare, as the person sees it, at which the agent gets corrected."""
SETTINGS = (
    "model.frame_height=48", "model.frame_width=96", "model.pooled_grid=[3,6]", "model.width=64", "model.layers=2",
    "model.context_frames=2", "model.frame_stride=1", "data.window_frames=2", "data.change_sample_weight=4",
    "loss.mae=0", "train.warmup_steps=50", "train.ema_decay=0.99", "train.validation_windows=256",
)  # fmt: skip
"""Of the training: a small model that learns such a small game in minutes."""
TEST_SEEDS, CORRECTED_SEEDS = 1_000_000, 2_000_000


class Person:
    """Presses towards the ball that it saw a moment ago, and now and then something else."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._seen: deque[tuple[int, float]] = deque(maxlen=LATENCY + 1)
        """Where the ball was, newest last."""
        self._mistake: Action = SPEC.null_action()
        self._mistaken_steps = 0

    def press(self, game: Catch, agent: BridgeClient | None) -> Action | None:
        self._seen.append((game.ball, game.y))
        if self._mistaken_steps == 0 and self._rng.random() < MISTAKE_PROB:
            key = self._rng.integers(3)
            self._mistake = SPEC.normalize({"left": int(key == 1), "right": int(key == 2)})
            self._mistaken_steps = MISTAKE_STEPS
        if self._mistaken_steps:
            self._mistaken_steps -= 1
            return self._mistake
        off = self._seen[0][0] - game.paddle
        return SPEC.normalize({"left": int(off < -SPEED), "right": int(off > SPEED)})


class Corrector(Person):
    """Watches the agent, takes over when it is nearly too late, and hands back once the ball has landed."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._owns = False

    def press(self, game: Catch, agent: BridgeClient | None) -> Action | None:
        if game.y == 0 and self._owns and agent is not None:
            self._owns = False
            agent.control("shared")
        pressed = super().press(game, agent)
        target, y = self._seen[0]
        steps_needed = max(0.0, abs(target - game.paddle) - REACH) / SPEED
        if y < game.y and steps_needed and (FLOOR - y) / FALL - steps_needed <= SLACK:
            self._owns = True
        return pressed if self._owns else None


def record_person(first_seed: int, episodes: int, person: Player, out: Path) -> None:
    """Episodes that a person plays without an agent, recorded in `out`."""
    with (
        background_server(NoPolicy(), listeners=[Tap(out)]) as server,
        record(server.url, SPEC, instruction="catch every ball", mode="lockstep") as recorder,
    ):
        for seed in range(first_seed, first_seed + episodes):
            play_recorded(recorder, seed, person)


def rollout(
    policy: Policy,
    first_seed: int,
    episodes: int,
    person: Player,
    owner: Owner,
    out: Path | None = None,
) -> dict[str, Any]:
    """Episodes over the wire, recorded in `out`; returns successes with their interval."""
    listeners = [Tap(out)] if out else []
    with (
        background_server(policy, listeners=listeners) as server,
        connect(server.url, SPEC, owner=owner) as agent,
    ):
        wins = 0
        for seed in range(first_seed, first_seed + episodes):
            wins += play(agent, seed, person)
            agent.control(owner)
    low, high = wilson_interval(wins, episodes)
    return {"successes": wins, "episodes": episodes, "low": round(low, 3), "high": round(high, 3)}


def train(data: list[Path], run: Path, minutes: float, settings: Sequence[str]) -> Path:
    """`iafm train` in a process of its own; returns the checkpoint."""
    values = [
        *SETTINGS,
        f"data.episodes={json.dumps([str(path) for path in data])}",
        f"train.minutes={minutes}",
        *settings,
    ]
    options = [part for value in values for part in ("--set", value)]
    command = [sys.executable, "-m", "agent_core", "train", "--run", str(run), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return run / "best"


def run_loop(out: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Everything once; returns the figures."""
    steps = int(args.minutes * 60 * SPEC.step_hz)
    episodes = max(2, steps // 90)
    settings = args.set or []
    say, started = print, time.monotonic()
    rows: dict[str, Any] = {}

    def measure(name: str, policy: Policy, person: Player, owner: Owner) -> None:
        rows[name] = rollout(policy, TEST_SEEDS, args.episodes, person, owner)
        share = rows[name]
        say(
            f"{time.monotonic() - started:5.0f} s  {name}: {share['successes']} of {share['episodes']}",
            flush=True,
        )

    measure("random", RandomPolicy(), Nobody(), "agent")
    measure("person", RandomPolicy(), Person(1), "human")
    record_person(0, episodes, Person(0), out / "person")
    first = train([out / "person"], out / "first", args.train_minutes, settings)
    measure("first", agent_of(first), Nobody(), "agent")
    rollout(
        agent_of(first), CORRECTED_SEEDS, args.corrected, Corrector(2), "shared", out / "corrected"
    )
    again = [*settings, f'train.init_from="{first}"', "train.lr=1e-3"]
    more = train([out / "person"], out / "longer", args.train_minutes, again)
    measure("longer", agent_of(more), Nobody(), "agent")
    second = train([out / "person", out / "corrected"], out / "second", args.train_minutes, again)
    measure("corrected", agent_of(second), Nobody(), "agent")
    return {
        "success": rows,
        "recorded": recorded(out),
        "seconds": round(time.monotonic() - started),
    }


def agent_of(checkpoint: Path) -> Agent:
    return Agent.load(checkpoint, num_candidates=0, temperature=0.0)


def recorded(out: Path) -> dict[str, Any]:
    """What was recorded: episodes, steps, and whose."""
    rows = {}
    for name in ("person", "corrected"):
        episodes = open_episodes(out / name)
        by = [who for episode in episodes for who in episode.by]
        rows[name] = {
            "episodes": len(episodes),
            "steps": len(by),
            "human": by.count("human"),
            "agent": by.count("agent"),
        }
    return rows


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description="The loop of play, training and correction")
    options.add_argument("--out", type=Path, default=Path("runs/loop"), help="an empty folder")
    options.add_argument(
        "--minutes", type=float, default=10, help="simulated, of the person's play"
    )
    options.add_argument("--train-minutes", type=float, default=1.5)
    options.add_argument("--episodes", type=int, default=100, help="to measure with")
    options.add_argument("--corrected", type=int, default=60, help="episodes that are corrected")
    options.add_argument("--set", action="append", metavar="NAME=VALUE", help="for the training")
    options.add_argument("--json", action="store_true")
    options.add_argument("--demo", action="store_true", help="the smallest of everything")
    return options


def main() -> None:
    args = parser().parse_args()
    if args.demo:
        args.minutes, args.train_minutes, args.episodes, args.corrected = 0, 0, 2, 2
        args.out = Path(tempfile.mkdtemp())
        args.set = ["train.steps=2", "train.batch=4", "model.width=16", "model.layers=1"]
    try:
        report = run_loop(args.out, args)
    finally:
        if args.demo:
            shutil.rmtree(args.out)
    print(json.dumps(report) if args.json else table(report))


def table(report: dict[str, Any]) -> str:
    lines = [f"{'player':10} {'success':>8}  95 % interval"]
    for name, row in report["success"].items():
        share = row["successes"] / row["episodes"]
        lines.append(f"{name:10} {share:8.0%}  {row['low']:.0%} to {row['high']:.0%}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
