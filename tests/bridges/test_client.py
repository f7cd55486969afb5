"""Client: addresses, unknown sessions, instructions from outside, and failures in one line."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as raw_connect
from websockets.sync.server import ServerConnection, serve

from bridges.client import connect
from bridges.console_client import ask, instruct, watch
from bridges.errors import BridgeError, DisconnectedError
from bridges.play import Start, play
from bridges.protocol.messages import (
    Act,
    ErrorMessage,
    Hello,
    Instruct,
    State,
    Subscribe,
    from_server,
)
from bridges.serving.limits import ServerLimits
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from bridges.testing.background_server import background_server
from games import Button, FrameSize, GameSpec
from games.voxel import VoxelEnv

SPEC = GameSpec(
    id="bell-v0",
    title="Bell",
    frame=FrameSize(height=16, width=16),
    step_hz=20,
    controls=(Button(name="ring", label="ring"),),
)
FRAME = np.zeros(SPEC.frame.shape, np.uint8)


@pytest.fixture
def server() -> Iterator[BridgeServer]:
    with background_server(RandomPolicy()) as server:
        yield server


def receive_until(connection: ClientConnection, kind: type[object]) -> list[object]:
    """Text messages up to the first of a kind."""
    received: list[object] = []
    while not received or not isinstance(received[-1], kind):
        received.append(from_server(connection.recv(timeout=60, decode=True)))
    return received


def addresses(server: BridgeServer) -> tuple[str, ...]:
    """What a user may type, and what `iafm serve` prints."""
    return (
        server.url,
        server.url.removesuffix("/v1"),
        server.console_url,
        f"127.0.0.1:{server.port}",
    )


def test_every_function_accepts_every_form_of_the_address(server: BridgeServer) -> None:
    for address in addresses(server):
        with connect(address, SPEC) as game:
            game.act(FRAME)
            assert ask(address, "next_action").endswith("(drawn at random)")
            instruct(address, "ring twice")
            with closing(watch(address)) as messages:
                assert isinstance(next(messages), State)
    steps: list[Act | None] = []
    report = play(
        VoxelEnv(),
        server.console_url,
        [Start(0)],
        on_step=lambda act, info: steps.append(act),
        stop=lambda report: len(steps) == 3,
    )
    assert report.steps == 3


def test_a_server_on_ipv6_prints_an_address_that_works() -> None:
    try:
        with background_server(RandomPolicy(), host="::1") as server:
            assert server.url == f"ws://[::1]:{server.port}/v1"
            connect(server.console_url, SPEC).close()
    except BridgeError as error:
        if "cannot listen" in str(error):
            pytest.skip("this machine has no IPv6 loopback")
        raise


@pytest.mark.parametrize(
    "call",
    [
        lambda url, session: ask(url, "why", session=session),
        lambda url, session: instruct(url, "go", session=session),
        lambda url, session: next(watch(url, session=session)),
    ],
    ids=["ask", "instruct", "watch"],
)
def test_an_unknown_session_is_named_with_those_there_are(
    server: BridgeServer, call: Callable[[str, str], object]
) -> None:
    with pytest.raises(BridgeError, match=r"^no session 'nosuch'; no game is attached yet$"):
        call(server.url, "nosuch")
    with connect(server.url, SPEC) as game:
        name = game.welcome.session
        with pytest.raises(BridgeError, match=f"^no session 'nosuch'; there are '{name}'$"):
            call(server.url, "nosuch")
        with pytest.raises(BridgeError, match=r"String should have at most 100 characters"):
            call(server.url, "x" * 101)


@pytest.mark.parametrize("call", [lambda url: ask(url, "why"), lambda url: instruct(url, "go")])
def test_without_a_game_there_is_nobody_to_ask(
    server: BridgeServer, call: Callable[[str], object]
) -> None:
    with pytest.raises(BridgeError, match=r"^no game is attached yet$"):
        call(server.url)


def test_an_instruction_reaches_the_named_session_only(server: BridgeServer) -> None:
    with connect(server.url, SPEC) as first, connect(server.url, SPEC) as second:
        name = first.welcome.session
        assert instruct(server.url, "ring", session=name) == name
        assert instruct(server.url, "wait") == second.welcome.session
        instructions = [game.instruction for game in server.state().sessions]
        assert instructions == ["ring", "wait"]
        first.act(FRAME)
        second.act(FRAME)
        assert (first.instruction, second.instruction) == ("ring", "wait")


def test_an_instruction_of_the_game_waits_behind_one_from_a_console(server: BridgeServer) -> None:
    with connect(server.url, SPEC, instruction="ring") as game:
        instruct(server.url, "wait")
        game.instruct("knock")
        game.act(FRAME)
        assert (game.instruction, game.console_instruction) == ("wait", "wait")
        assert server.state().sessions[0].instruction == "wait"
        assert instruct(server.url, release=True) == game.welcome.session
        game.act(FRAME)
        assert (game.instruction, game.console_instruction) == ("knock", None)
        assert server.state().sessions[0].instruction == "knock"


@pytest.mark.parametrize("subscribed", [None, "other"])
def test_a_console_gets_its_instruction_back_once(
    server: BridgeServer, subscribed: str | None
) -> None:
    with connect(server.url, SPEC) as other, connect(server.url, SPEC) as newest:
        name = newest.welcome.session
        with raw_connect(server.url) as console:
            console.send('{"type":"hello","role":"watch"}')
            if subscribed:
                console.send(Subscribe(session=other.welcome.session).model_dump_json())
            console.send(Instruct(text="ring", session=name).model_dump_json())
            received = receive_until(console, Instruct)
            console.send('{"type":"query","session":"nosuch"}')
            received += receive_until(console, ErrorMessage)
        sent_back = [message for message in received if isinstance(message, Instruct)]
        assert sent_back == [Instruct(text="ring", session=name, source="console")]


def test_a_watch_of_one_session_sees_it_alone_and_ends_with_it(server: BridgeServer) -> None:
    with connect(server.url, SPEC) as game, connect(server.url, SPEC) as other:
        messages = watch(server.url, session=game.welcome.session)
        assert isinstance(next(messages), State)
        instruct(server.url, "ring", session=game.welcome.session)
        received = [next(messages)]
        while not isinstance(received[-1], Instruct):  # behind it the subscription counts
            received.append(next(messages))
        other.act(FRAME)
        game.act(FRAME)
        game.close()
        received += messages
        acts = [message for message in received if isinstance(message, Act)]
        assert {act.session for act in acts} == {game.welcome.session}


def test_a_watch_without_a_game_yields_one_state() -> None:
    limits = ServerLimits(report_s=0.01)
    with (
        background_server(RandomPolicy(), limits=limits) as server,
        raw_connect(server.url) as console,
        closing(watch(server.url)) as messages,
    ):
        first = next(messages)
        console.send('{"type":"hello","role":"watch"}')
        for _ in range(10):  # states that the other watcher gets too
            console.recv()
        with connect(server.url, SPEC):
            second = next(messages)
        assert isinstance(first, State)
        assert isinstance(second, State)
        assert (len(first.sessions), len(second.sessions)) == (0, 1)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda url: connect(url, SPEC, mode="turbo"), "hello.mode: Input should be 'realtime' or"),
        (lambda url: connect(url, SPEC, instruction="x" * 501), "hello.instruction: String should"),
        (lambda url: instruct(url, "x" * 501), "instruct.text: String should have at most 500"),
        (lambda url: ask(url, "who"), "query.kind: Input should be 'next_action', 'why' or"),
    ],
)
def test_a_wrong_argument_is_one_line(
    server: BridgeServer, call: Callable[[str], object], problem: str
) -> None:
    with pytest.raises(BridgeError, match=f"^{problem}.*$"):
        call(server.url)


def test_a_wrong_value_leaves_the_game_attached(server: BridgeServer) -> None:
    with connect(server.url, SPEC) as game:
        for call in (
            lambda: game.instruct("x" * 501),
            lambda: game.event(task="x" * 101),
            lambda: game.ask("who"),
        ):
            with pytest.raises(BridgeError):
                call()
        assert game.act(FRAME).session == game.welcome.session
        assert game.instruction == ""


def test_another_kind_of_server_is_named() -> None:
    def speak_otherwise(connection: ServerConnection) -> None:
        connection.send("hello, stranger")
        connection.recv()

    with serve(speak_otherwise, "127.0.0.1", 0) as stranger:
        threading.Thread(target=stranger.serve_forever).start()
        host, port = stranger.socket.getsockname()
        with pytest.raises(BridgeError, match=r"does not speak iafm\.bridge\.v1"):
            connect(f"ws://{host}:{port}", SPEC)
        stranger.shutdown()


def test_tokens_stay_out_of_logs_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    secret = "correct horse battery staple"
    with (
        caplog.at_level(logging.DEBUG),
        background_server(RandomPolicy(), token=secret) as server,
    ):
        with connect(server.url, SPEC, token=secret) as game:
            game.act(FRAME)
        for wrong in (secret + "r", secret * 20):
            with pytest.raises(BridgeError) as caught:
                ask(server.url, "why", token=wrong)
            assert secret not in str(caught.value)
        with raw_connect(server.url) as stranger:
            stranger.send('{"type":"hello","token":["correct horse battery staple"]}')
            with pytest.raises(ConnectionClosed) as closed:
                stranger.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401
    assert secret not in closed.value.rcvd.reason
    records = [record for record in caplog.records if record.name.startswith("iafm")]
    assert records
    assert not [record for record in records if secret in record.getMessage()]
    assert secret not in repr(Hello(token=secret))


def test_a_connection_that_is_lost_while_it_opens_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object, **__: object) -> None:
        raise ConnectionClosedError(None, None)

    monkeypatch.setattr("bridges.connection.connect", lose)
    with pytest.raises(DisconnectedError, match=r"no server at .*: no close frame"):
        connect("ws://127.0.0.1:1/v1", SPEC)
