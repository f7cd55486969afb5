"""The canvas game with a player that looks and listens: its pictures, its words and its verdicts."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bridges.console_client import instruct
from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from bridges.serving.site import Site
from bridges.testing.background_server import background_server
from bridges.testing.page_probe import Page, expect, until
from games import Action, Frame, GameSpec
from recorder import Tap, open_episodes

pytestmark = pytest.mark.browser
GAME = Path(__file__).parents[3] / "examples" / "canvas_game.html"
SLOW_MS = 60_000


def center(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean column and row of what is true."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])


def action_towards(frame: Frame, instruction: str) -> Action:
    """The keys that lead the white square to the gem that the instruction names."""
    red, _, blue = np.moveaxis(frame.astype(int), 2, 0)
    wanted = (red - blue > 80) if "red" in instruction else (blue - red > 80)
    x, y = center(wanted) - center(frame.min(axis=2) > 180)
    return {"left": int(x < -1), "right": int(x > 1), "up": int(y < -1), "down": int(y > 1)}


class Seeker:
    """Looks for the gem that the instruction names."""

    name = "seeker"

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        return RandomPolicy().attach(spec)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        actions = [action_towards(request.frame, request.instruction) for request in requests]
        return [Decision(action=action, words="seek", probability=1.0) for action in actions]

    def ask(self, player: PolicySession, question: str) -> str:
        return "I go to the gem"


def test_who_looks_and_listens_succeeds_and_a_consoles_goal_is_judged(
    page: Page, tmp_path: Path
) -> None:
    site = Site.of(GAME, [])
    with background_server(Seeker(), listeners=[Tap(tmp_path)], site=site) as server:
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


def has_successes(server: BridgeServer, count: int) -> bool:
    return server.state().sessions[0].successes >= count
