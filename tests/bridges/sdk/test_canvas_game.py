"""The canvas game in a real browser: a person's keys are recorded, the agent plays, both take over, the server dies."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from bridges.serving.site import Site
from bridges.testing.background_server import background_server
from bridges.testing.dropping_proxy import dropping_proxy
from bridges.testing.page_probe import Page, expect, until
from recorder import Episode, Tap, open_episodes, validate

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[3]
GAME = ROOT / "examples" / "canvas_game.html"
SPEED = 2
SLOW_MS = 60_000
"""Longest wait for an episode's end, or for a server to come back."""
KEYS = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowUp": "up", "ArrowDown": "down"}
KEYS_AT_PICTURES = """
  window.keys = [];
  const [held, tapped] = [new Set(), new Set()];
  addEventListener("keydown", ({ code }) => { held.add(code); tapped.add(code); }, true);
  addEventListener("keyup", ({ code }) => held.delete(code), true);
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (typeof data !== "string") {
      window.keys.push([...new Set([...tapped, ...held])]);
      tapped.clear();
    }
    return send.call(this, data);
  };
"""
"""Notes before each picture which keys were pressed since the one before; knows nothing of the SDK."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BridgeServer]:
    site = Site.of(GAME, [])
    with background_server(RandomPolicy(), listeners=[Tap(tmp_path)], site=site) as server:
        yield server


def open_game(page: Page, server: BridgeServer, query: str = "seed=3") -> None:
    page.goto(f"{server.game_url}?{query}")
    expect(page.locator("#owner")).not_to_be_empty()


def pictures(page: Page) -> int:
    return int(page.evaluate("window.keys.length"))


def owner_is(page: Page, text: str) -> None:
    expect(page.locator("#owner")).to_have_text(text)


def press_for(page: Page, key: str, count: int) -> None:
    """Hold a key for so many pictures."""
    first = pictures(page)
    page.keyboard.down(key)
    until(page, lambda: pictures(page) >= first + count)
    page.keyboard.up(key)


def player_of(frame: Any) -> tuple[float, float]:
    """Where the white square is."""
    rows, columns = np.nonzero(frame.min(axis=2) > 180)
    return float(columns.mean()), float(rows.mean())


def moved(action: dict[str, Any]) -> tuple[int, int]:
    """Pixels that an action moves the player."""
    return (
        SPEED * (action["right"] - action["left"]),
        SPEED * (action["down"] - action["up"]),
    )


def check_pictures_follow_actions(episode: Episode) -> int:
    """Every recorded action moved the player between its picture and the next; how many did."""
    places = [player_of(frame) for frame in episode.frames()]
    gaps = episode.dropped_before
    moves = 0
    for i, (before, after) in enumerate(pairwise(places)):
        x, y = moved(episode.executed[i])
        moves += bool(x or y)
        if i + 1 in gaps or min(before) < 6 or before[0] > 121 or before[1] > 65:
            continue
        assert after == pytest.approx((before[0] + x, before[1] + y), abs=0.6), i
    return moves


def episodes_of(folder: Path) -> list[Episode]:
    for episode in (episodes := list(open_episodes(folder))):
        assert not validate(episode)
    return episodes


def test_a_persons_keys_are_recorded_at_their_steps(page: Page, tmp_path: Path) -> None:
    page.add_init_script(KEYS_AT_PICTURES)
    site = Site.of(GAME, [])
    with background_server(RandomPolicy(), listeners=[Tap(tmp_path)], site=site) as server:
        open_game(page, server)
        press_for(page, "ArrowUp", 5)
        owner_is(page, "You play.")
        press_for(page, "ArrowLeft", 4)
        page.keyboard.press("ArrowDown")  # a tap, shorter than a step
        press_for(page, "ArrowLeft", 2)
        until(page, lambda: pictures(page) >= 24)
        truth = page.evaluate("window.keys")
        page.close()
    (episode,) = episodes_of(tmp_path)
    first = next(i for i, keys in enumerate(truth) if keys) - 1  # a key goes with the next picture
    known = range(min(len(episode), len(truth) - 1))
    steps = [i for i in known if episode.by[i] == "human"]
    assert steps[0] == first
    assert len(steps) >= 15
    for step in steps:
        pressed = {KEYS[code] for code in truth[step + 1]}
        action = episode.actions[step]
        assert {name for name, value in action.items() if value} == pressed, step
        assert episode.executed[step] == action
    assert sum(episode.actions[step]["down"] for step in steps) == 1
    assert check_pictures_follow_actions(episode) >= 10
    assert episode.agent_actions[steps[-1]] is not None


def test_the_agent_plays_until_an_episode_ends(page: Page, tmp_path: Path) -> None:
    site = Site.of(GAME, [])
    with background_server(RandomPolicy(), listeners=[Tap(tmp_path)], site=site) as server:
        open_game(page, server)
        expect(page.locator("#score")).to_have_text(
            re.compile("^[01] of [12](, [12] wrong)?$"), timeout=SLOW_MS
        )
        page.close()
    episode = episodes_of(tmp_path)[0]
    assert set(episode.by) == {"agent"}
    assert episode.header.instruction in {"take the red gem", "take the blue gem"}
    assert episode.header.success is not None
    assert check_pictures_follow_actions(episode) >= 10


def test_game_and_console_take_over_and_hand_back(
    browser: Any, page: Page, server: BridgeServer
) -> None:
    open_game(page, server)
    owner_is(page, "The agent plays:")
    page.keyboard.press("ArrowUp")
    owner_is(page, "You play.")
    until(page, lambda: server.state().sessions[0].owner == "human")
    page.keyboard.press("Enter")
    owner_is(page, "The agent plays:")
    until(page, lambda: server.state().sessions[0].owner == "shared")
    console = browser.new_page()
    console.goto(server.console_url)
    console.click("[data-owner=human]")
    owner_is(page, "You play.")
    console.click("[data-owner=agent]")
    owner_is(page, "The agent plays:")
    page.keyboard.press("ArrowUp")  # the agent alone plays
    page.wait_for_timeout(200)
    owner_is(page, "The agent plays:")
    console.fill("#text", "take the blue gem")
    console.press("#text", "Enter")
    expect(page.locator("#goal")).to_have_text("take the blue gem")
    console.close()
    page.keyboard.press("?")
    expect(page.locator("#connection")).to_have_text("I press random buttons: there is no reason")


def test_a_person_alone_is_recorded_without_a_gap(page: Page, tmp_path: Path) -> None:
    page.add_init_script(KEYS_AT_PICTURES)
    site = Site.of(GAME, [])
    with background_server(RandomPolicy(), listeners=[Tap(tmp_path)], site=site) as server:
        open_game(page, server, "seed=3&record")
        press_for(page, "ArrowLeft", 6)
        expect(page.locator("#words")).to_contain_text("recorded ", timeout=SLOW_MS)
        name = page.locator("#words").inner_text().removeprefix("recorded ")
        truth = page.evaluate("window.keys")
        page.close()
    episode = next(episode for episode in episodes_of(tmp_path) if episode.id == name)
    assert not episode.dropped_before
    assert set(episode.by) == {"human"}
    for step, action in enumerate(episode.actions):  # a key goes with its own picture
        assert {n for n, value in action.items() if value} == {KEYS[c] for c in truth[step]}, step
    assert sum(action["left"] for action in episode.actions) >= 6
    assert check_pictures_follow_actions(episode) >= 5


def test_a_cut_connection_is_resumed_by_its_key(page: Page, server: BridgeServer) -> None:
    connection = page.locator("#connection")
    with dropping_proxy(server.port) as proxy:
        page.goto(f"http://127.0.0.1:{proxy.port}/game?seed=3")
        expect(connection).to_contain_text("playing: attached as")
        (session,) = server.state().sessions
        page.keyboard.press("ArrowUp")
        owner_is(page, "You play.")
        until(page, lambda: server.state().sessions[0].owner == "human")
        proxy.arm(0)
        expect(connection).to_contain_text(f"playing: resumed {session.session} after")
        owner_is(page, "You play.")
        page.keyboard.press("Enter")
        until(page, lambda: server.state().sessions[0].owner == "shared")
        page.close()


@contextmanager
def served(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`iafm serve` in a process of its own, once it listens."""
    command = [
        sys.executable,
        "-m",
        "agent_core",
        "serve",
        "--policy",
        "random",
        "--json",
        "--port",
        str(port),
    ]
    command += ["--record", str(folder), "--page", str(GAME)]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["game_url"]
        yield process
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_game_goes_on_after_its_server_was_killed(page: Page, tmp_path: Path) -> None:
    page.add_init_script(KEYS_AT_PICTURES)
    port, connection = free_port(), page.locator("#connection")
    with served(port, tmp_path) as process:
        page.goto(f"http://127.0.0.1:{port}/game?seed=3")
        expect(connection).to_contain_text("playing: attached as")
        page.keyboard.press("ArrowUp")
        owner_is(page, "You play.")
        process.send_signal(signal.SIGKILL)
        expect(connection).to_contain_text("reconnecting: ")
        before = pictures(page)
        page.wait_for_timeout(300)
        assert pictures(page) == before  # the game waits
    with served(port, tmp_path):
        expect(connection).to_contain_text("playing: attached anew as", timeout=SLOW_MS)
        owner_is(page, "You play.")  # it is the person's still
        press_for(page, "ArrowUp", 3)
        page.keyboard.press("Enter")
        owner_is(page, "The agent plays:")


def test_the_game_of_the_sdks_page_is_played(page: Page, tmp_path: Path) -> None:
    text = (ROOT / "bridges" / "sdk" / "js" / "README.md").read_text(encoding="utf-8")
    (html,) = re.findall(r"^```html game.html\n(.*?)^```", text, re.M | re.S)
    assert len(html.splitlines()) <= 20
    path = tmp_path / "game.html"
    path.write_text(html, encoding="utf-8")
    page.add_init_script(KEYS_AT_PICTURES)
    with background_server(
        RandomPolicy(), listeners=[Tap(tmp_path)], site=Site.of(path, [])
    ) as server:
        page.goto(str(server.game_url))
        until(page, lambda: pictures(page) >= 40)
        page.close()
    (episode,) = episodes_of(tmp_path)
    assert any(action["left"] or action["right"] for action in episode.executed)
    assert len({frame.tobytes() for frame in episode.frames()}) > 3
