"""The canvas game with a player that looks and listens: its pictures, its words and its verdicts."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from bridges.console_client import instruct
from bridges.serving.server import BridgeServer
from bridges.serving.site import Site
from bridges.testing.background_server import background_server
from bridges.testing.page_probe import Page, expect, until
from examples.gems import PLAYER
from recorder import Tap, open_episodes

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[3]
GAME = ROOT / "examples" / "canvas_game.html"
SLOW_MS = 60_000


def test_who_looks_and_listens_succeeds_and_a_consoles_goal_is_judged(
    page: Page, tmp_path: Path
) -> None:
    site = Site.of(GAME, [])
    with background_server(PLAYER, listeners=[Tap(tmp_path)], site=site) as server:
        page.goto(f"{server.game_url}?seed=5")
        expect(page.locator("#score")).to_have_text("4 of 4", timeout=SLOW_MS)
        goal = page.locator("#goal")
        for color in ("red", "blue"):
            instruct(server.url, f"take the {color} gem")
            expect(goal).to_have_text(f"take the {color} gem")
            enough = server.state().sessions[0].successes + 3
            until(page, partial(has_successes, server, enough))
        instruct(server.url, "dance")
        expect(goal).to_have_text("dance")
        until(page, lambda: server.state().sessions[0].unjudged > 0)
        instruct(server.url, release=True)
        expect(goal).to_contain_text("gem")
        page.close()
    verdicts = [episode.header.success for episode in open_episodes(tmp_path)]
    assert verdicts.count(True) >= 10
    assert False not in verdicts


def test_a_silent_page_has_a_goal_and_does_not_tell_it(page: Page) -> None:
    with background_server(PLAYER, site=Site.of(GAME, [])) as server:
        page.goto(f"{server.game_url}?seed=5&silent")
        expect(page.locator("#goal")).to_contain_text("gem")
        assert server.state().sessions[0].instruction == ""
        expect(page.locator("#score")).to_have_text("0 of 1", timeout=SLOW_MS)  # nothing was taken
        page.close()


def test_what_is_taken_in_several_pages_is_counted() -> None:
    with background_server(PLAYER, site=Site.of(GAME, [])) as server:
        command = ["-m", "examples.gems", "--url", str(server.game_url), "--pages", "2"]
        done = subprocess.run(
            [sys.executable, *command, "--episodes", "5"],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["episodes"] == report["right"] >= 5
    assert (report["wrong"], report["none"]) == (0, 0)


def has_successes(server: BridgeServer, count: int) -> bool:
    return server.state().sessions[0].successes >= count
