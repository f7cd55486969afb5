"""HTTP pages on the server's port: console, health, metrics and message schema."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from bridges.protocol.address import PATH
from bridges.protocol.messages import schema
from bridges.serving.origin import refusal

_PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/console.js": ("console.js", "text/javascript; charset=utf-8"),
    "/console.css": ("console.css", "text/css; charset=utf-8"),
}
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self' ws: wss:"
)


@dataclass(frozen=True)
class Health:
    """Figures of a running server."""

    policy: str
    sessions: int
    answered: int
    dropped: int

    def metrics(self) -> str:
        """Prometheus text format."""
        return (
            f"# TYPE iafm_sessions gauge\niafm_sessions {self.sessions}\n"
            f"# TYPE iafm_actions_total counter\niafm_actions_total {self.answered}\n"
            f"# TYPE iafm_dropped_observations gauge\niafm_dropped_observations {self.dropped}\n"
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
        page = resources.files("bridges").joinpath("console", name)
        return _page(HTTPStatus.OK, page.read_text(encoding="utf-8"), kind)
    if path == "/healthz":
        status = {"status": "ok", "policy": health.policy, "sessions": health.sessions}
        return _page(HTTPStatus.OK, json.dumps(status), "application/json")
    if path == "/schema.json":
        return _page(HTTPStatus.OK, json.dumps(schema()), "application/json")
    if path == "/metrics":
        return _page(HTTPStatus.OK, health.metrics())
    return _page(HTTPStatus.NOT_FOUND, "nothing here\n")


def _path(target: str) -> str:
    """The path of a request's target; "" where it has none."""
    try:
        return urlsplit(target).path
    except ValueError:
        return ""


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
