"""Download of one file over HTTP that can be cut off anywhere and goes on where it was.

What was received is in NAME.part, and of which version of the file it is a part in NAME.part.json: size, ETag and
Last-Modified. The rest is asked for with `Range` and `If-Range`. A part of another version is thrown away. NAME itself
exists only once all of it is on the disk. Only http and https are spoken, also after a redirect, and never http after
https.

Errors that may pass (a cut connection, a timeout, 408, 429, 5xx) are tried again after a while; others are not.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recorder.format.atomic import replaced_file, write_atomic
from recorder.format.manifest import CaptureError, disk_errors

PART, VERSION = ".part", ".part.json"
TIMEOUT_S = 30.0
"""Longest silence of a server."""
TRIES = 6
"""Tries one after the other that add less than `PROGRESS_BYTES` to the most there was, before a file is given up."""
PROGRESS_BYTES = 1 << 16
BACKOFF_S = 1.0
"""Before the second try; doubled before each further one."""
MAX_BACKOFF_S = 60.0
"""Longest wait, also where the server asks for a longer one."""
CHUNK = 1 << 18
MAX_REDIRECTS = 5
MAX_CHANGES = 3
"""Other versions of a file that are begun, before it is given up."""
MAX_VERSION_BYTES = 1 << 16

T = TypeVar("T")
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_MAY_PASS = (408, 425, 429)
_CUT = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)


class WebError(CaptureError):
    """A file that cannot be had; to try again would not help."""


class GivenUpError(WebError):
    """A file that could not be had in several tries; it may be had later."""


class _PassingError(Exception):
    """A failure that may pass; `wait_s` is what the server asks for."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class _ChangedError(Exception):
    """The server has another version of the file."""


class _NoHeadError(Exception):
    """A server that answers no HEAD."""


class _NoRangeError(Exception):
    """A server that has nothing at the place that was asked for."""


class WebFile(BaseModel):
    """A version of a file on a server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    size: int = Field(ge=0)
    etag: str = ""
    modified: str = ""
    """Last-Modified, as the server writes it."""

    @property
    def validator(self) -> str:
        """What `If-Range` may carry: a strong ETag, else Last-Modified; empty where there is neither."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def check(self, headers: Message, length: int | None) -> None:
        """Raise `_ChangedError` where an answer is about another version."""
        etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
        is_other = (etag and self.etag and etag != self.etag) or (
            modified and self.modified and modified != self.modified
        )
        if is_other or (length is not None and length != self.size):
            raise _ChangedError


class _OnlyWeb(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        target = urljoin(req.full_url, newurl)
        scheme = urlsplit(target).scheme
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            raise WebError(f"{req.full_url} leads to {target!r:.200}, which is not followed")
        return urllib.request.Request(
            target, headers=req.headers, method=req.get_method(), unverifiable=True
        )


def _opener() -> urllib.request.OpenerDirector:
    """As `build_opener`, but without file:, ftp: and data:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _OnlyWeb(),
    ):
        opener.add_handler(handler)
    return opener


@dataclass(frozen=True)
class WebClient:
    """How servers are asked; `sleep` waits before another try."""

    timeout_s: float = TIMEOUT_S
    sleep: Callable[[float], object] = time.sleep

    def read(self, url: str, limit: int) -> bytes:
        """The content of a small file; raises `WebError` where it cannot be had or is larger than `limit` bytes."""

        def attempt() -> bytes:
            with self._open(url) as response:
                content: bytes = response.read(limit + 1)
                if len(content) > limit:
                    raise WebError(f"{url} has more than {limit} bytes")
                if response.length:
                    raise _PassingError("the connection was cut")
            return content

        return self._tried(url, attempt)

    def probe(self, url: str) -> WebFile:
        """The version of a file that the server has now; raises `WebError` where it cannot be had."""

        def attempt(method: str) -> WebFile:
            with self._open(url, method=method) as response:
                length = _length(response.headers)
                if length is None:
                    raise WebError(f"{url}: the server does not say how large it is")
                headers = response.headers
                return WebFile(
                    url=url,
                    size=length,
                    etag=headers.get("ETag", ""),
                    modified=headers.get("Last-Modified", ""),
                )

        try:
            return self._tried(url, lambda: attempt("HEAD"))
        except _NoHeadError:
            return self._tried(url, lambda: attempt("GET"))

    def fetch(self, file: WebFile, target: Path, on_held: Callable[[int], object]) -> None:
        """Receive what is missing of `target`'s part, and leave the whole in it; `finish` gives it its name.

        `on_held(bytes)` is called as the part grows, or is thrown away. Raises `WebError` where the file cannot be had,
        `DiskFullError` where the disk is full; the part stays, also at Ctrl-C.
        """
        part, most = _Part(target), file.size
        for _ in range(1 + MAX_CHANGES):
            try:
                self._complete(file, part, on_held)
                return
            except _ChangedError:
                part.discard()
                on_held(0)
                file = self.probe(file.url)
                if file.size > most:
                    raise WebError(f"{file.url} grew from {most} to {file.size} bytes") from None
        raise WebError(f"{file.url} changes while it is received")

    def _complete(self, file: WebFile, part: _Part, on_held: Callable[[int], object]) -> None:
        failures, most = 0, part.begin(file)
        on_held(most)
        while part.size < file.size:
            try:
                self._receive(file, part, on_held)
            except _PassingError as error:
                failures = 1 if part.size - most >= PROGRESS_BYTES else failures + 1
                most = max(most, part.size)
                self._wait(file.url, failures, error)

    def _receive(self, file: WebFile, part: _Part, on_held: Callable[[int], object]) -> None:
        """One request for what is missing."""
        held = part.size
        headers = {"Range": f"bytes={held}-", "If-Range": file.validator} if held else {}
        try:
            with self._open(file.url, headers) as response:
                if response.status == 206:
                    file.check(response.headers, _total(response.headers, held))
                else:
                    file.check(response.headers, _length(response.headers))
                    part.cut()
                with disk_errors(part.folder), part.open() as out:
                    _copy(response, out, file.size - part.size, part.size, on_held)
        except _NoRangeError:
            part.cut()
            raise _PassingError("the server answers 416") from None
        if part.size < file.size:
            raise _PassingError(f"the connection was cut after {part.size} of {file.size} bytes")

    def _tried(self, url: str, attempt: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return attempt()
            except _PassingError as error:
                failures += 1
                self._wait(url, failures, error)

    def _wait(self, url: str, failures: int, error: _PassingError) -> None:
        if failures >= TRIES:
            raise GivenUpError(f"{url}: {error}, {failures} times") from None
        self.sleep(min(max(BACKOFF_S * 2 ** (failures - 1), error.wait_s), MAX_BACKOFF_S))

    @contextmanager
    def _open(
        self, url: str, headers: dict[str, str] | None = None, method: str = "GET"
    ) -> Iterator[Any]:
        """An answer with status 200 or 206; raises `WebError` or `_PassingError` for any other, also later on."""
        asked = {"Accept-Encoding": "identity", "User-Agent": "iafm", **(headers or {})}
        try:
            with _answer(url, asked, method, self.timeout_s) as response:
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise WebError(f"{url} comes compressed, though that was not asked for")
                if response.status not in (200, 206) or (response.status == 206 and not headers):
                    raise WebError(f"{url}: the server answers {response.status}")
                yield response
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(url, error, asked, method) from None
        except _CUT as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise WebError(f"{url}: {reason}") from None
            raise _PassingError(str(reason) or type(reason).__name__) from None


def _answer(url: str, headers: dict[str, str], method: str, timeout_s: float) -> Any:
    try:
        request = urllib.request.Request(url, headers=headers, method=method)
        return _opener().open(request, timeout=timeout_s)
    except WebError:
        raise
    except ValueError as error:  # of an address that is none, here or after a redirect
        raise WebError(f"{url}: {error}") from None


class _Part:
    """What was received of a file, and of which version it is."""

    def __init__(self, target: Path) -> None:
        self._path = target.with_name(target.name + PART)
        self._version = target.with_name(target.name + VERSION)

    @property
    def folder(self) -> Path:
        return self._path.parent

    @property
    def size(self) -> int:
        """Bytes that were received."""
        return self._path.stat().st_size if self._path.exists() else 0

    def begin(self, file: WebFile) -> int:
        """Keep a part of this version and throw away that of another; returns its bytes."""
        if self._held_version() != file or not file.validator or self.size > file.size:
            self.discard()
            with disk_errors(self._path.parent):
                write_atomic(self._version, file.model_dump_json())
        self._path.touch()
        return self.size

    def cut(self) -> None:
        """Begin anew with the same version."""
        self._path.write_bytes(b"")

    def discard(self) -> None:
        """Delete the part, then what is known of it."""
        self._path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def open(self) -> IO[bytes]:
        """To append to; what is written is in the file at once."""
        return self._path.open("ab", buffering=0)

    def _held_version(self) -> WebFile | None:
        try:
            with self._version.open("rb") as file:
                return WebFile.model_validate_json(file.read(MAX_VERSION_BYTES))
        except (OSError, ValidationError):
            return None


def held_bytes(target: Path) -> int:
    """Bytes of a file, or of its part, which may turn out to be of another version."""
    return target.stat().st_size if target.is_file() else _Part(target).size


def finish(target: Path) -> None:
    """Give a file that was received its name."""
    with disk_errors(target.parent), replaced_file(target, target.with_name(target.name + PART)):
        pass
    target.with_name(target.name + VERSION).unlink(missing_ok=True)


def _copy(
    response: Any, out: IO[bytes], left: int, held: int, on_held: Callable[[int], object]
) -> None:
    """Write at most `left` bytes of an answer, as they come."""
    while left and (chunk := response.read1(min(CHUNK, left))):
        out.write(chunk)
        left, held = left - len(chunk), held + len(chunk)
        on_held(held)


def _length(headers: Message) -> int | None:
    """The length that an answer says it has; None where it says none."""
    text = headers.get("Content-Length", "")
    return int(text) if re.fullmatch(r"\d{1,18}", text) else None


def _total(headers: Message, held: int) -> int:
    """The size of the file of which an answer is the rest, from byte `held` on; raises `_ChangedError` for another."""
    match = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if not match or int(match[1]) != held or int(match[2]) + 1 != int(match[3]):
        raise _ChangedError
    return int(match[3])


def _refusal(
    url: str, error: urllib.error.HTTPError, asked: dict[str, str], method: str
) -> Exception:
    """What an answer that is no success means."""
    if method == "HEAD" and error.code in (405, 501):
        return _NoHeadError()
    if error.code == 416 and "Range" in asked:
        return _NoRangeError()
    message = f"the server answers {error.code}"
    if error.code in _MAY_PASS or error.code >= 500:
        wait = error.headers.get("Retry-After", "") if error.headers else ""
        return _PassingError(message, float(wait) if re.fullmatch(r"\d{1,6}", wait) else 0.0)
    return WebError(f"{url}: {message}")
