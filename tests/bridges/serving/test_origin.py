"""Origin check: one host, one page; a doubled, odd or foreign header is answered, never an exception."""

from dataclasses import fields
from http import HTTPStatus
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from bridges.serving.http import Health, answer
from bridges.serving.origin import refusal
from bridges.serving.server import LOOPBACK

HOST = "127.0.0.1:8765"
_FIGURES: dict[str, Any] = {field.name: 0 for field in fields(Health)}
HEALTH = Health(**_FIGURES)
Pairs = list[tuple[str, str]]


def status(
    headers: Pairs, *, known: tuple[str, ...] | None = LOOPBACK, checks_origin: bool = True
) -> int:
    """The status of the refusal; 0 where there is none."""
    refused = refusal(Headers(headers), known_hosts=known, checks_origin=checks_origin)
    return refused.status if refused else 0


@pytest.mark.parametrize(
    "host",
    [HOST, "127.0.0.1", "localhost:8765", "LOCALHOST", "LocalHost:1", "[::1]:8765", "[::1]", " localhost "],
)  # fmt: skip
def test_names_of_this_machine_in_any_case(host: str) -> None:
    assert status([("Host", host)]) == 0
    assert status([("host", host), ("Origin", f"http://{host.strip()}")]) == 0
    assert status([("Host", host), ("Origin", f"HTTP://{host.strip().upper()}")]) == 0


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Host", "")],
        [("Host", HOST), ("Host", HOST)],
        [("Host", HOST), ("host", "evil.example")],
        [("Host", "127.0.0.1:port")],
        [("Host", "127.0.0.1:999999")],
        [("Host", "[::1")],
        [("Host", "::1")],
        [("Host", "a b")],
        [("Host", "http://localhost")],
        [("Host", "localhost/")],
        [("Host", "user@localhost")],
        [("Host", HOST), ("Origin", f"http://{HOST}"), ("Origin", f"http://{HOST}")],
        [("Host", HOST), ("Origin", f"http://{HOST}"), ("Origin", "http://evil.example")],
    ],
)
def test_a_missing_doubled_or_odd_header_is_a_bad_request(headers: Pairs) -> None:
    assert status(headers) == HTTPStatus.BAD_REQUEST
    assert status(headers, known=None) == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8765", "localhost.:1"])
def test_another_name_is_misdirected_where_names_are_known(host: str) -> None:
    assert status([("Host", host)]) == HTTPStatus.MISDIRECTED_REQUEST
    assert status([("Host", host)], known=None) == 0


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "null", "http://[::1", "http://", "https://127.0.0.1", "http://127.0.0.1:8766",
        "file://127.0.0.1:8765", f"http://{HOST}/path", f"http://user@{HOST}", f"http://{HOST} http://evil.example",
        f"http://{HOST}.evil.example",
    ],
)  # fmt: skip
def test_a_page_of_another_origin_is_forbidden(origin: str) -> None:
    headers = [("Host", HOST), ("Origin", origin)]
    assert status(headers) == HTTPStatus.FORBIDDEN
    assert status(headers, checks_origin=False) == 0


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("player.example", "https://player.example"),
        ("player.example:443", "https://player.example"),
        ("player.example", "http://player.example:80"),
    ],
)
def test_the_port_of_a_scheme_may_be_left_out(host: str, origin: str) -> None:
    assert status([("Host", host), ("Origin", origin)], known=None) == 0


@pytest.mark.parametrize(
    ("target", "code"),
    [("/", 200), ("/console.css?x=1", 200), ("//[", 404), ("http://[/", 404), ("*", 404), ("", 404)],
)  # fmt: skip
def test_any_target_is_answered(target: str, code: int) -> None:
    request = Request(target, Headers([("Host", HOST)]))
    response = answer(request, HEALTH, known_hosts=LOOPBACK)
    assert response is not None
    assert response.status_code == code


def test_a_page_may_be_read_but_not_used_from_another_origin() -> None:
    headers = Headers([("Host", HOST), ("Origin", "http://evil.example")])
    page = answer(Request("/", headers), HEALTH, known_hosts=LOOPBACK)
    socket = answer(Request("/v1", headers), HEALTH, known_hosts=LOOPBACK)
    assert [page and page.status_code, socket and socket.status_code] == [200, 403]
