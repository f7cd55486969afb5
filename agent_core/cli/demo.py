"""What can it do? The checkpoint plays the embedded game over a real websocket while a console page shows its mind."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import itertools
import os
import time
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from bridges.play import PlayReport, Start, play
from bridges.policy import Policy
from bridges.serving.server import BridgeServer
from games.voxel import FREE, TASKS, Goal, VoxelEnv

DEMO_SEED = 2_000_000_000
"""First world of the demo; never recorded, never evaluated."""
_CLOSE_ENOUGH = 0.8


@dataclass(frozen=True)
class Demo:
    """How to show off: `episodes` None plays until Ctrl-C; `pace_hz` None plays as fast as it can."""

    port: int = 8765
    episodes: int | None = None
    pace_hz: float | None = 20.0
    open_browser: bool = True


@dataclass(frozen=True)
class Shown:
    """What the demo came to."""

    episodes: int
    successes: int
    hz: float
    url: str
    first_action_s: float | None

    def summary(self) -> dict[str, Any]:
        return {
            "episodes": self.episodes, "successes": self.successes, "hz": self.hz, "url": self.url,
            "first_action_s": self.first_action_s,
        }  # fmt: skip


def show(policy: Policy, demo: Demo, say: Callable[[str], None]) -> Shown:
    """Serve `policy`, start the game in a process of its own, and report as episodes end."""
    return asyncio.run(_show(policy, demo, say))


async def _show(policy: Policy, demo: Demo, say: Callable[[str], None]) -> Shown:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    async with BridgeServer(policy, port=demo.port) as server:
        say(f"console: {server.console_url}   (Ctrl-C ends)")
        if demo.open_browser and (os.environ.get("DISPLAY") or os.name == "nt"):
            webbrowser.open(server.console_url)
        game = context.Process(
            target=_game,
            args=(server.url, demo.episodes, demo.pace_hz, theirs, os.getpid()),
            daemon=True,
        )
        game.start()
        theirs.close()
        last: dict[str, Any] = {}
        begun = time.monotonic()
        with contextlib.suppress(EOFError, asyncio.CancelledError, KeyboardInterrupt):
            while True:
                last = await asyncio.to_thread(_hear, ours, last)
                if last.pop("started", False):
                    say(f"first action after {time.monotonic() - begun:.1f} s")
                if note := last.pop("note", ""):
                    say(note)
        game.join(3)
        if game.is_alive():
            game.terminate()
        return Shown(
            last.get("episodes", 0), last.get("successes", 0), last.get("hz", 0.0), server.url,
            last.get("first_action_s"),
        )  # fmt: skip


def _hear(pipe: Connection, last: dict[str, Any]) -> dict[str, Any]:
    news = pipe.recv()
    return {**last, **news}


def _game(
    url: str, episodes: int | None, pace_hz: float | None, pipe: Connection, parent: int
) -> None:
    """The game's own process: no torch here, only the environment and the client."""
    env = VoxelEnv()
    first = {"started": False}

    def on_step(act: object, info: dict[str, Any]) -> None:
        if not first["started"] and act is not None:
            first["started"] = True
            pipe.send({"started": True})

    def on_episode(info: dict[str, Any], report: PlayReport) -> None:
        mark = "reached" if info.get("success") else "missed"
        note = f"{mark}: {env.goal.instruction!r}  ({report.successes} of {report.episodes}, {report.hz:.0f} Hz)"
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
            on_instruct=lambda text: env.set_goal(goal_of(text)),
            stop=orphaned,
        )
        pipe.send(_figures(report))
    pipe.close()


def _figures(report: PlayReport) -> dict[str, Any]:
    first = report.first_action_s
    return {
        "episodes": report.episodes,
        "successes": report.successes,
        "hz": round(report.hz, 1),
        "first_action_s": None if first is None else round(first, 2),
    }


def starts(episodes: int | None) -> Iterator[Start]:
    """One fresh world after the other, the tasks in turn."""
    for n, task in zip(itertools.count(), itertools.cycle(TASKS), strict=False):
        if episodes is not None and n >= episodes:
            return
        yield Start(DEMO_SEED + n, {"task": task})


def examples() -> tuple[str, ...]:
    """One sentence for every task and variant, for the console's chips."""
    return tuple(s[0] for task in TASKS.values() for s in task.paraphrases.values())[:12]


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
