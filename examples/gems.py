"""The canvas game without a person: a scripted player of it, and pages in headless Chromium that count what it takes.

iafm serve --policy examples.gems:PLAYER --record data/gems --page examples/canvas_game.html
python -m examples.gems --fast --episodes 800           # in another terminal; needs playwright and Chromium
python -m examples.gems --demo                          # an action of the scripted player, without either

Pages stay open until that many episodes have ended. The policy of the server plays: 20 steps a second, or with `--fast`
as fast as it answers; with `--silent` it is told no goal.
"""

import argparse
import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent_core.cli.termination import leaves_on_sigterm
from bridges.console.screenshot import find_browser
from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.serving.random_policy import RandomPolicy
from games import Action, Frame, GameSpec

URL = "http://127.0.0.1:8765/game"
LOOK_EVERY_MS = 250
TIMEOUT_S = 60.0
"""Longest time without the end of an episode; one takes five seconds at most."""
AWAKE = ("--disable-background-timer-throttling", "--disable-renderer-backgrounding")
"""Chromium's options with which pages behind others go on."""


class PageError(Exception):
    """There is no page, or no episode of it ends."""


class ScriptedPlayer:
    """A program, not a person: it looks for the white square and for the gem that the instruction names."""

    name = "scripted-gems"

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        return RandomPolicy().attach(spec)  # of which nothing is used: it has no state

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        actions = [action_towards(request.frame, request.instruction) for request in requests]
        return [Decision(action=action, words="seek", probability=1.0) for action in actions]

    def ask(self, player: PolicySession, question: str) -> str:
        return "I go to the gem"


PLAYER = ScriptedPlayer()


def action_towards(frame: Frame, instruction: str) -> Action:
    """The keys that lead the white square to the gem; none without an instruction."""
    red, _, blue = np.moveaxis(frame.astype(int), 2, 0)
    if "gem" not in instruction:
        return {"left": 0, "right": 0, "up": 0, "down": 0}
    wanted = (red - blue > 80) if "red" in instruction else (blue - red > 80)
    x, y = _center(wanted) - _center(frame.min(axis=2) > 180)
    return {"left": int(x < -1), "right": int(x > 1), "up": int(y < -1), "down": int(y > 1)}


def _center(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean column and row of what is true; the picture's corner where nothing is."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()]) if len(rows) else np.zeros(2)


@contextlib.contextmanager
def pages(url: str, count: int, seed: int, flags: Sequence[str]) -> Iterator[list[Any]]:
    """So many pages of the game in headless Chromium, each with worlds of its own; `flags` are the page's options."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=AWAKE)
        opened = [browser.new_page() for _ in range(count)]
        try:
            for number, page in enumerate(opened):
                page.goto("&".join((f"{url}?seed={seed + number}", *flags)))
            yield opened
        except Error as error:
            raise PageError(f"no game at {url}: {error.message.splitlines()[0]}") from error
        finally:
            browser.close()


def tally(opened: Sequence[Any], episodes: int) -> dict[str, int]:
    """What was taken in the first so many episodes to end, to the page: the right gem, the wrong one, or none."""
    counts, waited_ms = {"right": 0, "wrong": 0, "none": 0}, 0.0
    while (before := sum(counts.values())) < episodes:
        opened[0].wait_for_timeout(LOOK_EVERY_MS)
        taken = [
            page.evaluate("({ ...document.getElementById('score').dataset })") for page in opened
        ]
        counts = {name: sum(int(page.get(name, 0)) for page in taken) for name in counts}
        waited_ms = 0.0 if sum(counts.values()) > before else waited_ms + LOOK_EVERY_MS
        if waited_ms > 1000 * TIMEOUT_S:
            raise PageError(
                f"no episode has ended for {TIMEOUT_S:.0f} s: {opened[0].inner_text('body')}"
            )
    return counts


def report(counts: dict[str, int]) -> dict[str, Any]:
    """The counts, and the share of right ones with Wilson's 95 % interval."""
    from agent_core.evaluation.metrics import (
        wilson_interval,  # needs the extra `agent`; the player does not
    )

    episodes = sum(counts.values())
    low, high = wilson_interval(counts["right"], episodes)
    share = counts["right"] / episodes
    return {"episodes": episodes, **counts, "share": round(share, 3),
            "interval": [round(low, 3), round(high, 3)]}  # fmt: skip


def demo() -> None:
    """A picture of the game's colours, and where the scripted player goes."""
    frame = np.full((72, 128, 3), (42, 47, 55), np.uint8)
    frame[20:28, 20:28], frame[20:28, 100:108] = (229, 72, 77), (59, 130, 246)
    frame[33:39, 61:67] = 255
    for instruction in ("take the red gem", "take the blue gem"):
        pressed = [key for key, down in action_towards(frame, instruction).items() if down]
        print(f"{instruction}: {' + '.join(pressed)}")


def parser() -> argparse.ArgumentParser:
    """The script's options."""
    options = argparse.ArgumentParser(prog="python -m examples.gems", description=__doc__)
    options.add_argument("--url", default=URL, help="the game's page (default: %(default)s)")
    options.add_argument("--pages", type=int, default=4, help="open at once (default: %(default)s)")
    options.add_argument("--episodes", type=int, default=100, help="of all pages together")
    options.add_argument("--seed", type=int, default=0, help="worlds of the first page")
    options.add_argument("--fast", action="store_true", help="the game waits for the player")
    options.add_argument("--silent", action="store_true", help="the pages name no goal")
    options.add_argument("--demo", action="store_true", help="no pages: what the player would do")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Print what was taken as JSON: 0; 2 where there is no game."""
    args = parser().parse_args(argv)
    if args.demo:
        demo()
        return 0
    try:
        flags = [flag for flag in ("fast", "silent") if getattr(args, flag)]
        with leaves_on_sigterm(), pages(args.url, args.pages, args.seed, flags) as opened:
            print(json.dumps(report(tally(opened, args.episodes))))
    except PageError as error:
        print(error)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
