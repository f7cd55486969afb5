"""Bridge server: the asyncio shell on loopback for games and consoles, with the console page on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable

from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bridges.errors import BridgeError
from bridges.listener import Listener
from bridges.policy import Policy
from bridges.protocol.address import PATH
from bridges.protocol.connection import Connection
from bridges.protocol.messages import Hello, State
from bridges.serving.admission import Admission
from bridges.serving.dispatcher import Dispatcher
from bridges.serving.http import answer
from bridges.serving.limits import ServerLimits
from bridges.serving.link import WebsocketLink, abort, keep_deadlines
from bridges.serving.listener import authority, listen
from bridges.serving.peer import Peer
from bridges.serving.sessions import SessionRegistry
from bridges.serving.site import NO_SITE, Site, read_pages

log = logging.getLogger("iafm.bridge")
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
TICK_S = 0.1


class BridgeServer:
    """Serves one policy: `async with BridgeServer(policy) as server: …`; port 0 takes a free one.

    Raises `BridgeError` for a taken port, or a bind beyond loopback without a token.
    """

    def __init__(
        self, policy: Policy, *, host: str = "127.0.0.1", port: int = 8765,
        token: str | None = None, limits: ServerLimits | None = None, listeners: Iterable[Listener] = (),
        sessions: SessionRegistry | None = None, site: Site = NO_SITE,
    ) -> None:  # fmt: skip
        if host not in LOOPBACK and not token:
            advice = "set a token with --token-file"
            raise BridgeError(f"{host} can be reached from other machines: {advice}")
        self.policy, self.limits = policy, limits or ServerLimits()
        self._host, self._port, self._token = host.strip("[]"), port, token
        self._site = site
        self._admission: Admission[WebsocketLink] = Admission(self.limits)
        self._dispatcher = Dispatcher(policy, self.limits, listeners, sessions)
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The bound port."""
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def url(self) -> str:
        """Address for games."""
        return f"ws://{authority(self._host, self.port)}{PATH}"

    @property
    def console_url(self) -> str:
        """Address for a browser."""
        return f"http://{authority(self._host, self.port)}/"

    @property
    def game_url(self) -> str | None:
        """Address of the owner's page, None without one."""
        return f"{self.console_url}game" if self._site.game is not None else None

    @property
    def watchers(self) -> int:
        """Number of connected consoles."""
        return len(self._dispatcher.sessions.watchers)

    def state(self) -> State:
        """All attached games with their tallies."""
        return self._dispatcher.state(time.monotonic())

    async def __aenter__(self) -> BridgeServer:
        read_pages()
        self._server = await listen(
            self._host, self._port, self.limits,
            admission=self._admission, handle=self._handle, http=self._http,
        )  # fmt: skip
        self._dispatcher.start()
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._server is not None
        self._ticking.cancel()
        self._server.close()
        abort(self._admission.outside)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), self.limits.shutdown_s)
        abort(self._admission)
        await asyncio.sleep(0)  # aborted transports close in the loop's next turn
        self._dispatcher.close()

    def _http(self, connection: ServerConnection, request: Request) -> Response | None:
        health = self._dispatcher.health(time.monotonic())
        known = LOOPBACK if self._host in LOOPBACK else None
        return answer(request, health, known_hosts=known, site=self._site)

    async def _handle(self, link: ServerConnection) -> None:
        """Read one connection; every message leaves a turn of the loop to the other connections."""
        assert isinstance(link, WebsocketLink)
        connection = Connection(self.limits, token=self._token, now=time.monotonic())
        link.peer = peer = Peer(connection, link)
        try:
            async for data in link:
                for message in connection.receive(data, time.monotonic()):
                    if isinstance(message, Hello) and not self._admission.admit(link):
                        peer.close(4429, f"{self.limits.connections} connections are open")
                    else:
                        await self._dispatcher.receive(peer, message, time.monotonic())
                peer.flush()
                if connection.is_closed:
                    break
                await asyncio.sleep(0)
        except ConnectionClosed:
            pass
        except Exception:
            log.exception("a connection failed")
            peer.close(1011, "internal error")
        finally:
            connection.close(1001, "the connection is over")
            self._dispatcher.leave(peer)
            await link.close(connection.close_code or 1001, connection.close_reason)

    async def _tick(self) -> None:
        """Keep deadlines, and tell consoles how things stand."""
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            try:
                keep_deadlines(self._admission, now)
                self._dispatcher.tick(now)
                self._dispatcher.report(now)
            except Exception:
                log.exception("a deadline could not be kept")
