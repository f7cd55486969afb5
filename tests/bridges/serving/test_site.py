"""Site: the owner's page, the JavaScript client, and pages of other origins that may connect."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from bridges.errors import BridgeError
from bridges.serving.http import Health, answer
from bridges.serving.server import LOOPBACK
from bridges.serving.site import MAX_PAGE, NO_SITE, Site, allowed_origin

HOST = "127.0.0.1:8765"
ELSEWHERE = "http://localhost:5173"
_FIGURES: dict[str, Any] = {field.name: 0 for field in fields(Health)}


def get(path: str, site: Site, origin: str | None = None) -> Response | None:
    headers = Headers([("Host", HOST)])
    if origin is not None:
        headers["Origin"] = origin
    return answer(Request(path, headers), Health(**_FIGURES), known_hosts=LOOPBACK, site=site)


def test_the_owners_page_is_at_game(tmp_path: Path) -> None:
    page = tmp_path / "game.html"
    page.write_text("<p>Straße", encoding="utf-8")
    response = get("/game", Site.of(page, []))
    assert response is not None
    assert response.body == "<p>Straße".encode()
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src 'self' 'unsafe-inline'" in response.headers["Content-Security-Policy"]
    console = get("/", Site.of(page, []))
    assert console is not None
    assert "unsafe-inline" not in console.headers["Content-Security-Policy"]


def test_without_a_page_there_is_no_game() -> None:
    response = get("/game", NO_SITE)
    assert response is not None
    assert response.status_code == 404


@pytest.mark.parametrize(
    "path", ["/sdk/", "/sdk/index.d.ts", "/sdk/../../client.py", "/sdk/index.ts"]
)
def test_nothing_but_the_modules_is_below_sdk(path: str) -> None:
    response = get(path, NO_SITE)
    assert response is not None
    assert response.status_code == 404


def test_modules_may_be_imported_by_pages_that_may_connect() -> None:
    site = Site.of(None, [ELSEWHERE])
    for origin, readable in ((ELSEWHERE, True), ("http://evil.example", False), (None, False)):
        response = get("/sdk/index.js", site, origin)
        assert response is not None
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/javascript")
        assert ("Access-Control-Allow-Origin" in response.headers) == readable
    console = get("/", site, ELSEWHERE)
    assert console is not None
    assert "Access-Control-Allow-Origin" not in console.headers


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (ELSEWHERE, None), ("HTTP://LOCALHOST:5173", None), ("https://play.example", None), (f"http://{HOST}", None),
        ("https://play.example:443", None), ("http://play.example", 403), ("http://localhost:5174", 403),
        ("null", 403), ("http://evil.example", 403), ("https://play.example.evil.example", 403),
    ],
)  # fmt: skip
def test_pages_of_named_origins_may_connect(origin: str, status: int | None) -> None:
    response = get("/v1", Site.of(None, [f"{ELSEWHERE}/", "https://Play.example"]), origin)
    assert (response and response.status_code) == status


def test_a_refused_page_is_told_the_option() -> None:
    response = get("/v1", NO_SITE, ELSEWHERE)
    assert response is not None
    assert b"--allow-origin" in response.body


@pytest.mark.parametrize(
    "text", ["null", "*", "", "localhost:5173", "file:///game.html", "http://a/b", "ws://a"]
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(BridgeError, match="no origin such as"):
        allowed_origin(text)


def test_a_page_that_is_none_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "game.html"
    for content, problem in ((b"\xff", "no text"), (b" " * (MAX_PAGE + 1), "more than 4 MiB")):
        page.write_bytes(content)
        with pytest.raises(BridgeError, match=problem):
            Site.of(page, [])
    with pytest.raises(BridgeError, match="cannot be read: Is a directory"):
        Site.of(tmp_path, [])
