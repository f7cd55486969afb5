"""Record client: a game's play is recorded by a server, step by step; blocking, without a model."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from bridges.connection import build, with_errors
from bridges.errors import AnswerError, BridgeError
from bridges.protocol import frames
from bridges.protocol.backoff import Backoff
from bridges.protocol.client_session import ClientSession
from bridges.protocol.fields import Message
from bridges.protocol.messages import (
    Correct,
    Event,
    FromServer,
    Hello,
    Instruct,
    Say,
    Welcome,
)
from bridges.protocol.record_messages import RecordState
from bridges.protocol.step_report import StepReport, right_fields
from bridges.reconnect import ConnectionState, ReconnectingConnection
from games import Frame, GameSpec

MAX_RAW_BYTES = 1 << 20
"""Frames up to this size travel raw, so that they are compressed once only; larger ones as JPEG."""
CLOSE_TIMEOUT_S = 150.0
"""Longest wait for the server to close an episode; its recorder takes two minutes at most."""
DEFAULT_BACKOFF = Backoff()


class RecordClient:
    """One game whose play is recorded. `step` gets each picture with the action of the step that begins with it.

    Methods wait while the recorder is behind, and while a lost connection is opened again; what is not recorded yet is
    kept and sent again. They raise `BridgeError` once the recording is over. Steps come from one thread.
    """

    def __init__(self, connection: ReconnectingConnection, clock: Callable[[], float]) -> None:
        self._connection, self._session, self._clock = connection, connection.session, clock
        assert self._session.recording is not None
        self._recording = self._session.recording
        self._pending: dict[str, Any] | None = None
        """The newest step, whose action comes with the next picture; None between episodes."""

    @property
    def welcome(self) -> Welcome:
        """The server's newest welcome."""
        assert self._session.welcome is not None
        return self._session.welcome

    @property
    def instruction(self) -> str:
        """What counts now: a console's instruction, else this game's."""
        return self._session.agents[0].instruction

    @property
    def is_connected(self) -> bool:
        return self._session.is_connected

    def step(
        self,
        frame: Frame,
        action: Mapping[str, Any],
        *,
        executed: Mapping[str, Any] | None = None,
        reward: float = 0.0,
        score: float | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a picture (H, W, 3) uint8 RGB and the step that begins with it; the first begins an episode.

        `action` is what the person pressed, in part or whole ({} at rest), `executed` what the game did instead;
        `reward` came of it. `score` and `state` are those at the picture. Raises `BridgeError` for a wrong value.
        """
        values = {
            "input": dict(action), "executed": None if executed is None else dict(executed), "reward": reward,
        }  # fmt: skip
        step = self._checked(values)
        now = self._checked({"score": score, "state": None if state is None else dict(state)})
        self._observe(frame, {**(self._pending or {}), **now})
        self._pending = step

    def end(
        self, *, success: bool | None = None, task: str = "", truncated: bool = False, score: float | None = None,
        timeout_s: float = CLOSE_TIMEOUT_S,
    ) -> RecordState:  # fmt: skip
        """End the episode; returns what the server has on disk.

        Raises `BridgeError` where that is not what was sent, or where nobody can say it any more: the server was
        restarted between the end and its confirmation. Of a server that was restarted earlier, the state is of the
        steps that it was sent since then.
        """
        if self._pending is None:
            raise BridgeError("an episode has at least one step: call step before end")
        event = build(
            Event, terminated=not truncated, truncated=truncated, success=success, task=task, score=score,
            **self._pending,
        )  # fmt: skip
        self._pending = None
        self._send(event)
        state, difference = self._wait_for_state(timeout_s)
        if difference:
            raise BridgeError(
                f"{state.episode or 'the recording'} is not what was sent: {difference}"
            )
        return state

    def instruct(self, text: str) -> None:
        """Change the instruction; the next episode's header has it."""
        self._send(build(Instruct, text=text))

    def say(self, text: str) -> None:
        """A person's words about what happens."""
        self._send(build(Say, text=text))

    def correct(self, text: str) -> None:
        """A person's words about what should have been done."""
        self._send(build(Correct, text=text))

    def close(self) -> None:
        """Close the connection; an episode that has not ended is interrupted."""
        self._connection.close()

    def _checked(self, values: dict[str, Any]) -> dict[str, Any]:
        """Fields of a report; raises `BridgeError` for a wrong one."""
        report, problems = right_fields(values, self._session.spec)
        if problems:
            raise BridgeError(str(problems[0]))
        return report.model_dump(exclude_none=True)

    def _observe(self, frame: Frame, report: dict[str, Any]) -> None:
        """Send a picture, once there is credit for it."""
        codec = frames.Codec.RGB if frame.nbytes <= MAX_RAW_BYTES else frames.Codec.JPEG
        meta = StepReport.model_construct(**report).model_dump_json(exclude_none=True).encode()
        try:
            data = frames.pack(frame, 0, time.monotonic_ns(), codec, meta=meta if report else b"")
        except frames.FrameError as error:
            raise BridgeError(str(error)) from None
        while not self._connection.transact(lambda: self._try_to_observe(data)):
            with self._connection.updated:
                self._connection.updated.wait_for(
                    lambda: self._connection.error or self._has_credit(data)
                )

    def _has_credit(self, data: bytes) -> bool:
        return self._recording.may_send(self._session.agents[0].number + 1, len(data))

    def _try_to_observe(self, data: bytes) -> bool:
        if has_credit := self._has_credit(data):
            self._session.observe(
                frames.with_number(data, self._session.agents[0].number + 1), self._clock()
            )
        return has_credit

    def _send(self, message: Message) -> None:
        if not self._connection.transact(lambda: self._session.send(message)):
            raise BridgeError("too many messages wait for the server: send less, or close")

    def _wait_for_state(self, timeout_s: float) -> tuple[RecordState, str]:
        """What became of the episode that was just ended, and how it differs from what was sent.

        While there is no connection the time does not run.
        """
        deadline = time.monotonic() + timeout_s
        with self._connection.updated:
            while not self._recording.states:
                if self._connection.error:
                    raise self._connection.error
                if self._recording.end_is_lost:
                    raise BridgeError(
                        "the server was restarted before it confirmed the episode: look at its captures"
                    )
                remaining_s = deadline - time.monotonic()
                if not self._session.is_connected:
                    self._connection.updated.wait(1)
                    deadline = time.monotonic() + timeout_s
                elif not self._connection.updated.wait(max(0.0, remaining_s)):
                    raise BridgeError(f"the episode was not closed within {timeout_s:g} s")
            return self._recording.take_state()

    def __enter__(self) -> RecordClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def record(
    url: str,
    spec: GameSpec,
    *,
    instruction: str = "",
    mode: str = "realtime",
    token: str | None = None,
    tasks: tuple[str, ...] = (),
    on_state: Callable[[ConnectionState, str], None] = lambda state, detail: None,
    on_error: Callable[[AnswerError], None] = lambda error: None,
    on_message: Callable[[FromServer], None] = lambda message: None,
    backoff: Backoff = DEFAULT_BACKOFF,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] | None = None,
    jitter: Callable[[], float] = random.random,
) -> RecordClient:
    """Attach a game that is recorded; raises `BridgeError` where the server is away, refuses or does not record.

    `mode` is lockstep for a game that waits for its player, and so has no times of its own. `on_error` gets the
    server's errors: one of code `recording_failed` says that something cannot be written, long before `end` does. The
    rest is as in `bridges.client.connect`.
    """
    hello = build(
        Hello, role="record", spec=spec, instruction=instruction, mode=mode, token=token, tasks=tasks, owner="human",
        sdk="iafm-python",
    )  # fmt: skip

    connection = ReconnectingConnection(
        url, ClientSession(hello), backoff=backoff, clock=clock, sleep=sleep, jitter=jitter,
        on_state=on_state, on_message=with_errors(on_message, on_error),
    )  # fmt: skip
    return RecordClient(connection, clock)
