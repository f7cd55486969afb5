"""Load test: every game is answered, and figures are those of what was seen."""

from bridges.protocol.frames import unpack
from bridges.testing.background_server import background_server
from bridges.testing.load_test import GameLog, LoadPlan, numbered, play_games, summary
from bridges.testing.stub_policy import StubPolicy


def test_games_are_answered_in_shared_passes() -> None:
    plan = LoadPlan(clients=4, hz=20, seconds=0.4, height=24, width=32)
    with background_server(StubPolicy(0.05)) as server:
        logs = play_games(server.url, plan)
    assert [log.sent for log in logs] == [8] * 4
    for log in logs:
        assert len(log.ages_ms) + log.dropped <= log.sent
        assert len(log.ages_ms) == len(log.server_ms) == len(log.batches) > 0
        assert all(
            age >= server_ms > 0 for age, server_ms in zip(log.ages_ms, log.server_ms, strict=True)
        )


def test_a_summary_has_the_slowest_game_and_the_middle_one() -> None:
    logs = [
        GameLog(sent=10, ages_ms=[1.0] * n, server_ms=[0.5] * n, batches=[n]) for n in (2, 4, 9)
    ]
    assert summary(logs, seconds=2) == {
        "p95_age_ms": 1.0,
        "actions_per_s_min": 1.0,
        "actions_per_s_median": 2.0,
        "answered": 15,
        "sent": 30,
        "batch": 5.0,
        "round_trip_ms": {"p50": 1.0, "p99": 1.0},
        "server_ms": {"p50": 0.5, "p99": 0.5},
    }
    assert summary([GameLog()], seconds=1)["p95_age_ms"] == 0


def test_a_picture_is_packed_once_and_numbered_often() -> None:
    plan = LoadPlan(height=24, width=32)
    data = plan.packed()
    assert [unpack(numbered(data, n)).number for n in (0, 7, 2**32 - 1)] == [0, 7, 2**32 - 1]
    assert unpack(numbered(data, 7)).decode().shape == (24, 32, 3)
