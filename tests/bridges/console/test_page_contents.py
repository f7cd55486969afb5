"""Console page in a real browser: decisions, errors, narrow screens, proxies, hidden tabs, keyboard and contrast."""

import re
from typing import Any

import pytest

from bridges.policy import ActionText, Decision
from bridges.serving import console_pictures
from bridges.testing.page_probe import (
    Page,
    expect,
    low_contrasts,
    shows,
    type_goal,
    type_words,
    until,
)
from bridges.testing.prefix_proxy import PrefixProxy
from bridges.testing.scripted_games import Stage, staged

pytestmark = pytest.mark.browser
LONG = "w" * 500


# --- what the player decides ---


def option(words: str, probability: float) -> ActionText:
    return ActionText(words=words, probability=probability)


@pytest.mark.parametrize(
    ("alternatives", "rows"),
    [
        ((option("jump", 0.6), option("walk", 0.25)), [("jump", "60 %"), ("walk", "25 %")]),
        ((option("jump", 0.6),), [("jump", "60 %"), ("walk", "25 %")]),
        ((), [("walk", "25 %")]),
    ],
)
def test_the_played_action_is_marked_among_the_alternatives(
    page: Page, stage: Stage, alternatives: tuple[ActionText, ...], rows: list[tuple[str, str]]
) -> None:
    stage.policy.decision = Decision(
        action={}, words="walk", probability=0.25, alternatives=alternatives, entropy=1.25
    )
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    expect(page.locator("#bars .what")).to_have_text([words for words, _ in rows])
    expect(page.locator("#bars .share")).to_have_text([share for _, share in rows])
    marks = ["played" if words == "walk" else "" for words, _ in rows]
    expect(page.locator("#bars .mark")).to_have_text(marks)


def test_the_entropy_is_named_as_the_first_tokens(page: Page, stage: Stage) -> None:
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    expect(page.locator("#entropy")).to_have_text("1.25 nat")
    expect(page.locator("div:has(> #entropy) dt")).to_have_text("entropy, first token")


def test_every_figure_has_a_unit_and_says_what_it_is(page: Page, stage: Stage) -> None:
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    for figure, form in (("hz", r"[1-9][\d.]* Hz"), ("age", r"[\d.]+ ms"), ("infer", r"[\d.]+ ms")):
        expect(page.locator(f"#{figure}")).to_have_text(re.compile(f"^{form}$"))
    titles = page.locator("#figures > div").evaluate_all("all => all.map((one) => one.title)")
    assert len(titles) == 6
    assert all(len(title) > 20 for title in titles)
    expect(page.locator("#scale")).to_have_text(
        re.compile(r"^age of the last \d+ answers, 0 to \d+ ms$")
    )


# --- errors ---


def test_a_wrong_token_is_called_wrong(page: Page) -> None:
    with staged(token="right") as stage:
        page.goto(stage.server.console_url)
        expect(page.locator("#login")).to_be_visible()
        expect(page.locator("#tokenerror")).to_be_empty()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#tokenerror")).to_contain_text("This token is wrong.")
        page.keyboard.type("right")
        page.keyboard.press("Enter")
        expect(page.locator("#link")).to_have_text(re.compile("^connected"))
        expect(page.locator("#login")).not_to_be_visible()
        expect(page.locator("#attach_ours")).to_contain_text("--token-file FILE")


def test_a_closed_token_dialog_can_be_opened_again(page: Page) -> None:
    with staged(token="right") as stage:
        page.goto(stage.server.console_url)
        expect(page.locator("#login")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#link")).to_contain_text("asks for a token")
        page.click("#retry")
        expect(page.locator("#login")).to_be_visible()


def test_errors_are_readable_counted_and_dismissed(page: Page, stage: Stage) -> None:
    stage.policy.answer = ""
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    for _ in range(3):
        page.click("[data-ask=why]")
    line = page.locator("#notices li")
    expect(line).to_have_count(1)
    expect(line).to_contain_text("The player could not answer. Try again;")
    expect(line).to_contain_text("The server says: “nothing to say”")
    expect(line).to_contain_text("3 times")
    expect(line).not_to_contain_text("policy_failed")
    expect(page.locator("#answers li")).to_have_count(0)
    line.locator(".dismiss").click()
    expect(line).to_have_count(0)
    stage.policy.answer = "because"
    page.click("[data-ask=why]")
    expect(page.locator("#answers")).to_contain_text("because Meadow")


# --- where it runs ---


def test_long_words_fit_a_narrow_screen(page: Page, stage: Stage) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    options = tuple(option(LONG + str(n), 0.2) for n in range(3))
    stage.policy.decision = Decision(action={}, words=LONG, probability=0.1, alternatives=options)
    stage.policy.answer = LONG
    for _ in range(2):
        game = stage.attach(LONG[:200], instruction=LONG, tasks=(LONG, "hunt"))
    page.goto(stage.server.console_url)
    expect(page.locator("#words")).to_have_text(LONG)
    page.click("[data-ask=why]")
    expect(page.locator("#answers")).to_contain_text(LONG)
    stage.policy.answer = ""
    page.click("[data-ask=why]")
    stage.attach(LONG[:199])
    expect(page.locator("#notices li")).to_have_count(2)
    game.client.correct(LONG)
    expect(page.locator("#log")).to_contain_text(LONG)
    type_words(page, "say", LONG + "!")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    wide = page.evaluate("""() => [...document.body.querySelectorAll("*")]
      .filter((one) => !one.matches(".unseen") && one.getBoundingClientRect().right > innerWidth + 1)
      .map((one) => one.id || one.outerHTML.slice(0, 80))""")
    assert wide == []


def test_a_page_below_a_proxys_path_works(page: Page, stage: Stage) -> None:
    stage.attach("Meadow")
    with PrefixProxy("/game1") as proxy:
        proxy.target = stage.server.port
        page.goto(proxy.url)
        shows(page, "Meadow")
        type_goal(page, "hunt")
        until(page, lambda: stage.goal("Meadow") == "hunt")


def test_a_hidden_page_gets_no_pictures(
    page: Page, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    original = console_pictures.console_picture

    def counted(frame: Any, number: int, *rest: Any) -> bytes:
        encoded.append(number)
        return original(frame, number, *rest)

    monkeypatch.setattr(console_pictures, "console_picture", counted)
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    page.evaluate("""() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    until(page, lambda: all(not w.pictures for w in stage.server._dispatcher.sessions.watchers))
    page.wait_for_timeout(200)  # one may be on its way
    count = len(encoded)
    page.wait_for_timeout(500)
    assert len(encoded) == count
    page.evaluate("""() => {
      delete document.hidden;
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    until(page, lambda: len(encoded) > count)


# --- for everybody ---


def test_every_control_has_a_name_and_the_keyboard_reaches_it(page: Page, stage: Stage) -> None:
    for _ in range(2):
        stage.attach("Meadow", tasks=("hunt",))
    page.goto(stage.server.console_url)
    expect(page.locator("#chips button")).to_have_count(1)
    names = []
    for _ in range(11):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate("""() => {
              const one = document.activeElement;
              const label = one.labels?.[0]?.textContent.trim().split(" ")[0];
              return one.getAttribute("aria-label") || label || one.textContent;
            }""")
        )
    assert names == [
        "Game",
        "agent",
        "shared",
        "person",
        "goal",
        "Goal",
        "Set goal",
        "hunt",
        "Why?",
        "What next?",
        "What is it doing?",
    ]


def test_nothing_moves_for_those_who_do_not_want_it(page: Page, stage: Stage) -> None:
    moves = """() => {
      document.getElementById("recording").className = "red";
      return getComputedStyle(document.querySelector(".light")).animationName;
    }"""
    stage.attach("Meadow")
    page.goto(stage.server.console_url)
    shows(page, "Meadow")
    assert page.evaluate(moves) == "pulse"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moves) == "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(page: Page, stage: Stage, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(stage.server.console_url)
    expect(page.locator("#waiting")).to_be_visible()
    assert low_contrasts(page) == {}
    game = stage.attach("Meadow", tasks=("hunt", "climb"), instruction="hunt")
    shows(page, "Meadow")
    for success in (True, False, None):
        game.client.event(terminated=True, success=success, task="hunt")
    stage.policy.answer = ""
    page.click("[data-ask=why]")
    expect(page.locator("#notices li")).to_have_count(1)
    expect(page.locator("#episodes li")).to_have_count(3)
    assert low_contrasts(page) == {}
    type_words(page, "say", "dark")
    type_goal(page, "climb")
    expect(page.locator("#release")).to_be_visible()
    type_words(page, "correct", LONG + "!")
    expect(page.locator("#refusal")).to_be_visible()
    page.click("[data-owner=human]")
    expect(page.locator("#owner_note")).to_be_visible()
    assert low_contrasts(page) == {}
    game.stop()
    expect(page.locator("#age_of_picture")).to_be_visible()
    assert low_contrasts(page) == {}
