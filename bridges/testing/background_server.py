"""Background server: a bridge server in a thread, for tests and examples."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from bridges.listener import Listener
from bridges.policy import Policy
from bridges.serving.limits import ServerLimits
from bridges.serving.server import BridgeServer
from bridges.serving.site import NO_SITE, Site


@contextmanager
def background_server(
    policy: Policy,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    limits: ServerLimits | None = None,
    listeners: Iterable[Listener] = (),
    site: Site = NO_SITE,
) -> Iterator[BridgeServer]:
    """A server of `policy`, on a free port for 0; raises what its start raises."""
    server = BridgeServer(
        policy, host=host, port=port, token=token, limits=limits, listeners=listeners, site=site
    )
    started: queue.Queue[Callable[[], object] | Exception] = queue.Queue()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(server, started)))
    thread.start()
    stop = started.get()
    if isinstance(stop, Exception):
        thread.join()
        raise stop
    try:
        yield server
    finally:
        stop()
        thread.join()


async def _serve(
    server: BridgeServer, started: queue.Queue[Callable[[], object] | Exception]
) -> None:
    """Serve until the function put into `started` is called."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    try:
        async with server:
            started.put(lambda: loop.call_soon_threadsafe(stopped.set))
            await stopped.wait()
    except Exception as error:
        started.put(error)
