"""Benchmark of episodes: a figure for each stage; their values decide nothing."""

from __future__ import annotations

import json

import pytest

from agent_core.__main__ import main


@pytest.mark.slow  # five processes start
def test_each_stage_has_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "episodes", "--minutes", "0.02", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report.pop("minutes") == 0.02
    assert report.pop("capture_mb") > 0
    assert list(report) == ["validate", "export", "import_lerobot", "export_vpt", "import_vpt"]
    for figures in report.values():
        assert list(figures) == ["peak_mb", "seconds", "x_real_time"]
        assert all(value > 0 for value in figures.values())
