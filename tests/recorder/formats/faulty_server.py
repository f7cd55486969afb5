"""A server of files on this machine that cuts connections, changes files, lies about sizes and answers with errors."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """A file; `etag` and `modified` empty: no such header."""

    content: bytes
    etag: str = '"1"'
    modified: str = ""


@dataclass
class Fault:
    """What is wrong with one answer."""

    status: int = 0
    """Instead of the file."""
    headers: dict[str, str | None] = field(default_factory=dict)
    """In place of the right ones; None leaves one out."""
    cut: int | None = None
    """Bytes of the body after which the connection is closed."""
    stall: threading.Event | None = None
    """What is waited for before it is closed."""
    body: bytes | None = None
    no_range: bool = False
    """Whether the whole file is sent where a part is asked for."""
    then: Served | None = None
    """What the file is from the next request on."""
    on: str = "GET"
    """The method of the request that it is for."""


@dataclass
class FaultyServer:
    """Files and faults by path; a fault is for one request, in their order."""

    url: str = ""
    files: dict[str, Served] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Range of each request."""

    def fault(self, method: str, path: str) -> Fault:
        waiting = self.faults.get(path, [])
        return waiting.pop(0) if waiting and waiting[0].on == method else Fault()


@contextmanager
def faulty_server() -> Iterator[FaultyServer]:
    """A server on a free port of this machine, which ends with the context."""
    state = FaultyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            state.requests.append((self.command, self.path, asked))
            fault = state.fault(self.command, self.path)
            served = state.files.get(self.path)
            if fault.then is not None:
                state.files[self.path] = fault.then
            if fault.status or served is None:
                self._send(fault.status or 404, {"Content-Length": "0"}, b"", fault)
                return
            begin = self._begin(asked, served, fault)
            content = served.content[begin:]
            headers = {"Content-Length": str(len(content))}
            headers |= {"ETag": served.etag} if served.etag else {}
            headers |= {"Last-Modified": served.modified} if served.modified else {}
            if begin:
                total = len(served.content)
                headers["Content-Range"] = f"bytes {begin}-{total - 1}/{total}"
            self._send(206 if begin else 200, headers, content, fault)

        do_HEAD = do_GET

        def _begin(self, asked: str, served: Served, fault: Fault) -> int:
            match = re.fullmatch(r"bytes=(\d+)-", asked)
            is_same = self.headers.get("If-Range") in (served.etag, served.modified)
            return int(match[1]) if match and is_same and not fault.no_range else 0

        def _send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
            self.send_response(status)
            for name, value in {**headers, **fault.headers}.items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                body = body if fault.body is None else fault.body
                self.wfile.write(body if fault.cut is None else body[: fault.cut])
            if fault.stall is not None:
                fault.stall.wait(60)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
