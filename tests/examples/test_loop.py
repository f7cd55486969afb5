"""The loop on the example's game, with the smallest of everything: what goes where, not how well it plays."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def test_what_a_person_plays_and_corrects_is_recorded_and_trained_on() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.loop", "--demo", "--json"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert list(report["success"]) == ["random", "person", "first", "longer", "corrected"]
    assert all(row["episodes"] == 2 for row in report["success"].values())
    person, corrected = report["recorded"]["person"], report["recorded"]["corrected"]
    assert person == {"episodes": 2, "steps": 168, "human": 168, "agent": 0}
    assert (corrected["episodes"], corrected["steps"]) == (2, 168)
    assert corrected["agent"] > corrected["human"] > 0
