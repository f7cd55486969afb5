"""Decoder: fair turns without a clock, and what becomes of a picture while it is decoded."""

import asyncio
from collections.abc import Iterable

import numpy as np
import pytest

from bridges.protocol.frames import Codec, EncodedFrame, FrameError, pack, unpack
from bridges.protocol.messages import Act, ErrorMessage
from bridges.serving.decoder import Decoder, DecodeTurns
from bridges.serving.dispatcher import Dispatcher
from bridges.serving.queued_observation import QueuedObservation
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.sessions import Session, SessionRegistry
from bridges.testing.memory_client import attach_game, run_dispatcher
from games.voxel import SPEC

SMALL = np.zeros((8, 8, 3), np.uint8)
LARGE = np.zeros((1000, 1000, 3), np.uint8)


class Nobody:
    def send(self, message: object) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


def session(name: str, *, lockstep: bool = False) -> Session:
    return Session(name, RandomPolicy().attach(SPEC), Nobody(), lockstep, instruction="")


def jpeg_bytes(number: int, pixels: np.ndarray = SMALL) -> bytes:
    return pack(pixels, number, 0, Codec.JPEG)


def jpeg(number: int, pixels: np.ndarray = SMALL) -> EncodedFrame:
    return unpack(jpeg_bytes(number, pixels))


def decode(turns: DecodeTurns, games: Iterable[Session], seconds: float) -> str:
    """The name of the session whose turn it was; it took so long."""
    turn = turns.take(games)
    assert turn is not None
    game, observation = turn
    turns.spent(game, seconds)
    game.decoded(observation, SMALL, {})
    return game.name


def test_who_has_used_the_decoder_least_comes_next() -> None:
    turns, slow, quick = DecodeTurns(large=False), session("slow"), session("quick")
    order = ""
    for number in range(12):
        for game in (slow, quick):
            game.enqueue(jpeg(number), now=number)
        order += decode(turns, (slow, quick), 1.0)[0] if number == 0 else ""
        order += decode(turns, (slow, quick), 0.25)[0] if number else ""
    assert order[:5] == "sqqqq"
    assert order.count("q") > order.count("s")


def test_idle_time_saves_nothing_up() -> None:
    turns, busy, late = DecodeTurns(large=False), session("busy"), session("late")
    for number in range(5):
        busy.enqueue(jpeg(number), now=number)
        decode(turns, [busy], 1.0)
    order = []
    for number in range(4):
        for game in (busy, late):
            game.enqueue(jpeg(number), now=10 + number)
        order.append(decode(turns, (busy, late), 1.0))
    assert sorted(order) == ["busy", "busy", "late", "late"]


def test_a_small_picture_does_not_wait_for_a_large_one() -> None:
    game, other = session("a"), session("b")
    game.enqueue(jpeg(1, LARGE), now=0)
    other.enqueue(jpeg(2), now=0)
    small, large = DecodeTurns(large=False), DecodeTurns(large=True)
    assert large.take((game, other)) == (game, game.queue[0])
    assert small.take((game, other)) == (other, other.queue[0])
    assert large.take((game, other)) is None


def test_in_realtime_a_decoded_picture_stays_until_a_newer_one_is_decoded() -> None:
    game, turns = session("a"), DecodeTurns(large=False)
    game.enqueue(jpeg(1), now=1)
    assert not game.is_ready
    decode(turns, [game], 0.0)
    game.enqueue(jpeg(2), now=2)
    game.enqueue(jpeg(3), now=3)
    assert [o.encoded.number for o in game.queue] == [1, 3]
    assert (game.is_ready, game.dropped) == (True, 1)
    decode(turns, [game], 0.0)
    assert [o.encoded.number for o in game.queue] == [3]
    assert game.take().observation.encoded.number == 3
    assert game.dropped == 2


def test_in_lockstep_pictures_are_decoded_one_at_a_time_and_none_is_dropped() -> None:
    game, turns = session("a", lockstep=True), DecodeTurns(large=False)
    for number in (1, 2):
        game.enqueue(jpeg(number), now=number)
    decode(turns, [game], 0.0)
    assert turns.take([game]) is None
    assert game.take().observation.encoded.number == 1
    decode(turns, [game], 0.0)
    assert game.take().observation.encoded.number == 2
    assert game.dropped == 0


def test_what_ended_while_it_was_decoded_is_not_wanted_any_more() -> None:
    game, turns = session("a", lockstep=True), DecodeTurns(large=False)
    game.enqueue(jpeg(1), now=1)
    turn = turns.take([game])
    assert turn is not None
    assert game.end_episode(success=False) == [turn[1]]
    assert not game.decoded(turn[1], SMALL, {})
    assert not game.discard(turn[1])


@pytest.mark.parametrize(
    "error", [FrameError("damaged"), MemoryError(), SystemExit(1)], ids=lambda e: type(e).__name__
)
def test_a_picture_that_does_not_decode_is_a_failure_and_the_next_one_is_decoded(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(encoded: EncodedFrame) -> np.ndarray:
        if encoded.number == 13:
            raise error
        return SMALL

    monkeypatch.setattr(EncodedFrame, "decode", broken)
    registry, games = SessionRegistry(), [session("a"), session("b")]
    failures: list[int] = []

    def fail(game: Session, observation: QueuedObservation, error: Exception) -> None:
        failures.append(observation.encoded.number)

    async def play() -> None:
        ready = asyncio.Event()
        decoder = Decoder(registry, ready.set, fail)
        for game, number in zip(games, (13, 1), strict=True):
            registry.add(game)
            game.enqueue(jpeg(number), now=0)
        decoder.notify()
        async with asyncio.timeout(30):
            await ready.wait()
        decoder.close()

    asyncio.run(play())
    assert failures == [13]
    assert [game.is_ready for game in games] == [False, True]


def test_in_lockstep_all_pictures_in_flight_are_answered() -> None:
    damaged = pack(SMALL, 2, 0, Codec.PNG)
    at = damaged.index(b"IDAT") + 8
    damaged = damaged[:at] + b"xxxx" + damaged[at + 4 :]

    async def play(bridge: Dispatcher) -> None:
        game = await attach_game(bridge, mode="lockstep")
        for picture in (jpeg_bytes(1), damaged, jpeg_bytes(3, LARGE), jpeg_bytes(4)):
            await game.send(picture)
        assert [act.observation for act in await game.hears(Act, 3)] == [1, 3, 4]
        assert [error.observation for error in await game.hears(ErrorMessage)] == [2]

    run_dispatcher(play)
