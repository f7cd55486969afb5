"""HTTP pages on the server's port: console, health, metrics and message schema."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib import resources
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from bridges.protocol.address import PATH
from bridges.protocol.schema import schema
from bridges.serving.origin import refusal

_MODULES = (
    "composer.js", "connection.js", "console.js", "decision.js", "elements.js", "invitation.js",
    "log.js", "notices.js", "owner.js", "picture.js", "questions.js", "recording.js", "replay.js", "requests.js",
)  # fmt: skip
_PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/console.css": ("console.css", "text/css; charset=utf-8"),
    **{f"/{name}": (name, "text/javascript; charset=utf-8") for name in _MODULES},
}
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self' ws: wss:"
)


@dataclass(frozen=True)
class Health:
    """Figures of a running server."""

    status: str
    """`ok`, `stuck` or `dead`."""
    policy: str
    sessions: int
    answered: int
    dropped: int
    waiting: int
    """Observations without an answer."""
    errors: int
    last_pass_s: float | None
    """Seconds since the last pass of the policy, None before the first."""

    def healthz(self) -> str:
        """JSON for a probe."""
        shown = ("status", "policy", "sessions", "last_pass_s", "waiting", "errors")
        return json.dumps({name: getattr(self, name) for name in shown})

    def metrics(self) -> str:
        """Prometheus text format."""
        return (
            f"# TYPE iafm_sessions gauge\niafm_sessions {self.sessions}\n"
            f"# TYPE iafm_actions_total counter\niafm_actions_total {self.answered}\n"
            f"# TYPE iafm_dropped_observations gauge\niafm_dropped_observations {self.dropped}\n"
            f"# TYPE iafm_waiting_observations gauge\niafm_waiting_observations {self.waiting}\n"
            f"# TYPE iafm_errors_total counter\niafm_errors_total {self.errors}\n"
        )


def answer(
    request: Request, health: Health, *, known_hosts: Collection[str] | None
) -> Response | None:
    """A page, or None for the websocket's path; checks Origin, and Host unless `known_hosts` is None."""
    path = _path(request.path)
    if refused := refusal(request.headers, known_hosts=known_hosts, checks_origin=path == PATH):
        return _page(refused.status, f"{refused.reason}\n")
    if path == PATH:
        return None
    if path in _PAGES:
        name, kind = _PAGES[path]
        return _page(HTTPStatus.OK, _console_file(name), kind)
    if path == "/healthz":
        answers = health.status == "ok"
        status = HTTPStatus.OK if answers else HTTPStatus.SERVICE_UNAVAILABLE
        return _page(status, health.healthz(), "application/json")
    if path == "/schema.json":
        return _page(HTTPStatus.OK, _schema(), "application/json")
    if path == "/metrics":
        return _page(HTTPStatus.OK, health.metrics())
    return _page(HTTPStatus.NOT_FOUND, "nothing here\n")


def _path(target: str) -> str:
    """The path of a request's target; "" where it has none."""
    try:
        return urlsplit(target).path
    except ValueError:
        return ""


def read_console() -> None:
    """Read the console's files, so that later requests touch no disk."""
    for name, _ in _PAGES.values():
        _console_file(name)


@cache
def _console_file(name: str) -> str:
    return resources.files("bridges").joinpath("console", name).read_text(encoding="utf-8")


@cache
def _schema() -> str:
    return json.dumps(schema())


def _page(status: HTTPStatus, body: str, kind: str = "text/plain; charset=utf-8") -> Response:
    data = body.encode()
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": _CSP,
            "X-Content-Type-Options": "nosniff",
        }
    )
    return Response(status.value, status.phrase, headers, data)
