"""Site: the pages of a server, and the other origins whose pages may connect to it.

Beside the console there are the modules of the JavaScript client below `/sdk/`, and at `/game` a page of the server's
owner, such as a game that imports them. A page elsewhere connects only where its origin was named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from bridges.errors import BridgeError
from bridges.serving.origin import normal_origin

MAX_PAGE = 4 << 20
"""Bytes of the owner's page."""
_MODULES = (
    "composer.js", "connection.js", "console.js", "decision.js", "elements.js", "invitation.js",
    "log.js", "notices.js", "owner.js", "picture.js", "questions.js", "recording.js", "replay.js", "requests.js",
)  # fmt: skip
_HTML, _CSS, _JS = (f"text/{kind}; charset=utf-8" for kind in ("html", "css", "javascript"))
_CONSOLE = {
    "/": ("index.html", _HTML),
    "/console.css": ("console.css", _CSS),
    **{f"/{name}": (name, _JS) for name in _MODULES},
}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self' ws: wss:"
)
_GAME_CSP = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; media-src 'self' blob: data:; connect-src 'self' ws: wss:"
)
"""One file holds the page, its scripts and its style. Nothing comes from elsewhere: it may all that consoles may."""


@dataclass(frozen=True)
class Page:
    """A page's text, its type, and what it may load."""

    body: str
    kind: str
    csp: str = CSP


@dataclass(frozen=True)
class Site:
    """`game` is the owner's page, None without one; `origins` are those of pages elsewhere, in their normal form."""

    game: str | None = None
    origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, page: Path | None, origins: Iterable[str]) -> Site:
        """A page's file and origins as a user gives them; raises `BridgeError`."""
        return cls(
            None if page is None else _text_of(page), frozenset(allowed_origin(o) for o in origins)
        )

    def page(self, path: str) -> Page | None:
        """What is at a path; None where nothing is."""
        if path == "/game" and self.game is not None:
            return Page(self.game, _HTML, _GAME_CSP)
        if path in _CONSOLE:
            name, kind = _CONSOLE[path]
            return Page(_file("console", name), kind)
        if path in _sdk():
            return Page(_sdk()[path], _JS)
        return None


NO_SITE = Site()
"""The console and the JavaScript client alone."""


def read_pages() -> None:
    """Read the files of all servers, so that later requests touch no disk."""
    for name, _ in _CONSOLE.values():
        _file("console", name)
    _sdk()


def allowed_origin(text: str) -> str:
    """The normal form of an origin; raises `BridgeError` for what is none, or would be any page."""
    if (origin := normal_origin(text.strip().removesuffix("/"))) is None:
        raise BridgeError(
            f"{text!r} is no origin such as http://localhost:5173: scheme, host and port, without a path. "
            "A page opened as a file has none (null): give it to --page, or serve its folder"
        )
    return origin


def _text_of(page: Path) -> str:
    try:
        with page.open("rb") as file:
            data = file.read(MAX_PAGE + 1)
        if len(data) > MAX_PAGE:
            raise BridgeError(f"--page {page} has more than {MAX_PAGE >> 20} MiB")
        return data.decode()
    except OSError as error:
        raise BridgeError(f"--page {page} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BridgeError(f"--page {page} is no text in UTF-8") from None


@cache
def _file(*parts: str) -> str:
    return resources.files("bridges").joinpath(*parts).read_text(encoding="utf-8")


@cache
def _sdk() -> dict[str, str]:
    """The modules of the JavaScript client, by their paths."""
    folder = resources.files("bridges").joinpath("sdk", "js", "dist")
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".js")]
    return {f"/sdk/{name}": _file("sdk", "js", "dist", name) for name in names}
