"""Server process: a bridge server of a stub policy in a process of its own, with its log and its memory."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from bridges.serving import process
from bridges.serving.limits import ServerLimits
from bridges.serving.server import BridgeServer
from bridges.serving.sessions import SessionRegistry, Work
from bridges.testing.stub_policy import StubPolicy

TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class ServerOptions:
    """What the server is started with."""

    model_ms: float
    """Time of a pass of the policy, whatever its batch."""
    fifo: bool = False
    """Answer every picture, one a pass, in the order in which they came; for games in lockstep that do not wait."""
    token: str | None = None


@dataclass(frozen=True)
class RunningServer:
    """Address, process and log file of a server."""

    url: str
    pid: int
    log: Path

    def rss_mb(self) -> float:
        """Resident memory in MiB; Linux only."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def tracebacks(self) -> int:
        """Tracebacks in the log so far."""
        return self.log.read_text(errors="replace").count(TRACEBACK)


class FifoSessions(SessionRegistry):
    """One observation a pass, the oldest of all sessions."""

    def take_batch(self, now: float = inf) -> list[Work]:
        ready = [session for session in self if session.is_ready]
        return [min(ready, key=lambda session: session.queue[0].received).take()] if ready else []


@contextmanager
def server_process(options: ServerOptions, log: Path | None = None) -> Iterator[RunningServer]:
    """A server on a free port; it ends with the block, or with this process. The log is kept where it is named."""
    context = get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = log or Path(folder) / "server.log"
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(options, path, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            url: str = ours.recv()
            assert process.pid is not None
            yield RunningServer(url, process.pid, path)
        finally:
            ours.close()
            process.join(10)
            process.kill()
            process.join()


def _serve(options: ServerOptions, log: Path, pipe: Connection) -> None:
    """The server's process: everything it prints goes to the log."""
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    logging.basicConfig(level=logging.INFO)
    process.prepare()
    asyncio.run(_main(options, pipe))


async def _main(options: ServerOptions, pipe: Connection) -> None:
    no_bound = ServerLimits(max_in_flight=1 << 30, max_in_flight_bytes=1 << 40)
    ended = asyncio.Event()
    async with BridgeServer(
        StubPolicy(options.model_ms / 1000),
        port=0,
        token=options.token,
        limits=no_bound if options.fifo else None,
        sessions=FifoSessions() if options.fifo else None,
    ) as server:
        asyncio.get_running_loop().add_reader(pipe.fileno(), ended.set)
        pipe.send(server.url)
        await ended.wait()  # the other end was closed
