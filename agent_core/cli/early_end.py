"""Early end of an evaluation: what is said of it, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_core.cli.output import remark

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def remark_failures(report: Mapping[str, Any]) -> None:
    """A line for each time that a game failed (`failures`), and why the evaluation ended early."""
    for each in report.get("failures", ()):
        remark(
            f"{each['condition']}, {each['task']}, seed {each['seed']}: {each['why']}; {each['what']}"
        )
    if report["stopped"]:
        remark(f"stopped: {report['stopped']}; the report is of what had ended")
    if report["interrupted"]:
        remark("interrupted; the report is of what had ended")


def exit_code(report: Mapping[str, Any]) -> int:
    """130 after Ctrl-C (`interrupted`), 1 where the other side was lost (`stopped` says why)."""
    return INTERRUPTED if report["interrupted"] else int(bool(report["stopped"]))
