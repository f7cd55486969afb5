"""Origin check: who may speak to a server, by a request's Host and Origin headers.

A page of any site can reach a server on loopback. Its `Origin` then differs from `Host`; with a name that was pointed
at 127.0.0.1 (DNS rebinding) both are foreign, and only a list of known hosts tells.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from http import HTTPStatus
from typing import NamedTuple

from websockets.datastructures import Headers

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#@\s]+)", re.IGNORECASE)
_PORTS = {"http": "80", "https": "443"}


class Refusal(NamedTuple):
    """Status and reason of a refused request."""

    status: HTTPStatus
    reason: str


def refusal(
    headers: Headers,
    *,
    known_hosts: Collection[str] | None,
    checks_origin: bool,
    origins: Collection[str] = (),
) -> Refusal | None:
    """Why a request is refused, None where it is not; `known_hosts` None takes every host name.

    `origins` are those beside the server's, in their normal form.

    400: no single well-formed Host, or two Origins. 421: another host's name. 403: a page of another origin.
    """
    hosts, sent = headers.get_all("Host"), headers.get_all("Origin")
    host = _HOST.fullmatch(hosts[0].strip()) if len(hosts) == 1 else None
    if host is None:
        reason = f"one Host header such as 127.0.0.1:8765, got {len(hosts)}"
        return Refusal(HTTPStatus.BAD_REQUEST, reason)
    if known_hosts is not None and host["name"].lower() not in known_hosts:
        return Refusal(HTTPStatus.MISDIRECTED_REQUEST, "unknown host")
    if not checks_origin or not sent:
        return None
    if len(sent) > 1:
        return Refusal(HTTPStatus.BAD_REQUEST, f"one Origin header at most, got {len(sent)}")
    origin = normal_origin(sent[0].strip())
    if origin is None or not (origin in origins or _is_same(origin, host)):
        reason = (
            "4403: this origin may not connect (the server's owner may allow it, --allow-origin)"
        )
        return Refusal(HTTPStatus.FORBIDDEN, reason)
    return None


def normal_origin(text: str) -> str | None:
    """`scheme://host:port` in small letters and with its port; None for what is no page's origin."""
    parts = _ORIGIN.fullmatch(text)
    page = _HOST.fullmatch(parts["host"]) if parts else None
    if parts is None or page is None:
        return None
    scheme = parts["scheme"].lower()
    return f"{scheme}://{page['name'].lower()}:{page['port'] or _PORTS[scheme]}"


def _is_same(origin: str, host: re.Match[str]) -> bool:
    """Whether an origin is a page of this host and port; the port of the scheme may be left out."""
    scheme, _, authority = origin.partition("://")
    return authority == f"{host['name'].lower()}:{host['port'] or _PORTS[scheme]}"
