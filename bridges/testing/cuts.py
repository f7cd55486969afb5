"""Cuts: how a session survives lost connections, cut at random bytes.

A realtime game and a lockstep game play through a proxy that cuts their connection again and again. Meanwhile texts go
both ways: the game reports events and asks, a console changes the instruction. Each carries its number, so that one
that is lost or comes twice shows.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from bridges.client import connect
from bridges.connection import open_connection, receive
from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.protocol.messages import Event, FromServer, Hello, Instruct, Subscribe
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer
from bridges.testing.background_server import background_server
from bridges.testing.dropping_proxy import DroppingProxy, dropping_proxy
from games import Button, FrameSize, GameSpec

SPEC = GameSpec(
    id="cuts-v0",
    title="Cuts",
    frame=FrameSize(height=16, width=16),
    step_hz=100,
    controls=(Button(name="go"),),
)
FRAME = np.zeros(SPEC.frame.shape, np.uint8)
STEP_S = 0.005
CUT_BYTES = 20_000
"""A connection is cut within so many bytes."""
HANDSHAKE_BYTES = 2_500
"""Where the next connection is cut too, within so many."""
HANDSHAKE_SHARE = 0.2
SETTLE_S = 10.0


class CountingPolicy:
    """Does nothing, and counts what it sees and is asked."""

    name = "counting"

    def __init__(self) -> None:
        self.pictures = self.queries = 0

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        return RandomPolicy().attach(spec, seed=seed)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        self.pictures += len(requests)
        return [Decision(action={"go": 1}, words="go", probability=1.0) for _ in requests]

    def ask(self, player: PolicySession, question: str) -> str:
        self.queries += 1
        return str(self.queries)


@dataclass
class CutReport:
    """Times in milliseconds from a cut until the keys were released and until play went on; texts of both directions.

    `pictures_doubled` are lockstep pictures that the policy saw again.
    """

    resume_ms: list[float] = field(default_factory=list)
    release_ms: list[float] = field(default_factory=list)
    texts: int = 0
    texts_lost: int = 0
    texts_doubled: int = 0
    pictures_doubled: int = 0

    def count(self, sent: int, received: Counter[int]) -> None:
        """Texts 0, 1, … of one kind, and how often each came."""
        self.texts += sent
        self.texts_lost += sum(received[number] == 0 for number in range(sent))
        self.texts_doubled += sum(max(0, received[number] - 1) for number in range(sent))

    def summary(self) -> dict[str, float]:
        """The figures as JSON holds them."""
        return {
            "cuts": len(self.resume_ms),
            "resume_ms_p95": round(float(np.percentile(self.resume_ms or [0.0], 95)), 1),
            "resume_ms_max": round(max(self.resume_ms, default=0.0), 1),
            "release_ms_max": round(max(self.release_ms, default=0.0), 1),
            "texts": self.texts,
            "texts_lost": self.texts_lost,
            "texts_doubled": self.texts_doubled,
            "pictures_doubled": self.pictures_doubled,
        }


def bench_cuts(cuts: int = 200, seed: int = 0) -> dict[str, float]:
    """Cut a realtime and a lockstep game `cuts` times in all; returns `CutReport.summary`."""
    report = CutReport()
    for mode, count in (("realtime", (cuts + 1) // 2), ("lockstep", cuts // 2)):
        policy = CountingPolicy()
        with (
            background_server(policy) as server,
            dropping_proxy(server.port) as proxy,
        ):
            _Trial(
                mode, count, random.Random(f"{seed} {mode}"), report, policy, server, proxy
            ).run()
    return report.summary()


class _Trial:
    """One game that is cut `count` times, and a console that is not."""

    def __init__(
        self, mode: str, count: int, rng: random.Random, report: CutReport, policy: CountingPolicy,
        server: BridgeServer, proxy: DroppingProxy,
    ) -> None:  # fmt: skip
        self._mode, self._count, self._rng, self._report = mode, count, rng, report
        self._policy, self._server, self._proxy = policy, server, proxy
        self._resumed = threading.Event()
        self._cut_at = 0.0
        self._stop = threading.Event()
        self._instructions: Counter[int] = Counter()
        self._events: Counter[int] = Counter()
        self._answers: Counter[int] = Counter()
        self._sent = {"instructions": 0, "events": 0, "queries": 0, "pictures": 0}

    def run(self) -> None:
        url = f"ws://127.0.0.1:{self._proxy.port}"
        with (
            connect(self._server.url, SPEC, mode="lockstep"),  # a neighbour that stays
            connect(
                url, SPEC, mode=self._mode, on_state=self._on_state, on_message=self._on_message
            ) as game,
            console(self._server.url, game.welcome.session, self._on_event) as instruct,
        ):
            self._game = game
            threads = [
                threading.Thread(target=work)
                for work in (self._play, self._ask, lambda: self._instruct(instruct))
            ]
            for thread in threads:
                thread.start()
            for _ in range(self._count):
                self._cut()
            self._stop.set()
            for thread in threads:
                thread.join()
            self._settle()
        self._report.count(self._sent["instructions"], self._instructions)
        self._report.count(self._sent["events"], self._events)
        self._report.count(self._sent["queries"], self._answers)
        self._report.texts_doubled += self._policy.queries - self._sent["queries"]
        if self._mode == "lockstep":
            self._report.pictures_doubled += self._policy.pictures - self._sent["pictures"]

    def _cut(self) -> None:
        """Cut once somewhere, and wait until play goes on."""
        self._resumed.clear()
        self._proxy.arm(self._rng.randrange(1, CUT_BYTES))
        if not self._resumed.wait(60):
            raise RuntimeError("the session was not resumed within 60 s")

    def _settle(self) -> None:
        """Wait for what is still on its way."""
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline and (
            self._events.total() < self._sent["events"]
            or self._instructions.total() < self._sent["instructions"]
        ):
            time.sleep(0.01)

    # --- the game ---

    def _play(self) -> None:
        while not self._stop.is_set():
            self._sent["pictures"] += 1
            if self._mode == "lockstep":
                self._game.act(FRAME)
            else:
                self._game.send(FRAME)
                self._game.current_action()
            self._game.event(terminated=True, episode=self._sent["events"])
            self._sent["events"] += 1
            self._stop.wait(STEP_S)

    def _ask(self) -> None:
        while not self._stop.is_set():
            number = self._sent["queries"]
            self._sent["queries"] += 1
            self._game.ask("caption")
            self._answers[number] += 1
            self._stop.wait(STEP_S)

    def _on_message(self, message: FromServer) -> None:
        if isinstance(message, Instruct):
            self._instructions[int(message.text)] += 1

    def _on_state(self, state: str, detail: str) -> None:
        now = time.monotonic()
        if state == "reconnecting":
            assert self._game.current_action() is None
            self._cut_at = self._proxy.cut_at or now
            self._report.release_ms.append(1000 * (now - self._cut_at))
            if self._rng.random() < HANDSHAKE_SHARE:
                self._proxy.arm(self._rng.randrange(1, HANDSHAKE_BYTES))
        elif state == "playing" and self._cut_at:
            self._report.resume_ms.append(1000 * (now - self._cut_at))
            self._cut_at = 0.0
            self._resumed.set()

    # --- the console ---

    def _instruct(self, instruct: Callable[[str], None]) -> None:
        while not self._stop.is_set():
            instruct(str(self._sent["instructions"]))
            self._sent["instructions"] += 1
            self._stop.wait(STEP_S)

    def _on_event(self, event: Event) -> None:
        self._events[event.episode] += 1


@contextmanager
def console(
    url: str, session: str, on_event: Callable[[Event], None]
) -> Iterator[Callable[[str], None]]:
    """A console of one session, which yields what changes its instruction."""
    hello = Hello(role="watch")
    exit_stack, connection, _ = open_connection(url, hello)

    def read() -> None:
        for message in receive(connection):
            if isinstance(message, Event):
                on_event(message)

    with exit_stack:
        connection.send(Subscribe(session=session).model_dump_json())
        thread = threading.Thread(target=read)
        thread.start()
        yield lambda text: connection.send(Instruct(text=text, session=session).model_dump_json())
        connection.close()
        thread.join()
