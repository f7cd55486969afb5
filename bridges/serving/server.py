"""Bridge server: a websocket server on loopback for games and consoles, with the console page on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterable
from types import TracebackType

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from bridges.errors import BridgeError, PolicyError
from bridges.policy import Policy
from bridges.protocol import frames
from bridges.protocol.act import act_message
from bridges.protocol.address import PATH
from bridges.protocol.messages import (
    MAX_MESSAGE,
    Answer,
    Bye,
    ErrorMessage,
    Event,
    Hello,
    Instruct,
    Query,
    State,
    Subscribe,
    Welcome,
)
from bridges.protocol.wire_log import WIRE_LOG
from bridges.serving.batcher import Batcher, CompletedObservation, GameSession
from bridges.serving.connection import abort_stalled, parse, send, send_nowait
from bridges.serving.handshake import ConnectionRefused, receive_hello, select_subprotocol
from bridges.serving.http import Health, answer
from bridges.serving.limits import ServerLimits
from bridges.serving.sessions import Attachment, SessionRegistry, UnknownSessionError
from bridges.serving.watchers import Watcher, Watchers

log = logging.getLogger("iafm.bridge")
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


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
        limits: ServerLimits | None = None,
    ) -> None:
        if host not in LOOPBACK and not token:
            raise BridgeError(
                f"{host} can be reached from other machines: set a token with --token-file"
            )
        self.policy = policy
        self.limits = limits or ServerLimits()
        self._host, self._port, self._token = host.strip("[]"), port, token
        self._sessions = SessionRegistry()
        self._watchers = Watchers(self._sessions, self.limits.watch_hz)
        self._connections = 0
        self._answered = 0
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """The bound port."""
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def url(self) -> str:
        """Address for games."""
        return f"ws://{self._authority}{PATH}"

    @property
    def console_url(self) -> str:
        """Address for a browser."""
        return f"http://{self._authority}/"

    @property
    def _authority(self) -> str:
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    @property
    def watchers(self) -> int:
        """Number of connected consoles."""
        return len(self._watchers)

    def state(self) -> State:
        """All attached games with their tallies."""
        sessions = tuple(attachment.state() for attachment in self._sessions)
        return State(policy=self.policy.name, sessions=sessions)

    # --- start and stop ---

    async def __aenter__(self) -> BridgeServer:
        self._batcher = Batcher(self.policy, self._on_answer, self._on_error)
        self._server = await self._listen()
        self._tasks = [
            asyncio.create_task(self._batcher.run()),
            asyncio.create_task(self._report()),
            asyncio.create_task(abort_stalled(self._server, self.limits)),
        ]
        return self

    async def _listen(self) -> Server:
        try:
            return await serve(
                self._handle,
                self._host,
                self._port,
                compression=None,
                max_size=MAX_MESSAGE,
                process_request=self._http,
                select_subprotocol=select_subprotocol,
                ping_interval=20,
                logger=WIRE_LOG,
            )
        except OSError as error:
            raise BridgeError(
                f"port {self._port} on {self._host} is taken: stop the other server or choose another with --port"
                if error.errno in (98, 48, 10048)
                else f"cannot listen on {self._host}:{self._port}: {error.strerror or error}"
            ) from None
        except OverflowError:
            raise BridgeError(f"port {self._port} is none: choose one of 0 to 65535") from None

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
            await asyncio.wait_for(self._server.wait_closed(), self.limits.shutdown_s)
        for connection in list(self._server.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # aborted transports close in the loop's next turn
        self._batcher.close()

    # --- connections ---

    def _http(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        health = Health(
            self.policy.name, len(self._sessions), self._answered, self._sessions.dropped
        )
        local = self._host in LOOPBACK
        return answer(request, health, known_hosts=LOOPBACK if local else None)

    async def _handle(self, connection: ServerConnection) -> None:
        self._connections += 1
        try:
            if self._connections > self.limits.connections:
                raise ConnectionRefused(4429, f"{self.limits.connections} connections are open")
            hello = await receive_hello(
                connection, token=self._token, timeout_s=self.limits.hello_timeout_s
            )
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
            self._connections -= 1

    def _welcome(self, session: str, instruction: str, warnings: Iterable[str]) -> Welcome:
        return Welcome(
            session=session,
            policy=self.policy.name,
            instruction=instruction,
            warnings=tuple(warnings),
            max_message=MAX_MESSAGE,
            max_pixels=frames.MAX_PIXELS,
        )

    # --- games ---

    async def _play(self, connection: ServerConnection, hello: Hello) -> None:
        game = await self._attach(connection, hello)
        player = game.session.player
        try:
            warnings = (*player.warnings, *frames.size_warnings(player.spec.frame))
            await send(connection, self._welcome(game.name, hello.instruction, warnings))
            self._watchers.broadcast(self.state())
            async for data in connection:
                await self._from_game(game, data)
        finally:
            self._sessions.remove(game.name)
            self._batcher.sessions.pop(game.name, None)
            log.info("%s left", game.name)
            with contextlib.suppress(RuntimeError):  # the worker has ended at shutdown
                await self._batcher.call(player.close)
            self._watchers.broadcast(self.state())

    async def _attach(self, connection: ServerConnection, hello: Hello) -> Attachment:
        """A new session of the policy; raises `ConnectionRefused` where it cannot play the game."""
        if hello.spec is None:
            raise ConnectionRefused(4400, "a hello to play carries the game's spec")
        spec = hello.spec
        try:
            player = await self._batcher.call(lambda: self.policy.attach(spec, seed=hello.seed))
        except PolicyError as error:
            hint = "declare meanings for the controls (see `iafm games voxel`)"
            await send(connection, ErrorMessage(code="unplayable", message=str(error), hint=hint))
            raise ConnectionRefused(4400, str(error)) from None
        name = uuid.uuid4().hex[:8]
        session = GameSession(name, player, hello.mode == "lockstep", hello.instruction)
        game = Attachment(connection, session, hello)
        self._sessions.add(game)
        self._batcher.sessions[name] = session
        log.info("%s attached as %s (%s)", spec.id, name, hello.mode)
        return game

    async def _from_game(self, game: Attachment, data: str | bytes) -> None:
        if isinstance(data, bytes):
            try:
                game.session.enqueue(frames.unpack(data))
            except frames.FrameError as error:
                raise ConnectionRefused(error.code, str(error)) from None
            self._batcher.notify()
            return
        match await parse(game.connection, data):
            case Instruct(text=text):
                self._instruct(game, text)
            case Event() as event:
                await self._on_event(game, event)
            case Query() as query:
                await self._answer_query(game.connection, query, game)
            case Bye():
                await game.connection.close(1000, "bye")

    async def _on_event(self, game: Attachment, event: Event) -> None:
        """Count an episode's end and clear the policy's state."""
        if not (event.terminated or event.truncated):
            return
        game.episodes += 1
        game.successes += bool(event.success)
        await self._batcher.call(game.session.player.reset)
        self._watchers.broadcast_of(game, event.model_copy(update={"session": game.name}))
        self._watchers.broadcast(self.state())

    # --- consoles and tools ---

    async def _watch(self, connection: ServerConnection, hello: Hello) -> None:
        watcher = Watcher(connection)
        await send(connection, self._welcome("", "", ()))
        if hello.role == "watch":
            self._watchers.add(watcher)
        try:
            await send(connection, self.state())
            async for data in connection:
                if isinstance(data, bytes):
                    raise ConnectionRefused(4400, "a watcher sends no pictures")
                try:
                    await self._from_watcher(watcher, data)
                except UnknownSessionError as error:
                    problem = ErrorMessage(code="no_session", message=str(error), path="session")
                    await send(connection, problem)
        finally:
            self._watchers.discard(watcher)

    async def _from_watcher(self, watcher: Watcher, data: str) -> None:
        """Raises `UnknownSessionError` for a session that is not attached."""
        match await parse(watcher.connection, data):
            case Subscribe(session=session):
                if session is not None:
                    self._sessions.find(session)
                watcher.session = session
            case Instruct(text=text, session=session):
                game = self._sessions.find(session or watcher.session)
                message = self._instruct(game, text)
                send_nowait(game.connection, message)
                if not self._watchers.sees(watcher, game):
                    await send(watcher.connection, message)
            case Query(session=session) as query:
                game = self._sessions.find(session or watcher.session)
                await self._answer_query(watcher.connection, query, game)
            case Bye():
                await watcher.connection.close(1000, "bye")

    # --- sessions ---

    def _instruct(self, game: Attachment, text: str) -> Instruct:
        """Set an instruction, which counts from the next observation on; returns what the watchers got."""
        game.session.instruction = text
        message = Instruct(text=text, session=game.name)
        self._watchers.broadcast_of(game, message)
        self._watchers.broadcast(self.state())
        return message

    async def _answer_query(
        self, connection: ServerConnection, query: Query, game: Attachment
    ) -> None:
        player = game.session.player
        try:
            text = await self._batcher.call(lambda: self.policy.ask(player, query.kind))
        except Exception:
            log.exception("the policy could not answer %s", query.kind)
            reason = "the policy could not answer"
            await send(connection, ErrorMessage(code="policy_failed", message=reason))
            return
        await send(connection, Answer(id=query.id, kind=query.kind, text=text))

    def _on_answer(self, completed: CompletedObservation) -> None:
        session = completed.session
        game = self._sessions.get(session.name)
        if game is None:
            return
        now = time.monotonic()
        game.answered_at.append(now)
        self._answered += 1
        act = act_message(
            completed.decision,
            session=session.name,
            observation=completed.observation.encoded.number,
            step_hz=session.player.spec.step_hz,
            latency=completed.latency(now),
            dropped=session.dropped,
        ).model_dump_json()
        send_nowait(game.connection, act)
        self._watchers.broadcast_of(game, act)
        self._watchers.show(game, completed, now)

    def _on_error(self, session: GameSession, error: Exception) -> None:
        if game := self._sessions.get(session.name):
            public = isinstance(error, frames.FrameError | PolicyError)
            reason = str(error) if public else "the policy failed"
            send_nowait(game.connection, ErrorMessage(code="policy_failed", message=reason))

    async def _report(self) -> None:
        """Send watchers fresh figures at a fixed rate."""
        while True:
            await asyncio.sleep(self.limits.report_s)
            self._watchers.broadcast(self.state())


def run(server: BridgeServer, on_start: Callable[[BridgeServer], None] | None = None) -> None:
    """Serve until Ctrl-C; `on_start(server)` is called once it listens."""

    async def main() -> None:
        async with server:
            if on_start:
                on_start(server)
            await asyncio.get_running_loop().create_future()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
