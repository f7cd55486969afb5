"""Eight games share one slow policy: batching keeps their actions young."""

from bridges.load_test import batching_load


def test_every_client_is_answered_and_batches_are_shared():
    report = batching_load(policy_ms=40, clients=8, hz=20, seconds=1)
    assert report.answered + report.dropped <= 8 * 20
    assert report.batch > 2
    assert report.actions_per_s > 8
    assert report.age_ms_p95 < 400
