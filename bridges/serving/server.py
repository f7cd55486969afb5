"""How do games reach the policy? A websocket server on loopback, with the console page on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response
from websockets.typing import Subprotocol

from bridges.errors import BridgeError, PolicyError
from bridges.policy import Policy
from bridges.protocol import frames
from bridges.protocol.act import act_message
from bridges.protocol.messages import (
    MAX_MESSAGE,
    SUBPROTOCOL,
    VERSION,
    Answer,
    Bye,
    ErrorMessage,
    Event,
    Hello,
    Instruct,
    MessageError,
    Query,
    SessionState,
    State,
    Subscribe,
    Welcome,
    from_client,
)
from bridges.serving.batcher import Batcher, CompletedObservation, GameSession
from bridges.serving.http import Health, answer

log = logging.getLogger("iafm.bridge")

MAX_CONNECTIONS = 64
HELLO_TIMEOUT_S = 5.0
WATCH_HZ = 12.0
STALL_BYTES, STALL_S = 1 << 20, 2.0
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


class ConnectionRefused(Exception):
    """A peer is sent away with a close code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass
class Attachment:
    """An attached game: its connection, its session and its tally."""

    connection: ServerConnection
    session: GameSession
    hello: Hello
    episodes: int = 0
    successes: int = 0
    acts: deque[float] = field(default_factory=lambda: deque(maxlen=100))

    @property
    def hz(self) -> float:
        """Answers per second over the last ones."""
        if len(self.acts) < 2 or time.monotonic() - self.acts[-1] > 2:
            return 0.0
        return (len(self.acts) - 1) / max(self.acts[-1] - self.acts[0], 1e-6)


@dataclass(eq=False)
class Watcher:
    """A console: which session it looks at (None: the newest), and when it last got a picture."""

    connection: ServerConnection
    session: str | None = None
    last_frame_at: float = 0.0


class BridgeServer:
    """Serves one policy: `async with BridgeServer(policy) as server: …`; port 0 takes a free one.

    Raises `BridgeError` for a taken port, or a bind beyond loopback without a token.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        host: str = "127.0.0.1",
        port: int = 8765,
        token: str | None = None,
        hello_timeout_s: float = HELLO_TIMEOUT_S,
    ) -> None:
        if host not in LOOPBACK and not token:
            raise BridgeError(
                f"{host} can be reached from other machines: set a token with --token-file"
            )
        self.policy = policy
        self._host, self._port, self._token = host, port, token
        self._hello_timeout_s = hello_timeout_s
        self._games: dict[str, Attachment] = {}
        self._watchers: set[Watcher] = set()
        self._open = 0
        self._answered = 0
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """The port that is really bound."""
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def url(self) -> str:
        return f"ws://{self._host}:{self.port}/v1"

    @property
    def console_url(self) -> str:
        return f"http://{self._host}:{self.port}/"

    @property
    def watchers(self) -> int:
        """Consoles that are connected."""
        return len(self._watchers)

    async def __aenter__(self) -> BridgeServer:
        self._batcher = Batcher(self.policy, self._on_answer, self._on_error)
        try:
            self._server = await serve(
                self._handle,
                self._host,
                self._port,
                compression=None,
                max_size=MAX_MESSAGE,
                process_request=self._http,
                select_subprotocol=_select_subprotocol,
                ping_interval=20,
                logger=logging.getLogger("iafm.bridge.websockets"),
            )
        except OSError as error:
            raise BridgeError(
                f"port {self._port} on {self._host} is taken: stop the other server or choose another with --port"
                if error.errno in (98, 48, 10048)
                else f"cannot listen on {self._host}:{self._port}: {error.strerror or error}"
            ) from None
        except OverflowError:
            raise BridgeError(f"port {self._port} is none: choose one of 0 to 65535") from None
        self._tasks = [
            asyncio.create_task(self._batcher.run()),
            asyncio.create_task(self._report()),
            asyncio.create_task(self._watchdog()),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        for task in self._tasks:
            task.cancel()
        self._server.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 2)
        for connection in list(self._server.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # aborted transports close in the loop's next turn
        self._batcher.close()

    def state(self) -> State:
        """All attached games with their tallies."""
        sessions = tuple(
            SessionState(
                session=name,
                game=game.session.player.spec.id,
                instruction=game.session.instruction,
                tasks=game.hello.tasks,
                episodes=game.episodes,
                successes=game.successes,
                hz=round(game.hz, 1),
                dropped=game.session.dropped,
            )
            for name, game in self._games.items()
        )
        return State(policy=self.policy.name, sessions=sessions)

    # --- connections ---

    async def _handle(self, connection: ServerConnection) -> None:
        self._open += 1
        try:
            if self._open > MAX_CONNECTIONS:
                raise ConnectionRefused(4429, f"{MAX_CONNECTIONS} connections are open")
            hello = await self._hello(connection)
            if hello.role == "play":
                await self._play(connection, hello)
            else:
                await self._watch(connection, hello)
        except ConnectionRefused as refused:
            await connection.close(refused.code, str(refused)[:120])
        except ConnectionClosed:
            pass
        except Exception:
            log.exception("a connection failed")
            await connection.close(1011, "internal error")
        finally:
            self._open -= 1

    async def _hello(self, connection: ServerConnection) -> Hello:
        try:
            first = await asyncio.wait_for(connection.recv(), self._hello_timeout_s)
        except TimeoutError:
            raise ConnectionRefused(4408, f"no hello within {self._hello_timeout_s:g} s") from None
        try:
            hello = from_client(first) if isinstance(first, str) else None
        except MessageError as error:
            await _send(
                connection, ErrorMessage(code="bad_message", message=str(error), path=error.path)
            )
            raise ConnectionRefused(4400, str(error)) from None
        if not isinstance(hello, Hello):
            raise ConnectionRefused(4400, "the first message is a hello")
        if hello.version != VERSION:
            raise ConnectionRefused(
                4426, f"this server speaks version {VERSION}, not {hello.version}"
            )
        if self._token and not hmac.compare_digest(
            (hello.token or "").encode(), self._token.encode()
        ):
            raise ConnectionRefused(4401, "wrong or missing token")
        return hello

    async def _play(self, connection: ServerConnection, hello: Hello) -> None:
        if hello.spec is None:
            raise ConnectionRefused(4400, "a hello to play carries the game's spec")
        spec = hello.spec
        try:
            player = await self._batcher.call(lambda: self.policy.attach(spec, seed=hello.seed))
        except PolicyError as error:
            hint = "declare meanings for the controls (see `iafm games voxel`)"
            await _send(connection, ErrorMessage(code="unplayable", message=str(error), hint=hint))
            raise ConnectionRefused(4400, str(error)) from None
        name = uuid.uuid4().hex[:8]
        session = GameSession(name, player, hello.mode == "lockstep", hello.instruction)
        game = self._games[name] = Attachment(connection, session, hello)
        self._batcher.sessions[name] = session
        log.info("%s attached as %s (%s)", spec.id, name, hello.mode)
        try:
            await _send(connection, self._welcome(name, hello.instruction, player.warnings))
            self._broadcast_state()
            async for message in connection:
                await self._from_game(game, message)
        finally:
            self._games.pop(name, None)
            self._batcher.sessions.pop(name, None)
            log.info("%s left", name)
            with contextlib.suppress(RuntimeError):  # the worker is gone at shutdown
                await self._batcher.call(player.close)
            self._broadcast_state()

    async def _from_game(self, game: Attachment, data: str | bytes) -> None:
        if isinstance(data, bytes):
            try:
                game.session.enqueue(frames.unpack(data))
            except frames.FrameError as error:
                raise ConnectionRefused(error.code, str(error)) from None
            self._batcher.notify()
            return
        message = await self._parsed(game.connection, data)
        match message:
            case Instruct():
                self._instruct(game, message.text, from_game=True)
            case Event():
                if message.terminated or message.truncated:
                    game.episodes += 1
                    game.successes += bool(message.success)
                    await self._batcher.call(game.session.player.reset)
                    self._broadcast_to_watchers(
                        game, message.model_copy(update={"session": game.session.name})
                    )
                    self._broadcast_state()
            case Query():
                await self._answer_query(game.connection, message, game)
            case Bye():
                await game.connection.close(1000, "bye")

    async def _watch(self, connection: ServerConnection, hello: Hello) -> None:
        watcher = Watcher(connection)
        await _send(connection, self._welcome("", "", ()))
        if hello.role == "watch":
            self._watchers.add(watcher)
        try:
            await _send(connection, self.state())
            async for data in connection:
                if isinstance(data, bytes):
                    raise ConnectionRefused(4400, "a watcher sends no pictures")
                message = await self._parsed(connection, data)
                match message:
                    case Subscribe():
                        watcher.session = message.session
                    case Instruct() | Query():
                        game = self._find(message.session or watcher.session)
                        if game is None:
                            reason = "no game is attached"
                            await _send(connection, ErrorMessage(code="no_session", message=reason))
                        elif isinstance(message, Instruct):
                            self._instruct(game, message.text, from_game=False)
                        else:
                            await self._answer_query(connection, message, game)
                    case Bye():
                        await connection.close(1000, "bye")
        finally:
            self._watchers.discard(watcher)

    async def _parsed(self, connection: ServerConnection, data: str) -> Any:
        """A checked message, or None after telling the peer what was wrong with it."""
        try:
            message = from_client(data)
        except MessageError as error:
            await _send(
                connection, ErrorMessage(code="bad_message", message=str(error), path=error.path)
            )
            return None
        if message is None:
            reason = "this server does not know that type of message"
            await _send(connection, ErrorMessage(code="unknown_type", message=reason))
        return message

    # --- what sessions do ---

    def _instruct(self, game: Attachment, text: str, *, from_game: bool) -> None:
        """Set a goal: it counts from the next observation on."""
        game.session.instruction = text
        note = Instruct(text=text, session=game.session.name)
        if not from_game:
            _send_nowait(game.connection, note)
        self._broadcast_to_watchers(game, note)
        self._broadcast_state()

    async def _answer_query(
        self, connection: ServerConnection, query: Query, game: Attachment
    ) -> None:
        try:
            text = await self._batcher.call(
                lambda: self.policy.ask(game.session.player, query.kind)
            )
        except Exception:
            log.exception("the policy could not answer %s", query.kind)
            reason = "the policy could not answer"
            await _send(connection, ErrorMessage(code="policy_failed", message=reason))
            return
        await _send(connection, Answer(id=query.id, kind=query.kind, text=text))

    def _on_answer(self, answered: CompletedObservation) -> None:
        game = self._games.get(answered.session.name)
        if game is None:
            return
        now = time.monotonic()
        game.acts.append(now)
        self._answered += 1
        session, encoded = answered.session, answered.observation.encoded
        text = act_message(
            answered.decision,
            session=session.name,
            observation=encoded.number,
            step_hz=session.player.spec.step_hz,
            latency=answered.latency(now),
            dropped=session.dropped,
        ).model_dump_json()
        _send_nowait(game.connection, text)
        for watcher in self._watchers:
            if self._find(watcher.session) is game:
                _send_nowait(watcher.connection, text)
                if now - watcher.last_frame_at >= 1 / WATCH_HZ:
                    watcher.last_frame_at = now
                    _send_nowait(
                        watcher.connection,
                        frames.pack(
                            answered.frame, encoded.number, encoded.t_ns, frames.Codec.JPEG
                        ),
                    )

    def _on_error(self, session: GameSession, error: Exception) -> None:
        if game := self._games.get(session.name):
            reason = (
                str(error)
                if isinstance(error, frames.FrameError | PolicyError)
                else "the policy failed"
            )
            _send_nowait(game.connection, ErrorMessage(code="policy_failed", message=reason))

    def _find(self, name: str | None) -> Attachment | None:
        """A session by name; None means the newest."""
        if name is not None:
            return self._games.get(name)
        return next(reversed(self._games.values()), None)

    def _broadcast_to_watchers(self, game: Attachment, message: Any) -> None:
        for watcher in self._watchers:
            if self._find(watcher.session) is game:
                _send_nowait(watcher.connection, message)

    def _broadcast_state(self) -> None:
        state = self.state()
        for watcher in self._watchers:
            _send_nowait(watcher.connection, state)

    async def _report(self) -> None:
        """Watchers get fresh figures once a second."""
        while True:
            await asyncio.sleep(1)
            self._broadcast_state()

    async def _watchdog(self) -> None:
        """Cut off peers that stop reading: their buffer would grow for ever."""
        stalled: dict[Any, float] = {}
        while True:
            await asyncio.sleep(0.25)
            assert self._server is not None
            now = time.monotonic()
            for connection in list(self._server.connections):
                if connection.transport.get_write_buffer_size() <= STALL_BYTES:
                    stalled.pop(connection, None)
                elif now - stalled.setdefault(connection, now) > STALL_S:
                    log.warning("4504: a peer does not read; cut off")
                    connection.transport.abort()
                    stalled.pop(connection, None)

    def _welcome(self, session: str, instruction: str, warnings: Iterable[str]) -> Welcome:
        return Welcome(
            session=session,
            policy=self.policy.name,
            instruction=instruction,
            warnings=tuple(warnings),
            max_message=MAX_MESSAGE,
            max_pixels=frames.MAX_PIXELS,
        )

    def _http(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        dropped = sum(g.session.dropped for g in self._games.values())
        health = Health(self.policy.name, len(self._games), self._answered, dropped)
        local = self._host in LOOPBACK
        return answer(request, health, known_hosts=LOOPBACK if local else None)


def run(server: BridgeServer, on_start: Any = None) -> None:
    """Serve until Ctrl-C; `on_start(server)` is called once it listens."""

    async def main() -> None:
        async with server:
            if on_start:
                on_start(server)
            await asyncio.get_running_loop().create_future()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())


def _select_subprotocol(connection: ServerConnection, offered: Any) -> Subprotocol | None:
    """Our subprotocol where it is offered; a client that offers none is welcome too."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


async def _send(connection: ServerConnection, message: Any) -> None:
    await connection.send(message.model_dump_json())


def _send_nowait(connection: ServerConnection, message: Any) -> None:
    """Send without waiting; a slow reader is the watchdog's business."""
    data = message if isinstance(message, str | bytes) else message.model_dump_json()
    task = asyncio.ensure_future(connection.send(data))
    task.add_done_callback(lambda t: t.cancelled() or t.exception())
