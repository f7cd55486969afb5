"""Composer and log in a real browser: what a person types reaches the pinned game, and what people say is shown."""

import re

import pytest

from bridges.protocol.messages import Correct, Instruct, Say
from bridges.testing.page_probe import Page, expect, rewrite_texts, shows, type_words, until
from bridges.testing.scripted_games import Stage

pytestmark = pytest.mark.browser
TIME = r"\d\d:\d\d:\d\d"


def rows(page: Page, *texts: str) -> None:
    """Wait until the log has these rows, each after its time."""
    patterns = [re.compile(rf"^{TIME} {re.escape(text)}$") for text in texts]
    expect(page.locator("#log li")).to_have_text(patterns)


def test_words_reach_the_pinned_game_as_what_they_are(page: Page, stage: Stage) -> None:
    heard: list[tuple[str, str]] = []

    def hear(message: object) -> None:
        if isinstance(message, Instruct | Correct | Say):
            heard.append((message.type, message.text))

    stage.attach("Meadow", on_message=hear)
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    stage.attach("Tank")
    type_words(page, "instruct", "hunt the cow")
    expect(page.locator("#text")).to_have_value("")
    type_words(page, "correct", " go round\nthe lava ")
    expect(page.locator("#text")).to_have_value("")
    type_words(page, "say", "it is dark")
    rows(
        page,
        "you thought: it is dark",
        "you correction: go round the lava",
        "you goal: hunt the cow",
    )
    expect(page.locator("#goal_text")).to_have_text("hunt the cow")
    words = [("instruct", "hunt the cow"), ("correct", "go round the lava"), ("say", "it is dark")]
    until(page, lambda: heard == words)
    assert stage.goal("Tank") == ""
    page.select_option("#session", label="Tank")
    expect(page.locator("#log li")).to_have_count(0)


def test_words_of_others_are_shown_with_their_source(page: Page, stage: Stage) -> None:
    game = stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    game.client.say("<b>wood</b> first")
    game.client.correct("left, not right")
    rows(page, "the game correction: left, not right", "the game thought: <b>wood</b> first")
    other = page.context.browser.new_page()
    other.goto(stage.server.console_url)
    shows(other, "Meadow")
    type_words(other, "say", "hello")
    expect(page.locator("#log li").first).to_contain_text("another console thought: hello")
    other.close()


def test_words_are_counted_and_too_many_stay_in_the_box(page: Page, stage: Stage) -> None:
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    page.check("#kinds [value=correct]")
    page.press("#text", "Enter")
    expect(page.locator("#refusal")).to_have_text("Correction: type some words first.")
    page.fill("#text", "🌳" * 501)
    expect(page.locator("#refusal")).to_be_empty()
    expect(page.locator("#count")).to_have_text("501 / 500")
    expect(page.locator("#count")).to_have_class("over")
    page.press("#text", "Enter")
    expect(page.locator("#refusal")).to_have_text(
        "The correction was not sent: it is 1 character too long."
    )
    assert page.input_value("#text") == "🌳" * 501
    page.fill("#text", "🌳" * 500)
    page.press("#text", "Enter")
    rows(page, "you correction: " + "🌳" * 500)
    expect(page.locator("#count")).to_have_text("0 / 500")


def test_what_the_server_refuses_stays_in_the_box(page: Page, stage: Stage) -> None:
    error = (
        '{"type":"error","code":"too_many","message":"at most 1000 messages a second","id":null}'
    )
    rewrite_texts(page, lambda text: error if text.startswith('{"type":"say"') else text)
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    type_words(page, "say", "dark")
    expect(page.locator("#refusal")).to_have_text(
        "The thought was not sent: that was too much at once."
    )
    assert page.input_value("#text") == "dark"
    expect(page.locator("#notices li")).to_have_count(0)
    expect(page.locator("#log li")).to_have_count(0)
    type_words(page, "correct", "left")
    rows(page, "you correction: left")
    expect(page.locator("#refusal")).to_be_empty()


def test_what_is_not_confirmed_is_not_shown_as_sent(page: Page, stage: Stage) -> None:
    rewrite_texts(page, lambda text: None if text.startswith('{"type":"instruct"') else text)
    stage.attach("Meadow", instruction="walk on", tasks=("climb",))
    page.add_init_script("""
      const wait = setTimeout;
      window.setTimeout = (run, ms) => wait(run, ms === 5000 ? 200 : ms);
    """)
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    type_words(page, "instruct", "hunt")
    page.click("#chips button")
    expect(page.locator("#refusal")).to_have_text(
        "The goal was not set: the server has not confirmed it for 5 seconds."
    )
    assert page.input_value("#text") == "hunt"
    expect(page.locator("#notices")).to_contain_text("The goal was not set: the server has not")
    expect(page.locator("#log li")).to_have_count(0)


def test_the_keyboard_sends_and_leaves_and_keeps_its_place(page: Page, stage: Stage) -> None:
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    page.focus("#text")
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    rows(page, "you goal: one two")
    page.keyboard.type("three")
    page.wait_for_timeout(1100)  # another state has come
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#text")).not_to_be_focused()
    expect(page.locator("#text")).to_have_value("three")


def test_drafts_are_a_games_own(page: Page, stage: Stage) -> None:
    meadow, tank = stage.attach("Meadow"), stage.attach("Tank")
    page.goto(stage.server.console_url)
    shows(page, "Tank")
    page.fill("#text", "fire")
    page.select_option("#session", meadow.session)
    expect(page.locator("#text")).to_have_value("")
    page.select_option("#session", tank.session)
    expect(page.locator("#text")).to_have_value("fire")


def test_the_focus_goes_to_the_words_where_its_place_is_gone(page: Page, stage: Stage) -> None:
    game = stage.attach("Meadow", instruction="walk on", tasks=("hunt",))
    stage.attach("Tank")
    page.goto(stage.server.console_url)
    page.select_option("#session", game.session)
    page.click("#chips button")
    expect(page.locator("#release")).to_be_visible()
    page.focus("#release")
    page.keyboard.press("Enter")
    expect(page.locator("#release")).not_to_be_visible()
    expect(page.locator("#text")).to_be_focused()
    page.focus("#chips button")
    game.stop()
    expect(page.locator("#chips button")).to_have_count(0)
    expect(page.locator("#text")).to_be_focused()
    page.focus("text=Watch Tank")
    page.keyboard.press("Enter")
    shows(page, "Tank")
    page.wait_for_function("document.activeElement !== document.body")
