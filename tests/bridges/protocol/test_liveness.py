"""Liveness: who does not read is cut off, and who only pauses is not."""

from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.liveness import Liveness

LIMITS = ConnectionLimits()


def test_a_pause_of_the_game_is_no_refusal_to_read() -> None:
    liveness = Liveness(LIMITS, 0.0)
    liveness.pinged(5.0)
    assert liveness.received(5.1) is None
    assert liveness.received(35.0) is None  # a level was loaded, the pong comes behind this message
    liveness.ponged(35.1)
    assert liveness.tick(36.0, 0) is None
    assert not liveness.ping_due(36.0)
    assert liveness.ping_due(35.1 + LIMITS.ping_s)


def test_a_peer_that_gives_no_sign_of_life_is_gone() -> None:
    liveness = Liveness(LIMITS, 0.0)
    assert liveness.tick(1000.0, 0) is None  # nobody asked
    liveness.pinged(1000.0)
    assert not liveness.ping_due(1020.0)
    assert liveness.tick(1000.0 + LIMITS.silence_s, 0) is None
    assert liveness.tick(1000.1 + LIMITS.silence_s, 0) == "no sign of life for 40 s"


def test_bytes_that_are_taken_in_time_are_no_stall() -> None:
    liveness = Liveness(LIMITS, 0.0)
    for now in range(100):
        unsent = LIMITS.stall_bytes + 1 if now % 2 else LIMITS.stall_bytes
        assert liveness.tick(float(now), unsent) is None
