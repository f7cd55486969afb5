"""No sockets: the protocol is tested without I/O."""

import socket

import pytest


class ForbiddenSocket:
    """Stands in for `socket.socket`; making one fails the test."""

    def __init__(self, *args: object, **options: object) -> None:
        raise AssertionError("a test of the protocol opened a socket")


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", ForbiddenSocket)
