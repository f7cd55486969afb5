"""A person's demo of Freedoom in a real browser: replayed live by the command, followed, paused, stepped and asked."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridges.policy import Decision, PolicyRequest
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from bridges.testing.page_probe import Page, expect, type_goal, until
from recorder import Episode, import_doom, open_episodes
from recorder.formats.doom.demo import END, HEADER_BYTES
from recorder.formats.doom.wad import read_wad

FREEDOOM = Path("/usr/share/games/doom/freedoom2.wad")
TICS = 350
"""Ten seconds."""
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (FREEDOOM.is_file() and shutil.which("dsda-doom", path=os.defpath + ":/usr/games")),
        reason="needs Debian's freedoom and dsda-doom",
    ),
]


class Reader(RandomPolicy):
    """Says how bright the frame is, and what it was told."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        seen = [(round(float(request.frame.mean())), request.instruction) for request in requests]
        return [
            Decision(action={}, words=f"{shade}: {told}", probability=0.5) for shade, told in seen
        ]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of a demo, as a file beside its WAD."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "freedoom2.wad").symlink_to(FREEDOOM)
    content = read_wad(FREEDOOM).demos["DEMO1"]
    (folder / "DEMO1.lmp").write_bytes(content[: HEADER_BYTES + 4 * TICS] + bytes([END]))
    return folder / "DEMO1.lmp"


@pytest.fixture(scope="module")
def match(demo: Path) -> Episode:
    """What the demo must show."""
    import_doom(demo, demo.parent / "out", disk_needed=0)
    (episode,) = open_episodes(demo.parent / "out")
    return episode


@contextmanager
def replaying(demo: Path, url: str) -> Iterator[None]:
    """The command, until Ctrl-C."""
    command = [sys.executable, "-m", "agent_core", "replay", str(demo), "--live", "--url", url]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            _, printed = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0, printed
    assert "Traceback" not in printed


def stands_at(page: Page, match: Episode, step: int, told: str = "") -> None:
    """Wait until place, recorded words and the player's answer are those of a step of the demo."""
    brightness = round(float(match.frames(step, step + 1).mean()))
    expect(page.locator("#replay_step_count")).to_have_text(f"step {step + 1} of {len(match)}")
    expect(page.locator("#replay_words")).to_have_text(match.spec.to_words(match.executed[step]))
    near = [f"{shade}: {told}".strip() for shade in range(brightness - 1, brightness + 2)]
    until(page, lambda: page.inner_text("#words").strip() in near)


def test_follow_pause_step_scrub_and_ask(page: Page, demo: Path, match: Episode) -> None:
    assert len(match) == TICS - 1
    with background_server(Reader()) as server, replaying(demo, server.url):
        page.goto(server.console_url)
        until(page, lambda: page.locator("#replay_match").inner_text() != "")
        page.fill("#replay_place", "0")
        if page.inner_text("#replay_play") == "Play":  # it was over before the page was there
            page.click("#replay_play")
        until(page, lambda: int(page.input_value("#replay_place")) >= 8)
        page.click("#replay_play")
        expect(page.locator("#replay_play")).to_have_text("Play")
        assert page.evaluate("document.getElementById('frame').naturalWidth") == 320
        step = int(page.input_value("#replay_place"))
        stands_at(page, match, step)
        page.click("#replay_step")
        stands_at(page, match, step + 1)
        page.click("#replay_back")
        stands_at(page, match, step)
        page.fill("#replay_place", "300")
        stands_at(page, match, 300)
        type_goal(page, "find the blue key")
        stands_at(page, match, 300, "find the blue key")
        page.click("#release")
        stands_at(page, match, 300)
        page.click("#replay_play")
        until(page, lambda: int(page.input_value("#replay_place")) == len(match) - 1)
        expect(page.locator("#replay_play")).to_have_text("Play")
        expect(page.locator("#notices li")).to_have_count(0)
