"""Held steps: pictures of an attached game that wait for what was decided about them, and for what came of it.

A step is known late: the decision about a picture comes with its answer, and what the game did then, and what a person
pressed, come with the next picture. Steps and notes leave in the order in which they came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from games import Action, Frame

MAX_HELD = 4096
"""Steps that may wait; the oldest ones go on without a decision."""
MAX_HELD_BYTES = 64 << 20
"""Bytes of pictures that may wait."""


class Picture(Protocol):
    """A picture as it came; `decode` gives RGB (height, width, 3) uint8, or raises `ValueError` for damage."""

    @property
    def number(self) -> int: ...
    @property
    def payload(self) -> bytes: ...
    def decode(self) -> Frame: ...


class Report(Protocol):
    """What a game reported of a step."""

    @property
    def executed(self) -> Action | None: ...
    @property
    def input(self) -> Action | None: ...
    @property
    def reward(self) -> float | None: ...


@dataclass(frozen=True)
class PlayedStep:
    """A step of which all is known; `action` is None where nobody can say what was wanted."""

    picture: Picture | None
    t_ns: int
    action: Action | None = None
    executed: Action | None = None
    agent_action: Action | None = None
    by: str = "agent"
    reward: float = 0.0


@dataclass(eq=False)
class _HeldStep:
    index: int
    picture: Picture | None
    t_ns: int
    owner: str
    """Who owned the player when the picture came."""
    decision: Action | None = None
    is_decided: bool = False
    has_ended: bool = False
    executed: Action | None = None
    input: Action | None = None
    by_person: bool = False
    reward: float = 0.0
    next_owner: str = ""
    rest: Action | None = None
    """What a game does while nobody presses anything; None at an episode's end, where nothing may follow."""

    @property
    def size(self) -> int:
        return len(self.picture.payload) if self.picture else 0

    def played(self) -> PlayedStep:
        """Who acted, and what was wanted: the person's input, the decision, or at least what the game did."""
        action, advice, by = self.decision, None, "agent"
        if self.by_person:
            action, advice, by = self.input, self.decision, "human"
        elif self.owner == self.next_owner == "human":
            action, by = self.executed or self.rest, "nobody"
        elif action is None:
            action = self.executed
        return PlayedStep(self.picture, self.t_ns, action, self.executed, advice, by, self.reward)


Note = Callable[[], None]
"""Writes a text or an event."""


class HeldSteps:
    """The steps of one session that wait; `rest` is the game's action at rest.

    Without a policy nothing waits for a decision.
    """

    def __init__(
        self, rest: Action, owner: str, *, has_policy: bool, max_bytes: int = MAX_HELD_BYTES
    ) -> None:
        self.owner = owner
        """Who owns the player now: human, agent or shared."""
        self._rest, self._has_policy, self._max_bytes = rest, has_policy, max_bytes
        self._items: deque[_HeldStep | Note] = deque()
        self._last: _HeldStep | None = None
        """The step whose outcome is not known yet."""
        self.count = 0
        """Steps that wait."""
        self.bytes = 0
        """Bytes of the pictures that wait."""

    def observe(self, index: int, picture: Picture | None, report: Report, t_ns: int) -> None:
        """A new picture, and what happened in the step before it."""
        if self._last is not None:
            self._last.rest = self._rest
        self._end_step(report)
        step = _HeldStep(index, picture, t_ns, self.owner, is_decided=not self._has_policy)
        self._items.append(step)
        self._last = step
        self.count += 1
        self.bytes += step.size
        if self.count > MAX_HELD or self.bytes > self._max_bytes:
            self._give_up(before=index)

    def decide(self, index: int, action: Action | None) -> None:
        """The decision about a picture, None where there is none; those before it will have none either."""
        self._give_up(before=index)
        for step in self._steps():
            if step.index == index:
                step.decision, step.is_decided = action, True
                return

    def reward(self, reward: float) -> None:
        """Add to the reward of the step under way."""
        if self._last is not None:
            self._last.reward += reward

    def note(self, note: Note) -> None:
        """Write this behind the steps that came before it."""
        self._items.append(note)

    def end(self, report: Report) -> None:
        """The episode has ended, with what happened in its last step."""
        last = self._last
        self._end_step(report)
        self._give_up()
        if last is not None and last.played().action is None:
            self._forget(last)  # the last picture: nothing was done after it

    def interrupt(self) -> int:
        """The game is gone; returns the number of decided steps of which nobody knows whether they were played."""
        last, self._last = self._last, None
        self._give_up()
        if last is None:
            return 0
        self._forget(last)
        return int(last.decision is not None and last.owner != "human")

    def ready(self) -> Iterator[PlayedStep]:
        """Take out the steps of which all is known, and write the notes among them."""
        while self._items:
            item = self._items[0]
            if isinstance(item, _HeldStep):
                if not (item.is_decided and item.has_ended):
                    return
                self._forget(item)
                yield item.played()
            else:
                self._items.popleft()
                item()

    def _end_step(self, report: Report) -> None:
        step, self._last = self._last, None
        if step is None:
            return
        step.has_ended, step.next_owner = True, self.owner
        step.executed, step.input = report.executed, report.input
        step.reward += report.reward or 0.0
        owners = {step.owner, self.owner}
        step.by_person = report.input is not None and (
            "human" in owners or ("shared" in owners and report.input != self._rest)
        )

    def _give_up(self, before: int | None = None) -> None:
        """No decision comes any more about the steps before an index; about any for None."""
        for step in self._steps():
            if before is not None and step.index >= before:
                return
            step.is_decided = True

    def _forget(self, step: _HeldStep) -> None:
        self._items.remove(step)
        self.count -= 1
        self.bytes -= step.size

    def _steps(self) -> Iterator[_HeldStep]:
        return (item for item in self._items if isinstance(item, _HeldStep))
