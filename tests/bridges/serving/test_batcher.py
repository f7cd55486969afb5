"""Batcher: a fault stays with its session, and the loop survives whatever is thrown."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest

from bridges.policy import Decision, PolicyRequest, PolicySession
from bridges.protocol.frames import EncodedFrame, FrameError, pack, unpack
from bridges.serving.batcher import MAX_CALLS, Batcher, BusyError, WorkerFault
from bridges.serving.outcomes import CompletedObservation, FailedObservation
from bridges.serving.queued_observation import QueuedObservation
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.sessions import Session, SessionRegistry
from games import GameSpec
from games.voxel import SPEC

PIXELS = np.zeros((2, 3, 3), np.uint8)


class Outbox:
    def send(self, message: object) -> None:
        raise AssertionError("the batcher sends nothing")

    def close(self, code: int, reason: str) -> None:
        raise AssertionError("the batcher closes nothing")


class Player:
    """A session's state that counts its resets."""

    spec, warnings = SPEC, ()

    def __init__(self) -> None:
        self.resets = self.closes = 0

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closes += 1
        raise ValueError("cannot close")


class Fragile:
    """Raises `error` for a batch that holds the instruction "fail"; waits for `gate` where "wait" is in it."""

    name = "fragile"

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error or RuntimeError("broken")
        self.batches: list[list[str]] = []
        self.gate = threading.Event()

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> PolicySession:
        return RandomPolicy().attach(spec)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        instructions = [request.instruction for request in requests]
        self.batches.append(instructions)
        if "wait" in instructions:
            assert self.gate.wait(60)
        if "fail" in instructions:
            raise self.error
        count = len(requests) - instructions.count("lose")
        return [Decision(action={}, words=r.instruction, probability=1) for r in requests][:count]

    def ask(self, player: PolicySession, question: str) -> str:
        return question


class Desk:
    """A running batcher with three sessions; `answers` and `failures` are what came out, by session."""

    def __init__(
        self, policy: Fragile, instructions: Sequence[str] = ("go", "fail", "stay")
    ) -> None:
        self.policy = policy
        self.now = 0.0
        self.answers: list[str] = []
        self.failures: list[tuple[str, int]] = []
        self.registry = SessionRegistry()
        self.batcher = Batcher(
            policy, self.registry, self.on_answer, self.on_failure, clock=lambda: self.now
        )
        self.games = [
            Session(name, Player(), Outbox(), lockstep=True, instruction=instruction)
            for name, instruction in zip("abc", instructions, strict=True)
        ]
        for game in self.games:
            self.registry.add(game)

    def on_answer(self, completed: CompletedObservation) -> None:
        if completed.decision.words == "cannot be sent":
            raise ValueError("the answer cannot be sent")
        self.answers.append(completed.session.name)

    def on_failure(self, failed: FailedObservation) -> None:
        self.failures.append((failed.work.session.name, failed.work.observation.encoded.number))
        if failed.work.session.instruction == "cannot be sent":
            raise ValueError("nor can the error")

    def send(self, number: int) -> None:
        for game in self.games:
            game.enqueue(picture(number), self.now)
        self.batcher.notify()

    async def outcomes(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.answers) + len(self.failures) < count:
                await asyncio.sleep(0)


def picture(number: int) -> EncodedFrame:
    return unpack(pack(PIXELS, number, 0))


def running(desk: Desk, play: Callable[[], Awaitable[None]]) -> None:
    """Play while the batcher runs; it is healthy at the end."""

    async def run() -> None:
        desk.batcher.start()
        try:
            await play()
            assert desk.batcher.health(desk.now, stuck_s=1e9).status == "ok"
        finally:
            desk.batcher.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "error", [RuntimeError("a"), SystemExit(1), StopIteration(), MemoryError()]
)
def test_a_failing_batch_is_answered_in_halves(error: BaseException) -> None:
    desk = Desk(Fragile(error))

    async def play() -> None:
        desk.send(5)
        await desk.outcomes(3)
        assert (desk.answers, desk.failures) == (["a", "c"], [("b", 5)])
        assert desk.policy.batches == [
            ["go", "fail", "stay"],
            ["go"],
            ["fail", "stay"],
            ["fail"],
            ["stay"],
        ]

    running(desk, play)


def test_a_session_that_failed_plays_alone_until_it_is_answered() -> None:
    desk = Desk(Fragile())

    async def play() -> None:
        for number in (1, 2):
            desk.send(number)
            await desk.outcomes(3 * number)
        assert desk.policy.batches[5:] == [["go", "stay"], ["fail"]]
        assert [game.failures for game in desk.games] == [0, 2, 0]

    running(desk, play)


def test_a_wrong_number_of_decisions_is_a_failure() -> None:
    desk = Desk(Fragile(), ("go", "lose", "stay"))

    async def play() -> None:
        desk.send(1)
        await desk.outcomes(3)
        assert (desk.answers, desk.failures) == (["a", "c"], [("b", 1)])

    running(desk, play)


def test_a_damaged_picture_fails_its_own_session_only(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(Fragile(), ("go", "go", "go"))

    def decode(encoded: EncodedFrame) -> np.ndarray:
        if encoded.number == 13:
            raise FrameError("damaged")
        return PIXELS

    monkeypatch.setattr(EncodedFrame, "decode", decode)

    async def play() -> None:
        desk.games[1].enqueue(picture(13), 0)
        for game in (desk.games[0], desk.games[2]):
            game.enqueue(picture(1), 0)
        desk.batcher.notify()
        await desk.outcomes(3)
        assert (desk.answers, desk.failures) == (["a", "c"], [("b", 13)])
        assert desk.policy.batches == [["go", "go"]]

    running(desk, play)


def test_an_answer_that_cannot_be_sent_is_a_failure_and_the_loop_goes_on() -> None:
    desk = Desk(Fragile(), ("go", "cannot be sent", "go"))

    async def play() -> None:
        for number in (1, 2):
            desk.send(number)
            await desk.outcomes(3 * number)
        assert desk.failures == [("b", 1), ("b", 2)]
        assert desk.batcher.health(0, 1).errors == 4

    running(desk, play)


def test_a_fault_of_the_loop_itself_is_logged_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(Fragile(), ("go", "go", "go"))
    take_batch, faults = desk.registry.take_batch, [ValueError("once")]

    def broken_once(now: float) -> object:
        if faults:
            raise faults.pop()
        return take_batch(now)

    monkeypatch.setattr(desk.registry, "take_batch", broken_once)

    async def play() -> None:
        desk.send(1)
        await desk.outcomes(3)
        assert desk.batcher.health(0, 1).errors == 1

    running(desk, play)
    assert "the batch loop failed and goes on" in caplog.text


def test_a_new_episode_resets_the_policy_before_its_first_observation() -> None:
    desk = Desk(Fragile(), ("go", "fail", "go"))

    async def play() -> None:
        desk.send(1)
        await desk.outcomes(3)
        assert [game.player.resets for game in desk.games] == [0, 0, 0]  # type: ignore[attr-defined]
        desk.games[0].end_episode(success=True)
        assert await desk.batcher.call(lambda: "asked", desk.games[0]) == "asked"
        desk.games[1].end_episode(success=True)
        for number in (2, 3):
            desk.send(number)
            await desk.outcomes(3 * number)
        # Asked first, the reset is done; one that failed is done again.
        assert [game.player.resets for game in desk.games] == [1, 2, 0]  # type: ignore[attr-defined]

    running(desk, play)


def test_other_work_comes_one_piece_between_two_passes() -> None:
    desk = Desk(Fragile(), ("wait", "go", "go"))
    order = desk.policy.batches

    async def play() -> None:
        desk.send(1)
        while not order:
            await asyncio.sleep(0)
        calls = [
            asyncio.ensure_future(desk.batcher.call(lambda: order.append(["asked"]))) for _ in "ab"
        ]
        await asyncio.sleep(0)
        desk.send(2)
        desk.policy.gate.set()
        await asyncio.gather(*calls)
        await desk.outcomes(6)
        assert [batch[0] for batch in order] == ["wait", "asked", "wait", "asked"]

    running(desk, play)


def test_other_work_is_limited_and_skipped_once_nobody_wants_it() -> None:
    desk = Desk(Fragile(), ("wait", "go", "go"))
    done: list[int] = []

    async def play() -> None:
        desk.send(1)
        while not desk.policy.batches:
            await asyncio.sleep(0)
        calls = [
            asyncio.ensure_future(
                desk.batcher.call(lambda n=n: done.append(n), is_wanted=lambda n=n: n == 7)  # type: ignore[misc]
            )
            for n in range(MAX_CALLS)
        ]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await desk.batcher.call(lambda: None)
        desk.policy.gate.set()
        await asyncio.gather(*calls)
        assert done == [7]

    running(desk, play)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), StopIteration()])
def test_other_work_that_fails_is_the_callers(error: BaseException) -> None:
    desk = Desk(Fragile(), ("go", "go", "go"))

    def fail() -> None:
        raise error

    async def play() -> None:
        with pytest.raises((ValueError, WorkerFault)):
            await desk.batcher.call(fail)
        desk.send(1)
        await desk.outcomes(3)

    running(desk, play)


def test_a_player_that_cannot_close_harms_nobody() -> None:
    desk = Desk(Fragile(), ("go", "go", "go"))

    async def play() -> None:
        desk.batcher.release(desk.games[0].player)
        await desk.batcher.call(lambda: None)
        assert desk.games[0].player.closes == 1  # type: ignore[attr-defined]
        assert desk.batcher.errors == 1

    running(desk, play)
    desk.batcher.release(desk.games[0].player)  # after the end, silently


def test_health_tells_a_stuck_loop_from_an_idle_and_a_dead_one() -> None:
    desk = Desk(Fragile(), ("wait", "go", "go"))

    async def play() -> None:
        assert desk.batcher.health(1000, stuck_s=5).status == "ok"
        desk.send(1)
        while not desk.policy.batches:
            await asyncio.sleep(0)
        assert desk.batcher.health(5, stuck_s=5).status == "ok"
        health = desk.batcher.health(6, stuck_s=5)
        assert (health.status, health.waiting, health.last_pass_s) == ("stuck", 3, None)
        desk.policy.gate.set()
        desk.now = 7.0
        await desk.outcomes(3)
        await desk.batcher.call(lambda: None)
        health = desk.batcher.health(9, stuck_s=5)
        assert (health.status, health.waiting, health.last_pass_s) == ("ok", 0, 2)

    running(desk, play)
    assert desk.batcher.health(0, stuck_s=5).status == "dead"


def test_a_loop_that_dies_all_the_same_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(Fragile(), ("go", "go", "go"))

    class Deadly(BaseException):
        pass

    def die(now: float) -> object:
        raise Deadly

    monkeypatch.setattr(desk.registry, "take_batch", die)

    async def play() -> None:
        desk.batcher.start()
        with pytest.raises(asyncio.CancelledError):
            await desk.batcher.call(lambda: None)
        assert desk.batcher.health(0, 1).status == "dead"
        with pytest.raises(WorkerFault, match="has ended"):
            await desk.batcher.call(lambda: None)
        desk.batcher.close()

    asyncio.run(play())
    assert "the batch loop has ended" in caplog.text


def test_latency_counts_from_the_observation() -> None:
    game = Session("a", Player(), Outbox(), lockstep=False, instruction="")
    queued = QueuedObservation(picture(7), "", received=10.0)
    decision = Decision(action={}, words="", probability=1)
    completed = CompletedObservation(
        game, queued, PIXELS, decision, started=10.01, finished=10.03, batch=3
    )
    times = completed.latency(now=10.04)
    assert (times.queue_ms, times.infer_ms, times.age_ms) == pytest.approx((10, 20, 40))
    assert times.batch == 3
