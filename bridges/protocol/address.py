"""Server address: the forms that a user may give, and the websocket address they mean."""

from __future__ import annotations

from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

from bridges.errors import BridgeError

PATH = "/v1"
"""Path of the websocket; every other path on the port is a page."""
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_EXAMPLE = "ws://127.0.0.1:8765/v1"


def websocket_url(address: str) -> str:
    """`ws://host:port/v1` for any of `host:port`, `ws://host:port`, `ws://host:port/v1` and `http://host:port/`.

    Raises `BridgeError` for anything else. An address with a user or a query is not repeated in the message: it may
    hold a token.
    """
    text = address.strip()
    try:
        parts = urlsplit(text if "://" in text else f"ws://{text}")
        _check(parts)
    except ValueError as error:
        raise BridgeError(f"{address!r} is no address such as {_EXAMPLE}: {error}") from None
    return f"{_SCHEMES[parts.scheme]}://{parts.netloc}{PATH}"


def console_url(address: str) -> str:
    """The page of the server at an address, which `websocket_url` accepts."""
    url = websocket_url(address).removesuffix(PATH)
    return f"http{url.removeprefix('ws')}/"


def _check(parts: SplitResult) -> None:
    """Raises `ValueError` with what is wrong, and `BridgeError` where the address may hold a token."""
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BridgeError(
            f"an address is no more than {_EXAMPLE}: a token is given by itself, not in the address"
        )
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"it starts with {parts.scheme}://, not with ws:// or http://")
    if parts.netloc.count(":") > 1 and "[" not in parts.netloc:
        raise ValueError(
            f"an IPv6 address stands in brackets, as in {_with_brackets(parts.netloc)}"
        )
    if " " in parts.netloc or not parts.netloc.isprintable():
        raise ValueError("a host has no spaces and no control characters")
    if not parts.hostname:
        raise ValueError("it names no host")
    _ = parts.port  # raises ValueError where it is no number from 0 to 65535
    if parts.path not in ("", "/", PATH, f"{PATH}/"):
        raise ValueError(f"its path is {PATH}, not {parts.path}")


def _with_brackets(netloc: str) -> str:
    """What an IPv6 address without brackets means: a host with its port, or a host alone."""
    host, _, port = netloc.rpartition(":")
    if _is_ipv6(host) and port.isdecimal():
        return f"ws://[{host}]:{port}{PATH}"
    return f"ws://[{netloc if _is_ipv6(netloc) else '::1'}]:8765{PATH}"


def _is_ipv6(host: str) -> bool:
    try:
        return bool(IPv6Address(host))
    except ValueError:
        return False
