"""Live replays: what the player sees as a console pauses, steps, scrubs and asks with another goal."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pytest
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as raw_connect

from bridges.client import connect
from bridges.errors import BridgeError
from bridges.listener import Observation
from bridges.live_replay import CONTEXT_STEPS, PICTURE_S, LiveReplay, RecordedMatch
from bridges.policy import Decision, PolicyRequest
from bridges.protocol.backoff import Backoff
from bridges.protocol.messages import ErrorMessage, MessageError, State, from_client, from_server
from bridges.protocol.replay_messages import ReplayProgress
from bridges.replay import RecordedStep
from bridges.serving.random_policy import RandomPlayer, RandomPolicy
from bridges.serving.server import BridgeServer
from bridges.testing.background_server import background_server
from games import Button, FrameSize, GameSpec

SPEC = GameSpec(
    id="lamp-v0",
    title="Lamp",
    frame=FrameSize(height=16, width=16),
    step_hz=50,
    controls=(Button(name="on"),),
)
STEPS = 60
GIVES_UP = Backoff(patience_s=0)


class Witness(RandomPolicy):
    """Notes what it sees since it forgot all."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int | None, str]] = []

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> RandomPlayer:
        player = super().attach(spec, seed=seed)
        player.reset = self.seen.clear  # type: ignore[method-assign]
        return player

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        for each in requests:
            done = None if each.executed is None else int(each.executed["on"])
            self.seen.append((int(each.frame[0, 0, 0]), done, each.instruction))
        return super().act(requests)


def match(name: str = "first", steps: int = STEPS) -> RecordedMatch:
    """Step n has a picture of shade n; "on" is pressed at odd ones."""
    frames = [np.full(SPEC.frame.shape, n, np.uint8) for n in range(steps)]
    return RecordedMatch(
        name, [RecordedStep(frame, {"on": n % 2}, "shine") for n, frame in enumerate(frames)]
    )


class Console:
    """A console in a test."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def send(self, text: str) -> None:
        self._socket.send(text)

    def until(self, condition: Callable[[ReplayProgress], bool]) -> ReplayProgress:
        """Wait for a state of the replay."""
        while True:
            data = self._socket.recv(timeout=10)
            message = from_server(data) if isinstance(data, str) else None
            assert not isinstance(message, ErrorMessage), message
            if isinstance(message, State) and message.sessions:
                progress = message.sessions[0].replay
                if progress is not None and progress.steps and condition(progress):
                    assert message.sessions[0].episodes == 0
                    return progress

    def until_error(self) -> None:
        """Wait for the answer to what the server does not know."""
        while not (
            isinstance(data := self._socket.recv(timeout=10), str)
            and isinstance(from_server(data), ErrorMessage)
        ):
            pass


@contextmanager
def console(server: BridgeServer) -> Iterator[Console]:
    with raw_connect(server.url) as socket:
        socket.send('{"type": "hello", "role": "watch"}')
        yield Console(socket)


@contextmanager
def replaying(
    server: BridgeServer, *matches: RecordedMatch, backoff: Backoff = GIVES_UP
) -> Iterator[list[BridgeError]]:
    """Replay in a thread; gives what ended it."""
    ends: list[BridgeError] = []

    def run() -> None:
        try:
            replay.run(matches)
        except BridgeError as error:
            ends.append(error)

    replay = LiveReplay(server.url, SPEC, backoff=backoff, sleep=lambda seconds: None)
    thread = threading.Thread(target=run, name="replay")
    thread.start()
    try:
        yield ends
    finally:
        replay.close()
        thread.join(10)
        assert not thread.is_alive()


def seek(step: int) -> str:
    return f'{{"type": "replay", "command": "seek", "step": {step}}}'


def test_a_console_pauses_steps_scrubs_and_asks() -> None:
    policy = Witness()
    with background_server(policy) as server, console(server) as page, replaying(server, match()):
        page.until(lambda progress: progress.step > 2)
        page.send('{"type": "replay", "command": "pause"}')
        paused = page.until(lambda progress: progress.paused)
        assert (paused.match, paused.steps) == ("first", STEPS)
        assert paused.words == ("on" if paused.step % 2 else "do nothing")
        page.send('{"type": "replay", "command": "step"}')
        page.until(lambda progress: progress.step == paused.step + 1)
        assert policy.seen[-1] == (paused.step + 1, paused.step % 2, "shine")
        page.send(seek(40))
        page.until(lambda progress: progress.step == 40)
        first = 40 - CONTEXT_STEPS  # whatever was before is forgotten
        place = [(n, (n - 1) % 2 if n > first else None, "shine") for n in range(first, 41)]
        assert policy.seen == place
        page.send('{"type": "instruct", "text": "go dark"}')
        page.send('{"type": "replay", "command": "step"}')
        page.until(lambda progress: progress.step == 41)
        assert policy.seen == [(n, done, "go dark") for n, done, _ in place] + [(41, 0, "go dark")]
        page.send('{"type": "replay", "command": "play"}')
        end = page.until(lambda progress: progress.step == STEPS - 1 and progress.paused)
        assert end.step == STEPS - 1
        page.send('{"type": "replay", "command": "play"}')
        page.until(lambda progress: progress.step < 20)
        page.send(seek(2**40))
        page.until(lambda progress: progress.step == STEPS - 1)


def test_at_a_gap_the_player_forgets_what_it_saw() -> None:
    whole, policy = match(steps=30), Witness()
    steps = list(whole.steps)
    steps[20] = replace(steps[20], dropped_before=9)
    torn = RecordedMatch("torn", steps)
    with background_server(policy) as server, console(server) as page, replaying(server, torn):
        page.until(lambda progress: progress.step == 29 and progress.paused)
        expected = [(n, (n - 1) % 2 if n > 20 else None, "shine") for n in range(20, 30)]
        assert policy.seen == expected
        page.send(seek(23))
        page.until(lambda progress: progress.step == 23)
        assert policy.seen == expected[:4]
        page.send(seek(19))
        page.until(lambda progress: progress.step == 19)
        assert [n for n, _, _ in policy.seen] == list(range(3, 20))


class Slow(Witness):
    """Answers the frame of step 29 once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.may_answer = threading.Event(), threading.Event()
        self.asked: list[int] = []

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        self.asked += [int(request.frame[0, 0, 0]) for request in requests]
        if requests[0].frame[0, 0, 0] == 29:
            self.waits.set()
            assert self.may_answer.wait(10)
        return super().act(requests)


def test_of_several_places_that_wait_the_last_one_counts() -> None:
    policy = Slow()
    with (
        background_server(policy) as server,
        console(server) as page,
        replaying(server, match(steps=30)),
    ):
        assert policy.waits.wait(10)
        for step in (3, 11, 7):
            page.send(seek(step))
        page.send('{"type": "replay", "command": "step"}')
        page.send('{"type": "unknown"}')
        page.until_error()
        policy.may_answer.set()
        page.until(lambda progress: progress.step == 8)
    assert policy.asked == [*range(30), *range(29 - CONTEXT_STEPS, 30), *range(9)]


class States:
    """A listener that keeps the state of each picture."""

    records = False

    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_observation(self, session: str, observation: Observation) -> None:
        self.seen.append(observation.report.state)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **values: None


def test_the_games_state_goes_with_its_frame() -> None:
    states, steps = States(), list(match(steps=3).steps)
    steps[1] = replace(steps[1], state={"oil": 3})
    with (
        background_server(Witness(), listeners=[states]) as server,
        console(server) as page,
        replaying(server, RecordedMatch("lamp", steps)),
    ):
        page.until(lambda progress: progress.paused)
    assert states.seen == [None, {"oil": 3}, None] * 2  # at its end it is shown again


def test_a_picture_to_be_looked_at_comes_so_late_that_consoles_get_it() -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 9))

    with background_server(Witness()) as server, console(server) as page:
        replay = LiveReplay(server.url, SPEC, clock=lambda: 50.0, sleep=sleep)
        thread = threading.Thread(target=lambda: run_to_the_end(replay, match(steps=3)))
        thread.start()
        page.until(lambda progress: progress.paused)
        replay.close()
        thread.join(10)
    assert slept == [0.0, PICTURE_S]  # at the beginning, and where it waits at the end


def run_to_the_end(replay: LiveReplay, *matches: RecordedMatch) -> None:
    with pytest.raises(BridgeError):
        replay.run(matches)


def test_a_match_without_a_step_is_passed_over() -> None:
    with (
        background_server(Witness()) as server,
        console(server) as page,
        replaying(server, match("empty", steps=0), match("second", steps=5)),
    ):
        assert page.until(lambda progress: progress.paused).match == "second"


def test_the_next_match_follows_by_itself() -> None:
    with (
        background_server(Witness()) as server,
        console(server) as page,
        replaying(server, match(steps=5), match("second", steps=5)),
    ):
        end = page.until(lambda progress: progress.match == "second" and progress.paused)
        assert end.step == 4


def test_a_server_that_goes_away_ends_a_paused_replay() -> None:
    running = ExitStack()
    server = running.enter_context(background_server(Witness()))
    with replaying(server, match(steps=2)) as ends:
        with running, console(server) as page:
            page.until(lambda progress: progress.paused)
        for thread in threading.enumerate():
            if thread.name == "replay":
                thread.join(10)
        assert len(ends) == 1
        assert "the server ended the session: 1001" in str(ends[0])


def test_a_restarted_server_hears_where_a_paused_replay_stands() -> None:
    running = ExitStack()
    server = running.enter_context(background_server(Witness()))
    port, policy = server.port, Witness()
    with replaying(server, match(steps=30), backoff=Backoff(cap_s=0.05)):
        with running, console(server) as page:
            page.send(seek(28))
            page.until(lambda progress: progress.step == 29 and progress.paused)
        with background_server(policy, port=port) as server, console(server) as page:
            again = page.until(lambda progress: progress.paused)
            assert (again.match, again.step, again.steps) == ("first", 29, 30)
            assert policy.seen[-1][0] == 29


def test_other_games_hear_of_no_replay() -> None:
    """A game that is none, a console's wish, and a place of what was not announced."""
    heard: list[object] = []
    errors: list[str] = []
    with background_server(RandomPolicy()) as server:
        game = connect(
            server.url, SPEC, on_message=heard.append, on_error=lambda e: errors.append(e.code)
        )
        with game, raw_connect(server.url) as socket:
            socket.send('{"type": "hello", "role": "watch"}')
            socket.send(seek(3))
            while True:
                data = socket.recv(timeout=10)
                if isinstance(data, str) and isinstance(error := from_server(data), ErrorMessage):
                    break
            assert (error.code, error.message) == ("not_allowed", "this game is no replay")
            game.replay_state(match="m", step=1, steps=2)
            game.act(np.zeros(SPEC.frame.shape, np.uint8))
            assert errors == ["not_allowed"]
            assert server.state().sessions[0].replay is None
    assert {type(message).__name__ for message in heard} <= {"Act", "Ack", "ErrorMessage", "State"}


@pytest.mark.parametrize("command", ["rewind", 3])
def test_an_unknown_wish_is_a_mistake(command: object) -> None:
    with pytest.raises(MessageError, match=r"replay\.command"):
        from_client(f'{{"type": "replay", "command": {str(command)!r}}}'.replace("'", '"'))
