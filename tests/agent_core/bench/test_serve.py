"""Benchmark of serving: its figures, whatever their values."""

from __future__ import annotations

import json

import pytest

from agent_core.__main__ import main
from bridges.testing.hostile import PEERS

FIGURES = {
    "p95_age_ms", "actions_per_s_min", "actions_per_s_median", "answered", "sent", "batch", "round_trip_ms",
    "server_ms",
}  # fmt: skip


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main(["bench", *arguments, "--json"]) == 0
    report: dict[str, object] = json.loads(capsys.readouterr().out)
    return report


@pytest.mark.slow
def test_both_servers_answer_the_same_games(capsys: pytest.CaptureFixture[str]) -> None:
    report = bench(capsys, "serve", "--clients", "2", "--seconds", "0.3", "--model-ms", "5")
    assert list(report) == ["newest", "fifo", "clients"]
    assert report["clients"] == 2
    for name in ("newest", "fifo"):
        figures = report[name]
        assert isinstance(figures, dict)
        assert set(figures) == FIGURES
        assert figures["sent"] == 12
        assert 0 < figures["answered"] <= 12
        assert 0 < figures["server_ms"]["p50"] <= figures["round_trip_ms"]["p99"]


@pytest.mark.slow  # a game of 1280 x 720, flat out
def test_consoles_get_pictures_of_a_game_that_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    report = bench(capsys, "serve", "--clients", "1", "--seconds", "2", "--watchers", "2")
    watched = report["watched"]
    assert isinstance(watched, dict)
    assert watched["watchers"] == 2
    assert watched["pictures"] > 0
    assert watched["alone_actions_per_s"] > 0
    assert watched["actions_per_s"] > 0


@pytest.mark.slow  # every kind of hostile peer, in a process of their own
def test_an_honest_game_is_answered_beside_hostile_peers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = bench(capsys, "hostile", "--seconds", "4", "--model-ms", "5", "--seed", "7")
    honest = report["honest"]
    assert isinstance(honest, dict)
    assert list(honest) == ["answered_share", "p95_age_ms", "undisturbed_p95_age_ms"]
    assert 0 < honest["answered_share"] <= 1
    assert report["tracebacks"] == 0
    assert isinstance(report["frames"], int)
    assert report["frames"] >= 4000
    assert isinstance(report["visits"], dict)
    assert report["visits"].keys() == {peer.__name__ for peer in PEERS}
