"""Screenshot script of the console: refusals everywhere, a real picture where a browser is installed."""

import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from bridges.client import connect
from bridges.console import screenshot
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from games import Button, FrameSize, GameSpec

SPEC = GameSpec(
    id="line-v0",
    title="A line",
    frame=FrameSize(height=24, width=48),
    step_hz=20,
    controls=(Button(name="go", meaning="move.forward", label="walk forward"),),
)


def test_a_missing_browser_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert screenshot.main(["--out", str(tmp_path / "console.png")]) == 2
    assert capsys.readouterr().err.startswith("screenshot: no browser: none of chromium, ")


def test_missing_playwright_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(screenshot.ScreenshotError, match=r"pip install -e \"\.\[browser\]\""):
        screenshot.take("http://127.0.0.1:8765/", tmp_path / "console.png", "chromium")


def test_the_first_browser_on_the_path_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("google-chrome", "chromium"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert screenshot.find_browser() == str(tmp_path / "chromium")


@pytest.mark.browser
def test_a_page_without_play_is_no_picture(tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    picture = tmp_path / "console.png"
    with (
        background_server(RandomPolicy()) as server,
        pytest.raises(screenshot.ScreenshotError, match="no picture of http"),
    ):
        screenshot.take(server.console_url, picture, screenshot.find_browser(), timeout_s=1)
    assert not picture.exists()


@pytest.mark.browser
def test_a_running_game_is_photographed(tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    picture, stop = tmp_path / "console.png", threading.Event()

    def play(url: str) -> None:
        with connect(url, SPEC, instruction="walk on") as game:
            while not stop.is_set():
                game.act(np.zeros(SPEC.frame.shape, np.uint8))

    with background_server(RandomPolicy()) as server:
        game = threading.Thread(target=play, args=(server.url,))
        game.start()
        try:
            screenshot.take(server.console_url, picture, screenshot.find_browser())
        finally:
            stop.set()
            game.join()
    header = picture.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:]) == (screenshot.WIDTH, screenshot.HEIGHT)
