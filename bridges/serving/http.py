"""HTTP pages on the server's port: console, health, metrics and message schema; checks of Host and Origin."""

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
    path, host = urlsplit(request.path).path, request.headers.get("Host", "")
    if known_hosts is not None and _host_name(host) not in known_hosts:
        return _page(HTTPStatus.MISDIRECTED_REQUEST, "unknown host\n")
    if path == PATH:
        origin = request.headers.get("Origin")
        if origin and urlsplit(origin).netloc != host:
            return _page(HTTPStatus.FORBIDDEN, "4403: this origin may not connect\n")
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


def _host_name(host: str) -> str:
    """A Host header without its port."""
    return host if host.endswith("]") else host.rsplit(":", 1)[0]


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
