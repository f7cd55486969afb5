"""Owner and recording in a real browser: who plays, since when, and what of it is recorded."""

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from bridges.testing.page_probe import Page, expect, rewrite_texts, shows, until
from bridges.testing.scripted_games import Stage, staged

pytestmark = pytest.mark.browser
TIME = r"\d\d:\d\d:\d\d"


def owns(page: Page, owner: str) -> None:
    """Wait until one segment alone is pressed."""
    expect(page.locator("#owner [aria-pressed=true]")).to_have_text(owner)


def test_the_owner_is_the_servers_echo(page: Page, stage: Stage) -> None:
    swallow = [True]

    def rewrite(text: str) -> str | None:
        if not swallow[0]:
            return text
        text = text.replace('"owner":"human"', '"owner":"agent"')
        return None if text.startswith('{"type":"control"') else text

    rewrite_texts(page, rewrite)
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    owns(page, "agent")
    page.click("[data-owner=human]")
    until(page, lambda: stage.server.state().sessions[0].owner == "human")
    page.wait_for_timeout(300)
    owns(page, "agent")
    expect(page.locator("[data-owner=human]")).to_have_attribute("aria-busy", "true")
    swallow[0] = False
    owns(page, "person")
    expect(page.locator("#owner_note")).to_have_text(
        "A person plays. The agent's actions are advice."
    )


def test_a_takeover_is_told_with_its_time_and_handed_back(page: Page, stage: Stage) -> None:
    game = stage.attach("Meadow", owner="shared")
    page.goto(stage.server.console_url)
    owns(page, "shared")
    expect(page.locator("#bars .mark")).to_have_text("played")
    expect(page.locator("#owner_note")).not_to_be_visible()
    game.report = {"input": {"go": 1}}
    owns(page, "person")
    game.report = {}
    expect(page.locator("#owner_note")).to_have_text(
        re.compile(rf"^Taken over by the person at {TIME}\. The agent's actions are advice\.$")
    )
    expect(page.locator("#decision")).to_have_text("Advice: a person plays")
    expect(page.locator("#bars .mark")).to_have_text("advised")
    page.click("[data-owner=agent]")
    owns(page, "agent")
    expect(page.locator("[data-owner=agent]")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("#decision")).to_have_text("Next action")
    expect(page.locator("#bars .mark")).to_have_text("played")
    expect(page.locator("#owner_note")).not_to_be_visible()
    page.click("[data-owner=human]")
    expect(page.locator("#owner_note")).to_contain_text("Given to the person at")
    expect(page.locator("#log .what")).to_have_text(["a person", "the agent", "a person"])
    expect(page.locator("#log .who")).to_have_text(["you", "you", "the game"])


@pytest.fixture
def recorded_stage() -> Iterator[tuple[Stage, Mock]]:
    listener = Mock()
    listener.recorded.return_value = None
    with staged(listeners=[listener]) as stage:
        yield stage, listener


def test_the_light_tells_what_is_recorded(page: Page, recorded_stage: tuple[Stage, Mock]) -> None:
    stage, listener = recorded_stage
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    light = page.locator("#recording")
    for dropped, kind, text in (
        (None, "off", "not recorded"),
        (0, "red", "recording: 1 episode, 1,200 steps"),
        (1, "amber", "recording: 1 episode, 1,200 steps, 1 step missing"),
    ):
        counts = SimpleNamespace(episodes=1, steps=1200, dropped=dropped)
        listener.recorded.return_value = None if dropped is None else counts
        expect(light).to_have_class(kind)
        expect(light).to_have_text(text)
        assert light.get_attribute("title")


def test_a_session_that_is_only_recorded_has_no_player(
    page: Page, recorded_stage: tuple[Stage, Mock]
) -> None:
    stage, listener = recorded_stage
    listener.recorded.return_value = SimpleNamespace(episodes=2, steps=30, dropped=0)
    as_recorded = as_role("record")
    rewrite_texts(page, lambda text: as_recorded(text) if '"Meadow"' in text else text)
    stage.attach("Meadow", instruction="hunt", tasks=("climb",))
    page.goto(stage.server.console_url)
    expect(page.locator("#recorded")).to_have_text("recording, no player: 2 episodes, 30 steps")
    shows(page, "Meadow")
    expect(page.locator("#no_player")).to_be_visible()
    expect(page.locator("#goal_text")).to_have_text("hunt")
    for part in (
        "owner",
        "chips",
        "words",
        "figures",
        "kinds [value=instruct]",
        "kinds [value=correct]",
    ):
        expect(page.locator(f"#{part}")).not_to_be_visible()
    expect(page.locator("[data-ask=why]")).not_to_be_visible()
    page.fill("#text", "now the bridge")
    page.press("#text", "Enter")
    expect(page.locator("#log")).to_contain_text("you thought: now the bridge")


def test_a_server_without_a_player_invites_games_to_be_recorded(page: Page, stage: Stage) -> None:
    rewrite_texts(page, lambda text: text.replace('"policy":"script"', '"policy":"none"'))
    page.goto(stage.server.console_url)
    expect(page.locator("#policy")).to_have_text("no player, records only")
    expect(page.locator("#records_only")).to_be_visible()
    expect(page.locator("#attach_yours")).to_have_text(stage.server.url)
    expect(page.locator("#ours")).not_to_be_visible()


def as_role(role: str) -> Callable[[str], str]:
    """Give every session of a `state` a role."""
    return lambda text: re.sub(r'"game":', f'"role":"{role}","game":', text)
