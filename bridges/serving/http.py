"""HTTP pages on the server's port: those of its site, health, metrics and message schema."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from bridges.protocol.address import PATH
from bridges.protocol.schema import schema
from bridges.serving.origin import normal_origin, refusal
from bridges.serving.site import CSP, NO_SITE, Site


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
    request: Request, health: Health, *, known_hosts: Collection[str] | None, site: Site = NO_SITE
) -> Response | None:
    """A page, or None for the websocket's path; checks Origin, and Host unless `known_hosts` is None."""
    path = _path(request.path)
    if refused := refusal(
        request.headers,
        known_hosts=known_hosts,
        checks_origin=path == PATH,
        origins=site.origins,
    ):
        return _response(refused.status, f"{refused.reason}\n")
    if path == PATH:
        return None
    if page := site.page(path):
        reader = _reader(request, site) if path.startswith("/sdk/") else None
        return _response(HTTPStatus.OK, page.body, page.kind, page.csp, reader=reader)
    if path == "/healthz":
        answers = health.status == "ok"
        status = HTTPStatus.OK if answers else HTTPStatus.SERVICE_UNAVAILABLE
        return _response(status, health.healthz(), "application/json")
    if path == "/schema.json":
        return _response(HTTPStatus.OK, _schema(), "application/json")
    if path == "/metrics":
        return _response(HTTPStatus.OK, health.metrics())
    return _response(HTTPStatus.NOT_FOUND, "nothing here\n")


def _reader(request: Request, site: Site) -> str | None:
    """The named origin whose page asks, so that it may import what it gets."""
    origin = request.headers.get("Origin")
    return origin if origin and normal_origin(origin.strip()) in site.origins else None


def _path(target: str) -> str:
    """The path of a request's target; "" where it has none."""
    try:
        return urlsplit(target).path
    except ValueError:
        return ""


@cache
def _schema() -> str:
    return json.dumps(schema())


def _response(
    status: HTTPStatus,
    body: str,
    kind: str = "text/plain; charset=utf-8",
    csp: str = CSP,
    *,
    reader: str | None = None,
) -> Response:
    data = body.encode()
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": csp,
            "X-Content-Type-Options": "nosniff",
        }
    )
    if reader is not None:
        headers["Access-Control-Allow-Origin"] = reader
    return Response(status.value, status.phrase, headers, data)
