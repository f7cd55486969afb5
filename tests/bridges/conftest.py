"""A browser and a page of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from bridges.console import screenshot
from bridges.testing.page_probe import TIMEOUT_MS, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    playwright.expect.set_options(timeout=TIMEOUT_MS)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=screenshot.find_browser(), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    """A page that must not report any error of its scripts."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(TIMEOUT_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.extend(error_texts(line)))
    yield page
    page.close()
    assert not problems


def error_texts(line: Any) -> list[str]:
    """The text of an error in the browser's console, but for lost connections."""
    is_error = line.type == "error" and "WebSocket" not in line.text
    return [line.text] if is_error else []
