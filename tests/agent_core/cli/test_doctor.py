"""The doctor's lines about MineRL."""

import pytest

from agent_core.cli import doctor
from bridges.minerl import java, package
from bridges.minerl.java import Requirement


def test_without_minerl_there_is_one_line_that_is_no_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(package, "version", lambda: None)
    (finding,) = doctor._minerl()
    assert finding.ok
    assert "not installed" in finding.detail


def test_with_minerl_the_java_side_follows_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [Requirement("JDK 8", True, "javac 1.8"), Requirement("display", False, "install xvfb")]
    monkeypatch.setattr(package, "version", lambda: "0.4.4")
    monkeypatch.setattr(java, "requirements", lambda: needs)
    lines = [(finding.check, finding.ok) for finding in doctor._minerl()]
    assert lines == [("minerl", True), ("minerl: JDK 8", True), ("minerl: display", False)]
    assert "attaches to a running process only" in doctor._minerl()[0].detail
