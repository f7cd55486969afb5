"""Run of a server until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from bridges.serving import process
from bridges.serving.server import BridgeServer


def run(server: BridgeServer, on_start: Callable[[BridgeServer], None] | None = None) -> None:
    """Serve until Ctrl-C; `on_start(server)` is called once it listens. The process is the server's alone."""
    process.prepare()

    async def main() -> None:
        async with server:
            if on_start:
                on_start(server)
            await asyncio.get_running_loop().create_future()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
