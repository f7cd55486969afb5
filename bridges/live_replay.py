"""Live replays: a recorded match that consoles follow, pause, step and scrub, and ask with another instruction.

A player remembers the frames that it saw. Wherever the match is scrubbed to, it forgets all and sees the steps before
that place again, so that its answer is that of a player who came there by playing.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bridges.client import BridgeClient, connect
from bridges.errors import AnswerError
from bridges.protocol.backoff import Backoff
from bridges.protocol.messages import FromServer, Instruct
from bridges.protocol.replay_messages import Replay
from bridges.reconnect import ConnectionState
from bridges.replay import IMPATIENT, RecordedStep
from games import GameSpec

CONTEXT_STEPS = 16
"""Steps before a place that are shown again: at least as many as players remember (the shipped ones six to nine)."""
PICTURE_S = 0.1
"""Consoles get 12 pictures a second: one that comes so long after the one before is shown."""

Wish = Replay | Literal["again", "over"]
"""What a console asks for, that the player answers anew, or that the connection is over."""


@dataclass(frozen=True)
class RecordedMatch:
    """A recorded match whose steps are read at any place."""

    name: str
    steps: Sequence[RecordedStep]


class LiveReplay:
    """A connection over which matches of one game are replayed at their pace, as consoles ask."""

    def __init__(
        self,
        url: str,
        spec: GameSpec,
        *,
        token: str | None = None,
        pace_hz: float | None = None,
        backoff: Backoff = IMPATIENT,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`pace_hz` None is the game's own. Raises `BridgeError`, also where the player cannot play the game."""
        self._spec, self._period_s = spec, 1 / (pace_hz or spec.step_hz)
        self._clock, self._sleep = clock, sleep
        self._wishes: queue.SimpleQueue[Wish] = queue.SimpleQueue()
        self._later: Wish | None = None
        """The wish after the one that is being followed, where it is out of the queue already."""
        self._is_attached = False
        self._sent_at = float("-inf")
        self._index, self._paused, self._is_fresh = 0, False, True
        self._client: BridgeClient = connect(
            url, spec, mode="lockstep", token=token, seed=0, owner="human", replay=True, backoff=backoff,
            on_state=self._on_state, on_message=self._on_message,
        )  # fmt: skip
        self._is_attached = True

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server says of controls that its player does not know."""
        return self._client.welcome.warnings

    def run(self, matches: Sequence[RecordedMatch]) -> None:
        """Replay one match after the other; the last one waits at its end until the connection is over.

        A match without a step is passed over. Raises `BridgeError` then, and what reading a step raises.
        """
        matches = [match for match in matches if len(match.steps)]
        for number, match in enumerate(matches, 1):
            self._go_to(match, 0)
            self._follow(match, is_last=number == len(matches))

    def close(self) -> None:
        """Leave the server."""
        self._client.close()

    def __enter__(self) -> LiveReplay:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- what consoles ask for ---

    def _on_state(self, state: ConnectionState, detail: str) -> None:
        if state == "closed":
            self._wishes.put("over")
        elif state == "playing" and self._is_attached:
            self._wishes.put("again")  # the server may have been restarted

    def _on_message(self, message: FromServer) -> None:
        if isinstance(message, Replay):
            self._wishes.put(message)
        elif isinstance(message, Instruct):
            self._wishes.put("again")

    def _follow(self, match: RecordedMatch, *, is_last: bool) -> None:
        """Play on, or wait, as consoles ask, until the end of a match that is not the last."""
        due = self._clock() + self._period_s
        while True:
            at_end = self._index + 1 >= len(match.steps)
            if at_end and not self._paused:
                if not is_last:
                    return
                self._pause(match)
            try:
                timeout_s = None if self._paused else max(0.0, due - self._clock())
                wish = self._next_wish(timeout_s)
            except queue.Empty:
                due = max(due, self._clock()) + self._period_s
                self._show(match, self._index + 1)
                continue
            if at_end and is_last and isinstance(wish, Replay) and wish.command == "play":
                self._go_to(match, 0)  # once more
            self._obey(match, wish)
            due = self._clock() + self._period_s

    def _next_wish(self, timeout_s: float | None) -> Wish:
        """The oldest wish; of several places to go to, one directly after the other, the last. Raises `queue.Empty`."""
        wish = self._later or self._wishes.get(timeout=timeout_s)
        self._later = None
        while _is_seek(wish):
            try:
                following = self._wishes.get_nowait()
            except queue.Empty:
                break
            if not _is_seek(following):
                self._later = following
                break
            wish = following
        return wish

    def _obey(self, match: RecordedMatch, wish: Wish) -> None:
        last = len(match.steps) - 1
        match wish:
            case Replay(command="pause"):
                self._pause(match)
            case Replay(command="play"):
                self._paused = False
                self._tell(match)
            case Replay(command="step"):
                self._paused = True
                if self._index < last:
                    self._show_slowly(match, self._index + 1)
            case Replay(command="seek", step=step):
                self._go_to(match, min(step, last))
            case "again" if self._paused:
                self._go_to(match, self._index)
            case "over":
                self._client.current_action()  # raises why the connection is over
            case _:
                pass

    def _pause(self, match: RecordedMatch) -> None:
        """Wait here; the picture of this step may not have been shown while it played, so it is sent again."""
        if not self._paused:
            self._paused = True
            self._go_to(match, self._index)

    # --- what the player sees ---

    def _go_to(self, match: RecordedMatch, index: int) -> None:
        """Let the player forget all, see the steps before a place again, and answer there."""
        self._forget()
        for step in range(max(0, index - CONTEXT_STEPS), index):
            self._ask(match, step)
        self._show_slowly(match, index)

    def _show_slowly(self, match: RecordedMatch, index: int) -> None:
        """As `_show`, so long after the picture before that consoles get this one."""
        self._sleep(max(0.0, self._sent_at + PICTURE_S - self._clock()))
        self._show(match, index)

    def _show(self, match: RecordedMatch, index: int) -> None:
        """Let the player answer at a step, and say that the replay stands there."""
        self._ask(match, index)
        self._index = index
        self._tell(match)

    def _ask(self, match: RecordedMatch, index: int) -> None:
        report: dict[str, Any] = {}
        step = match.steps[index]
        if step.dropped_before:
            self._forget()
        if step.instruction != self._client.agents[0].own_instruction:
            self._client.instruct(step.instruction)
        if not self._is_fresh:
            before = match.steps[index - 1]
            report = {"executed": before.executed, "reward": before.reward}
        if step.state is not None:
            report["state"] = dict(step.state)
        self._is_fresh, self._sent_at = False, self._clock()
        with contextlib.suppress(AnswerError):
            self._client.act(step.frame, **report)

    def _forget(self) -> None:
        if not self._is_fresh:
            self._client.event(truncated=True)
        self._is_fresh = True

    def _tell(self, match: RecordedMatch) -> None:
        self._client.replay_state(
            match=match.name[:200],
            step=self._index,
            steps=len(match.steps),
            paused=self._paused,
            words=self._spec.to_words(match.steps[self._index].executed)[:2000],
        )


def _is_seek(wish: Wish) -> bool:
    return isinstance(wish, Replay) and wish.command == "seek"
