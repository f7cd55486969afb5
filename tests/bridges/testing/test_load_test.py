"""Load test: every game is answered, and a pass answers several."""

from bridges.testing.load_test import batching_load


def test_every_client_is_answered_and_batches_are_shared() -> None:
    report = batching_load(policy_ms=100, clients=8, hz=20, seconds=1)
    assert report.clients == 8
    assert report.answered >= 8
    assert report.answered + report.dropped == 8 * 20
    assert report.batch > 2
    assert 0 < report.age_ms_p50 <= report.age_ms_p95
