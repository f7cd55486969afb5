"""Console page in a real browser: it shows the game that the person chose, and says when it does not."""

import re

import pytest

from bridges.testing.page_probe import Page, expect, rewrite_texts, shows, type_goal, until
from bridges.testing.prefix_proxy import PrefixProxy
from bridges.testing.scripted_games import Stage, staged

pytestmark = pytest.mark.browser


# --- which game is watched ---


def test_a_typed_goal_goes_to_the_watched_game_though_another_attached(
    page: Page, stage: Stage
) -> None:
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    page.fill("#text", "hunt")
    stage.attach("Tank", instruction="fire")
    expect(page.locator("#notices")).to_contain_text("Tank has attached.")
    assert page.input_value("#text") == "hunt"
    page.press("#text", "Enter")
    until(page, lambda: stage.goal("Meadow") == "hunt")
    assert stage.goal("Tank") == "fire"
    shows(page, "Meadow")


def test_a_newcomer_is_watched_only_on_request(page: Page, stage: Stage) -> None:
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    stage.attach("Tank")
    page.click("text=Watch it")
    shows(page, "Tank")
    expect(page.locator("#notices li")).to_have_count(0)
    type_goal(page, "fire")
    until(page, lambda: stage.goal("Tank") == "fire")
    assert stage.goal("Meadow") == ""


def test_a_chosen_game_that_leaves_is_not_replaced(page: Page, stage: Stage) -> None:
    leaving, other = stage.attach("Meadow"), stage.attach("Tank")
    page.goto(stage.server.console_url)
    page.select_option("#session", leaving.session)
    shows(page, "Meadow")
    page.fill("#text", "hunt")
    leaving.stop()
    expect(page.locator("#link")).to_have_text("connected · Meadow has left")
    expect(page.locator("#link")).to_have_class("idle")
    expect(page.locator("#session option:checked")).to_have_text("Meadow (left)")
    page.press("#text", "Enter")
    expect(page.locator("#refusal")).to_have_text("The goal was not set: Meadow has left.")
    assert page.input_value("#text") == "hunt"
    assert stage.goal("Tank") == ""
    page.click("text=Watch Tank")
    shows(page, "Tank")
    assert page.input_value("#session") == other.session


def test_a_game_that_nobody_chose_is_replaced_with_a_word(page: Page, stage: Stage) -> None:
    stage.attach("Tank")
    leaving = stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    leaving.stop()
    expect(page.locator("#notices")).to_contain_text("Meadow has left.")
    expect(page.locator("#notices")).to_contain_text("Now watching Tank.")
    shows(page, "Tank")


def test_games_of_one_title_are_told_apart(page: Page, stage: Stage) -> None:
    games = [stage.attach("Meadow"), stage.attach("Meadow"), stage.attach("Tank")]
    page.goto(stage.server.console_url)
    expect(page.locator("#session option")).to_have_text(
        [f"Meadow · {games[0].session}", f"Meadow · {games[1].session}", "Tank"]
    )


def test_many_newcomers_are_one_line(page: Page, stage: Stage) -> None:
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    names = [f"{title} {number}" for title in ("Tank", "Boat") for number in range(4)]
    games = [stage.attach(name) for name in names]
    line = page.locator("#notices li")
    expect(line).to_contain_text("8 games have attached: Tank 0, Tank 1, Tank 2 and 5 more.")
    expect(line).to_have_count(1)
    page.select_option("#session", games[0].session)
    expect(line).to_contain_text("7 games have attached: Tank 1,")
    for game in games[2:]:
        game.stop()
    expect(line).to_contain_text("Tank 1 has attached.")


def test_a_lost_connection_of_a_game_is_said(page: Page, stage: Stage) -> None:
    rewrite_texts(page, lambda text: text.replace('"connected":true', '"connected":false'))
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    expect(page.locator("#link")).to_have_text(
        "connected · Meadow has lost its connection, it may come back"
    )
    expect(page.locator("#link")).to_have_class("idle")


# --- what is over ---


def test_without_a_game_nothing_looks_alive(page: Page, stage: Stage) -> None:
    game = stage.attach("Meadow")
    page.goto(stage.server.console_url)
    expect(page.locator("#words")).to_have_text("walk")
    expect(page.locator("#link")).to_have_class("live")
    shows(page, "Meadow")
    game.stop()
    expect(page.locator("#link")).to_have_text("connected · Meadow has left")
    expect(page.locator("#link")).to_have_class("idle")
    for figure in ("words", "hz", "age", "infer", "entropy"):
        expect(page.locator(f"#{figure}")).to_have_text("–")
    expect(page.locator("#waiting")).to_be_visible()
    expect(page.locator("#stage")).to_have_class(re.compile("stale"))
    expect(page.locator("#age_of_picture")).to_have_text(re.compile(r"^last picture [2-9] s ago$"))


def test_a_game_that_sends_nothing_has_an_old_picture(page: Page, stage: Stage) -> None:
    game = stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    game._stopped.set()
    expect(page.locator("#age_of_picture")).to_have_text(re.compile(r"^last picture \d s ago$"))


def test_before_any_game_the_page_says_how_to_attach_one(page: Page, stage: Stage) -> None:
    page.goto(stage.server.console_url)
    expect(page.locator("#link")).to_have_text("connected · no game is attached")
    expect(page.locator("#waiting code")).to_have_text(
        [f"iafm play voxel --realtime --url {stage.server.url}", stage.server.url]
    )
    for part in ("screen", "composer", "owner", "mind"):
        expect(page.locator(f"#{part}")).not_to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("[data-copy=attach_ours]")
    expect(page.locator("[data-copy=attach_ours]")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"iafm play voxel --realtime --url {stage.server.url}"
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(Error()); }")
    page.click("[data-copy=attach_yours]")
    expect(page.locator("[data-copy=attach_yours]")).to_have_text("Selected, press Ctrl+C")
    assert page.evaluate("String(getSelection())").strip() == stage.server.url
    stage.attach("Meadow")
    shows(page, "Meadow")
    expect(page.locator("#waiting")).not_to_be_visible()


def test_a_lost_server_is_waited_for_and_met_again(page: Page) -> None:
    with PrefixProxy() as proxy:
        with staged() as first:
            proxy.target = first.server.port
            game = first.attach("Meadow")
            page.goto(proxy.url)
            shows(page, "Meadow")
            game.stop()
            expect(page.locator("#notices li")).to_contain_text("Meadow has left.")
        expect(page.locator("#link")).to_have_class("lost")
        expect(page.locator("#words")).to_have_text("–")
        expect(page.locator("#countdown")).to_have_text(re.compile(r"^trying again in \d s$"))
        expect(page.locator("#link")).to_contain_text("does not answer")
        expect(page.locator("#age_of_picture")).to_have_text(re.compile("last picture"))
        type_goal(page, "hunt")
        expect(page.locator("#refusal")).to_contain_text("there is no connection")
        with staged() as second:
            second.attach("Tank")
            proxy.target = second.server.port
            expect(page.locator("#link")).to_have_text(re.compile("^connected"))
            page.click("text=Watch Tank")
            shows(page, "Tank")


# --- goals ---


def test_a_typed_goal_stays_until_it_is_given_back(page: Page, stage: Stage) -> None:
    game = stage.attach("Meadow", instruction="walk on")
    page.goto(stage.server.console_url)
    expect(page.locator("#goal_text")).to_have_text("walk on")
    expect(page.locator("#release")).not_to_be_visible()
    type_goal(page, "hunt")
    until(page, lambda: game.client.console_instruction == "hunt")
    game.client.event(terminated=True, task="", success=None)
    game.client.instruct("climb")  # the next episode begins
    expect(page.locator("#tally")).to_have_text("0 of 0 episodes, 1 not judged")
    expect(page.locator("#episodes")).to_contain_text("not judged hunt")
    expect(page.locator("#goal_text")).to_have_text("hunt")
    assert stage.goal("Meadow") == "hunt"
    page.click("#release")
    expect(page.locator("#goal_text")).to_have_text("climb")
    expect(page.locator("#release")).not_to_be_visible()
    until(page, lambda: stage.goal("Meadow") == "climb")
    assert game.client.console_instruction is None


def test_chips_keep_the_focus(page: Page, stage: Stage) -> None:
    stage.attach("Meadow", tasks=("hunt", "climb"))
    page.goto(stage.server.console_url)
    page.focus("#chips button >> nth=1")
    page.keyboard.press("Enter")
    until(page, lambda: stage.goal("Meadow") == "climb")
    page.wait_for_timeout(1200)  # another state has come
    focused = page.locator("#chips button:focus")
    expect(focused).to_have_text("climb")
    expect(focused).to_have_attribute("aria-pressed", "true")
