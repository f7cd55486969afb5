"""A replay in a real browser: followed, paused, stepped, scrubbed, and asked with another goal."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest

from bridges.errors import BridgeError
from bridges.live_replay import LiveReplay, RecordedMatch
from bridges.policy import Decision, PolicyRequest
from bridges.replay import RecordedStep
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from bridges.testing.background_server import background_server
from bridges.testing.page_probe import Page, expect, low_contrasts, shade, type_goal, until
from bridges.testing.scripted_games import Stage
from games import Button, FrameSize, GameSpec

pytestmark = pytest.mark.browser
SPEC = GameSpec(
    id="lamp-v0",
    title="Lamp",
    frame=FrameSize(height=18, width=32),
    step_hz=20,
    controls=(Button(name="on", label="switch on"),),
)


class Reader(RandomPolicy):
    """Says the shade that it sees, and what it was told."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        seen = [(int(request.frame[0, 0, 0]), request.instruction) for request in requests]
        return [
            Decision(action={}, words=f"{shade}: {told}", probability=0.5) for shade, told in seen
        ]


@contextmanager
def replaying(server: BridgeServer) -> Iterator[None]:
    """A match of 100 steps, each two shades lighter than the one before; "on" at odd ones."""
    frames = [np.full(SPEC.frame.shape, 2 * n, np.uint8) for n in range(100)]
    steps = [RecordedStep(frame, {"on": n % 2}, "shine") for n, frame in enumerate(frames)]

    def run() -> None:
        with pytest.raises(BridgeError, match="closed"):
            replay.run([RecordedMatch("evening", steps)])

    replay = LiveReplay(server.url, SPEC)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        replay.close()
        thread.join(10)


def stands_at(page: Page, step: int, told: str) -> None:
    """Wait until place, recorded words, decision and picture are those of a step."""
    expect(page.locator("#replay_step_count")).to_have_text(f"step {step + 1} of 100")
    expect(page.locator("#replay_words")).to_have_text("switch on" if step % 2 else "do nothing")
    expect(page.locator("#words")).to_have_text(f"{2 * step}: {told}")
    until(page, lambda: abs(shade(page) - 2 * step) <= 1)


def test_follow_pause_step_scrub_and_ask(page: Page) -> None:
    with background_server(Reader()) as server, replaying(server):
        page.goto(server.console_url)
        expect(page.locator("#replay_match")).to_have_text("evening")
        expect(page.locator("#replay_place")).to_have_js_property("max", "99")
        until(page, lambda: int(page.input_value("#replay_place")) >= 5)
        page.click("#replay_play")
        expect(page.locator("#replay_play")).to_have_text("Play")
        step = int(page.input_value("#replay_place"))
        stands_at(page, step, "shine")
        page.click("#replay_step")
        stands_at(page, step + 1, "shine")
        page.click("#replay_back")
        stands_at(page, step, "shine")
        page.fill("#replay_place", "60")
        stands_at(page, 60, "shine")
        type_goal(page, "go dark")
        stands_at(page, 60, "go dark")
        expect(page.locator("#decision")).to_have_text("Advice: a person plays")
        assert not low_contrasts(page)
        page.click("#release")
        stands_at(page, 60, "shine")
        page.click("#replay_play")
        until(page, lambda: int(page.input_value("#replay_place")) > 65)
        expect(page.locator("#tally")).to_have_text("no episode has ended yet")
        expect(page.locator("#episodes li")).to_have_count(0)
        expect(page.locator("#notices li")).to_have_count(0)


def test_a_game_that_is_no_replay_shows_none(page: Page, stage: Stage) -> None:
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    expect(page.locator("#words")).to_have_text("walk")
    expect(page.locator("#replay")).not_to_be_visible()
