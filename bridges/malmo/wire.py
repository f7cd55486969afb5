"""MalmoEnv wire: the messages of Minecraft's side of one connection, without I/O.

Every message is a length of four bytes, big-endian, and as many bytes. The client's messages look like XML and are told
apart by how they begin; the replies are numbers, JSON and raw pixels. A client that breaks a rule gets no reply: the
wire raises `WireError`, and the connection is to be closed, as Minecraft does.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VERSION = "0.37.0"
"""Of MalmoEnv, as MineRL 0.4.4 and 1.0.2 speak it."""
MAX_HELLO = 64
MAX_MESSAGE = 1 << 20
"""Bytes of a message; the largest one is a mission's XML, 5 kB with a house's inventory."""
MAX_TOKEN = 256
MAX_COMMANDS = 128
MAX_COMMAND = 256
"""Characters of one command."""
MAX_AGENTS = 16
MAX_TURN_DEG = 3600.0

_HEADER = struct.Struct("!I")
_NUMBER = struct.Struct("!II")
_STEPPED = struct.Struct("!Idbb")
_PEEKED = struct.Struct("!Ib")
_STEP = re.compile(r"<StepClient(\d)>(.*)</StepClient\1 ?>", re.DOTALL)
_TOKEN = re.compile(
    r"([\w.-]{1,64}):(\d{1,4}):(\d{1,9})(?::(\d{1,4}):(true|false)(?::(-?\d{1,19}))?)?", re.ASCII
)


class WireError(ValueError):
    """The client broke a rule of the wire; one line says which."""


@dataclass(frozen=True)
class Token:
    """Who asks for which mission: an episode's id, a number for each agent, and the seed where the client has one.

    Which agent of the mission it is says the mission itself.
    """

    episode: str
    role: int
    agents: int = 1
    seed: int | None = None


@dataclass(frozen=True)
class Command:
    """A line of a step: a verb such as `forward` or `camera`, and the rest of the line."""

    verb: str
    argument: str


@dataclass(frozen=True)
class Mission:
    """A mission to begin; answered with 1, or with 0 where the world is busy."""

    xml: bytes
    token: Token


@dataclass(frozen=True)
class Step:
    """One tick of an agent."""

    commands: tuple[Command, ...]
    with_info: bool


@dataclass(frozen=True)
class Find:
    """Where the mission's world is; answered with a port, or with 0."""

    token: Token


@dataclass(frozen=True)
class Peek:
    """The first observation of a mission."""


@dataclass(frozen=True)
class Quit:
    """The end of the mission that is being played, if there is one."""


@dataclass(frozen=True)
class Disconnect:
    """The end of the connection."""


@dataclass(frozen=True)
class Exit:
    """The end of the process."""


@dataclass(frozen=True)
class Acknowledge:
    """Something that needs no more than the answer 1."""


@dataclass(frozen=True)
class Echo:
    """Bytes to send back."""

    payload: bytes


Request = Mission | Step | Find | Peek | Quit | Disconnect | Exit | Acknowledge | Echo


class MalmoConnection:
    """The client's messages of one connection, in the order in which they came."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._greeted = False

    @property
    def greeted(self) -> bool:
        """Whether the client has named its version."""
        return self._greeted

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun that is not complete."""
        return bool(self._received)

    def receive(self, data: bytes) -> None:
        """Bytes from the client."""
        self._received += data

    def next_request(self) -> Request | None:
        """The next request, None where more bytes are needed; raises `WireError`."""
        if not self._greeted:
            hello = self._take(0, MAX_HELLO)
            if hello is None:
                return None
            self._skip(hello)
            _check_hello(hello)
            self._greeted = True
        while (message := self._take(0, MAX_MESSAGE)) is not None:
            if message.startswith(b"<MissionInit"):
                return self._mission(message)
            self._skip(message)
            if not message.startswith(b"<StepServer"):  # has no answer: a tick is a client's step
                return _request(message)
        return None

    def _mission(self, xml: bytes) -> Mission | None:
        """A mission with the token that follows it, None where that has yet to come."""
        token = self._take(_HEADER.size + len(xml), MAX_TOKEN)
        if token is None:
            return None
        self._skip(xml)
        self._skip(token)
        return Mission(xml, read_token(_text(token), whole=True))

    def _take(self, start: int, most: int) -> bytes | None:
        """The message that begins at `start`, None where it is not complete."""
        if len(self._received) < start + _HEADER.size:
            return None
        (length,) = _HEADER.unpack_from(self._received, start)
        if not 0 < length <= most:
            raise WireError(f"a message of {length:,} bytes; 1 to {most:,} are allowed here")
        first = start + _HEADER.size
        if len(self._received) < first + length:
            return None
        return bytes(self._received[first : first + length])

    def _skip(self, message: bytes) -> None:
        del self._received[: _HEADER.size + len(message)]


def read_token(text: str, *, whole: bool) -> Token:
    """A token `episode:role:reset`, with `:agents:true` and perhaps `:seed` where it is a mission's `whole` one."""
    match = _TOKEN.fullmatch(text)
    if match is None or (match[4] is None) == whole:
        raise WireError(f"no token: {text[:80]!r}")
    if match[5] == "false":
        raise WireError("a mission that runs in real time; only synchronous ones can be played")
    role, agents = int(match[2]), int(match[4] or MAX_AGENTS)
    seed = None if match[6] is None else int(match[6])
    if (
        not 1 <= agents <= MAX_AGENTS or role > agents
    ):  # MineRL 0.4.4 counts the second agent's from 2 on
        raise WireError(f"role {role} of {agents} agents; at most {MAX_AGENTS} play together")
    if seed is not None and not -(2**63) <= seed < 2**63:
        raise WireError(f"the seed {seed} has more than 64 bits")
    return Token(match[1], role, agents, seed)


def number(value: int) -> bytes:
    """The reply that is one number."""
    return _NUMBER.pack(4, value)


def packed(payload: bytes) -> bytes:
    """A payload with its length."""
    return _HEADER.pack(len(payload)) + payload


def peeked(pixels: bytes, info: Mapping[str, Any], done: bool) -> bytes:
    """The reply to a peek: pixels, information, and whether the mission is over."""
    return packed(pixels) + _json(info) + _PEEKED.pack(1, done)


def stepped(pixels: bytes, reward: float, done: bool, info: Mapping[str, Any] | None) -> bytes:
    """The reply to a step; `info` is None where the client asked for none."""
    reply = packed(pixels) + _STEPPED.pack(10, reward, done, True)
    return reply if info is None else reply + _json(info)


def _json(info: Mapping[str, Any]) -> bytes:
    return packed(json.dumps(info, separators=(",", ":"), allow_nan=False).encode())


def _check_hello(hello: bytes) -> None:
    """Raise `WireError` unless this client speaks our version."""
    wanted = f"<MalmoEnv{VERSION}"
    if not hello.startswith(wanted.encode()):
        raise WireError(f"the client begins with {hello!r}, not with {wanted!r}")


def _request(message: bytes) -> Request:
    """The request of any message but a mission or a server's step."""
    if message.startswith(b"<StepClient"):
        return _step(_text(message))
    if message.startswith(b"<Echo"):
        return Echo(b"<Echo>" + message + b"</Echo>")
    if message.startswith(b"<Find>"):
        inner = _text(message).removeprefix("<Find>").removesuffix("</Find>")
        return Find(read_token(inner, whole=False))
    for start, request in _SIMPLE.items():
        if message.startswith(start):
            return request
    raise WireError(f"an unknown message: {message[:40]!r}")


_SIMPLE: dict[bytes, Request] = {
    b"<Peek": Peek(),
    b"<Quit": Quit(),
    b"<Disconnect": Disconnect(),
    b"<Exit": Exit(),
    b"<Status": Echo(b"{}"),
    b"<Init": Acknowledge(),
    b"<Close": Acknowledge(),
}


def _step(text: str) -> Step:
    match = _STEP.fullmatch(text)
    if match is None:
        raise WireError(f"a step that cannot be read: {text[:80]!r}")
    lines = [line for line in match[2].split("\n") if line.strip()]
    if len(lines) > MAX_COMMANDS or any(len(line) > MAX_COMMAND for line in lines):
        raise WireError(f"more than {MAX_COMMANDS} commands, or one of over {MAX_COMMAND} letters")
    commands = []
    for line in lines:
        verb, _, argument = line.strip().partition(" ")
        commands.append(Command(verb, argument.strip()))
    return Step(tuple(commands), match[1] in "02")


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise WireError("a message that is no UTF-8") from None
