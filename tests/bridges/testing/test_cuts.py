"""Cuts: a session loses and doubles nothing when its connection is cut at random bytes."""

from bridges.testing.cuts import bench_cuts


def test_cuts_lose_nothing_and_double_nothing() -> None:
    report = bench_cuts(cuts=12, seed=3)
    assert report["cuts"] >= 12
    assert report["texts"] > 24
    assert (report["texts_lost"], report["texts_doubled"], report["pictures_doubled"]) == (0, 0, 0)
