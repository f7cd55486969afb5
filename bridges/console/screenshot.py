"""Screenshot of a running console, taken with a headless Chromium.

    iafm demo --headless &
    python -m bridges.console.screenshot --url http://127.0.0.1:8765/ --out console.png

Needs the extra `browser` (playwright) and an installed Chromium or Chrome; playwright's own browser is not downloaded.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, HEIGHT = 1280, 800
"""Size of the window, and so of the picture, in pixels."""
_SHOWS_PLAY = """() => {
  const frame = document.getElementById("frame");
  const words = document.getElementById("words").textContent;
  return frame.complete && frame.naturalWidth > 0 && words !== "" && words !== "–";
}"""
_HAS_ITEMS = "([list, count]) => document.getElementById(list).children.length >= count"


class ScreenshotError(Exception):
    """No picture could be taken; the text says why and what to do."""


def find_browser() -> str:
    """Path of the first of BROWSERS on the PATH; ScreenshotError where there is none."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise ScreenshotError(f"no browser: none of {', '.join(BROWSERS)} is on the PATH; install one")


def take(
    url: str, out: Path, browser: str, *, episodes: int = 0, ask: str = "", timeout_s: float = 60
) -> None:
    """Write the console at `url` as a PNG of WIDTH x HEIGHT.

    The page must first show a decoded frame and an action in words, then the end of `episodes` episodes and, where
    `ask` names a question of the page (`why`, `next_action`, `caption`), its answer.

    Raises ScreenshotError: playwright is missing, nothing answers at `url`, or the page shows no play in time.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise ScreenshotError('needs playwright: pip install -e ".[browser]"') from error
    try:
        with sync_playwright() as playwright:
            window = playwright.chromium.launch(executable_path=browser)
            page = window.new_page(viewport={"width": WIDTH, "height": HEIGHT}, bypass_csp=True)
            page.set_default_timeout(timeout_s * 1000)
            page.goto(url)
            _wait_for_play(page, episodes, ask)
            page.screenshot(path=out)
            window.close()
    except Error as error:
        raise ScreenshotError(f"no picture of {url}: {error.message.splitlines()[0]}") from error


def _wait_for_play(page: Any, episodes: int, ask: str) -> None:
    """Wait until `page` shows a frame and words, `episodes` ended episodes and an answer to `ask`."""
    page.wait_for_function(_SHOWS_PLAY)
    page.wait_for_function(_HAS_ITEMS, arg=["episodes", episodes])
    if ask:
        page.click(f"[data-ask={ask}]")
        page.wait_for_function(_HAS_ITEMS, arg=["answers", 1])


def parser() -> argparse.ArgumentParser:
    """The script's options."""
    options = argparse.ArgumentParser(
        prog="python -m bridges.console.screenshot", description=str(__doc__).splitlines()[0]
    )
    add = options.add_argument
    add("--url", default="http://127.0.0.1:8765/", help="console (default: %(default)s)")
    add("--out", type=Path, required=True, help="PNG to write")
    add("--episodes", type=int, default=0, help="wait for the end of so many (default: 0)")
    add("--ask", choices=("why", "next_action", "caption"), default="", help="ask that first")
    add("--timeout", type=float, default=60, help="seconds to wait (default: %(default)s)")
    return options


def main(argv: list[str] | None = None) -> int:
    """Take one screenshot: 0 where it was written, 2 where it could not be."""
    args = parser().parse_args(argv)
    try:
        take(
            args.url, args.out, find_browser(),
            episodes=args.episodes, ask=args.ask, timeout_s=args.timeout,
        )  # fmt: skip
    except (ScreenshotError, OSError) as error:
        print(f"screenshot: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
