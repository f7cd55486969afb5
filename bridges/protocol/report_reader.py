"""Report reader: what a game reports beside its pictures and in events, as far as its budgets go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bridges.protocol.frames import EncodedFrame
from bridges.protocol.lanes import Lane
from bridges.protocol.limits import ConnectionLimits
from bridges.protocol.messages import ErrorMessage, Event, MessageError
from bridges.protocol.step_report import check_event, read_report
from games import GameSpec


class ReportReader:
    """Of one game; `lane` counts its reports, and mistaken ones are not read faster than they are answered."""

    def __init__(self, limits: ConnectionLimits, spec: GameSpec, agents: int, now: float) -> None:
        budget = replace(limits.reports, messages_per_s=agents * limits.reports.messages_per_s)
        self.lane = Lane("reports", budget, now)
        self._mistakes = Lane("mistaken reports", limits.mistakes, now)
        self._spec = spec

    def is_reading(self, now: float) -> bool:
        """Whether reports are read: there were not too many mistakes."""
        return self._mistakes.left(now) > 0

    def read(self, encoded: EncodedFrame, now: float) -> tuple[EncodedFrame, list[ErrorMessage]]:
        """The picture with its report, and what to answer; that settles no picture."""
        if not self.is_reading(now):
            return encoded, []
        report, problems = read_report(encoded.meta, self._spec)
        return replace(encoded, report=report), self._errors(
            problems, encoded.agent, encoded.number, now
        )

    def read_event(self, event: Event, now: float) -> tuple[Event, list[ErrorMessage]]:
        """The event with those of its actions that are right, and what to answer."""
        if not self.is_reading(now):
            return without_actions(event), []
        checked, problems = check_event(event, self._spec)
        return checked, self._errors(problems, event.agent, None, now)

    def _errors(
        self, problems: Iterable[MessageError], agent: int, number: int | None, now: float
    ) -> list[ErrorMessage]:
        return [
            ErrorMessage(
                code="bad_report", message=str(problem), path=problem.path, observation=number, agent=agent
            )
            for problem in problems
            if self._mistakes.spend(0, now) >= 0
        ]  # fmt: skip


def without_actions(event: Event) -> Event:
    """The event as if nothing was reported of its last step's actions."""
    return event.model_copy(update={"executed": None, "input": None})
