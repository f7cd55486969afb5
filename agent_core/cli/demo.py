"""The demo: a checkpoint plays an embedded game over a real websocket while a console page shows its decisions."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import itertools
import os
import time
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from agent_core.cli.brawl_demo import play_arena
from bridges.play import PlayReport, Start, play
from bridges.policy import Policy
from bridges.serving.server import BridgeServer
from games.voxel import FREE, TASKS, Goal, VoxelEnv

DEMO_SEED = 2_000_000_000
"""First world of the demo; never recorded, never evaluated."""
_CLOSE_ENOUGH = 0.8


@dataclass(frozen=True)
class Demo:
    """Settings of a demo: `episodes` None plays until Ctrl-C; `pace_hz` None plays as fast as it can."""

    port: int = 8765
    episodes: int | None = None
    pace_hz: float | None = 20.0
    open_browser: bool = True
    game: str = "voxel"
    """One of `GAMES`."""


@dataclass(frozen=True)
class DemoReport:
    """Figures of a demo."""

    episodes: int
    successes: int
    unjudged: int
    """Episodes under a typed goal that the game cannot judge."""
    hz: float
    url: str
    first_action_s: float | None
    matches: int = 0
    wins: float = 0.0
    """Of the arena's matches; a draw is half a win."""

    def summary(self) -> dict[str, Any]:
        """The figures as plain values."""
        return asdict(self)


def play_demo(policy: Policy, demo: Demo, report: Callable[[str], None]) -> DemoReport:
    """Serve `policy`, start the game in a process of its own, and `report` a line as episodes end."""
    return asyncio.run(_play_demo(policy, demo, report))


async def _play_demo(policy: Policy, demo: Demo, report: Callable[[str], None]) -> DemoReport:
    async with BridgeServer(policy, port=demo.port) as server:
        report(f"console: {server.console_url}   (Ctrl-C ends)")
        if demo.open_browser and (os.environ.get("DISPLAY") or os.name == "nt"):
            webbrowser.open(server.console_url)
        game, pipe = _start_game(server.url, demo)
        figures = await _follow(pipe, report)
        game.join(3)
        if game.is_alive():
            game.terminate()
        return DemoReport(url=server.url, **figures)


def _start_game(url: str, demo: Demo) -> tuple[SpawnProcess, Connection]:
    """The game's process, and the end of a pipe that gets its news."""
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    args = (url, demo.episodes, demo.pace_hz, writer, os.getpid())
    game = context.Process(target=GAMES[demo.game], args=args, daemon=True)
    game.start()
    writer.close()
    return game, reader


async def _follow(pipe: Connection, report: Callable[[str], None]) -> dict[str, Any]:
    """Report news until the game ends or Ctrl-C; returns the last figures."""
    figures = _figures(PlayReport())
    begun = time.monotonic()
    with contextlib.suppress(EOFError, asyncio.CancelledError, KeyboardInterrupt):
        while True:
            news = await asyncio.to_thread(pipe.recv)
            if news.pop("started", False):
                report(f"first action after {time.monotonic() - begun:.1f} s")
            if note := news.pop("note", ""):
                report(note)
            figures |= news
    return figures


def _arena(
    url: str, episodes: int | None, pace_hz: float | None, pipe: Connection, parent: int
) -> None:
    """The arena's process: four fighters of one match, no torch here."""
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        play_arena(url, DEMO_SEED, episodes, pace_hz, pipe.send, lambda: os.getppid() != parent)
    pipe.close()


def _block_world(
    url: str, episodes: int | None, pace_hz: float | None, pipe: Connection, parent: int
) -> None:
    """The block world's process: no torch here, only the environment and the client."""
    env = VoxelEnv()
    goals = DemoGoals(env)
    first = {"started": False}

    def on_step(act: object, info: dict[str, Any]) -> None:
        if not first["started"] and act is not None:
            first["started"] = True
            pipe.send({"started": True})

    def on_episode(info: dict[str, Any], report: PlayReport) -> None:
        mark = {True: "reached", False: "missed", None: "not judged"}[info.get("success")]
        judged = report.episodes - report.unjudged
        note = f"{mark}: {env.goal.instruction!r}  ({report.successes} of {judged}, {report.hz:.0f} Hz)"
        pipe.send({**_figures(report), "note": note})

    def orphaned(report: PlayReport) -> bool:
        return os.getppid() != parent

    with contextlib.suppress(BrokenPipeError):
        report = play(
            env,
            url,
            starts(episodes),
            pace_hz=pace_hz,
            tasks=examples(),
            on_step=on_step,
            on_episode=on_episode,
            on_instruct=goals.follow,
            stop=orphaned,
        )
        pipe.send(_figures(report))
    pipe.close()


GAMES = {"voxel": _block_world, "brawl": _arena}
"""What is played in the game's process."""


def _figures(report: PlayReport) -> dict[str, Any]:
    first = report.first_action_s
    return {
        "episodes": report.episodes,
        "successes": report.successes,
        "unjudged": report.unjudged,
        "hz": round(report.hz, 1),
        "first_action_s": None if first is None else round(first, 2),
    }


def starts(episodes: int | None) -> Iterator[Start]:
    """One fresh world after the other, the tasks in turn."""
    for n, task in enumerate(itertools.islice(itertools.cycle(TASKS), episodes)):
        yield Start(DEMO_SEED + n, {"task": task})


def examples() -> tuple[str, ...]:
    """One sentence for every task and variant, for the console's chips."""
    return tuple(s[0] for task in TASKS.values() for s in task.paraphrases.values())[:12]


class DemoGoals:
    """The goal of each episode: the demo's own, or a typed one until it is released."""

    def __init__(self, env: VoxelEnv) -> None:
        self._env = env
        self._own, self._typed = env.goal, env.goal

    def follow(self, text: str | None) -> bool:
        """Take up a typed goal, or the episode's own again (None); returns whether the game can judge it."""
        if self._env.goal is not self._typed:
            self._own = self._env.goal
        self._typed = self._own if text is None else goal_of(text)
        self._env.set_goal(self._typed)
        return self._typed.task != FREE


def goal_of(text: str) -> Goal:
    """The goal a typed sentence means: the closest known paraphrase, else free play with these words."""
    known = {
        sentence.lower(): (task.name, items)
        for task in TASKS.values()
        for items, sentences in task.paraphrases.items()
        for sentence in sentences
    }
    close = difflib.get_close_matches(text.strip().lower(), known, n=1, cutoff=_CLOSE_ENOUGH)
    if not close:
        return Goal(FREE, text)
    task, items = known[close[0]]
    return Goal(task, text, items)
