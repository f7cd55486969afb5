"""Rollouts over the wire: any `Env`, episode by episode, in lockstep or in real time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridges.client import BridgeClient, connect
from bridges.errors import AnswerError
from bridges.protocol.messages import Act
from bridges.reconnect import ConnectionState
from games import Action, Env, Frame


@dataclass
class PlayReport:
    """Tallies of a rollout; ages and inference times are those the server measured, in milliseconds."""

    episodes: int = 0
    successes: int = 0
    unjudged: int = 0
    """Episodes without a verdict: their goal was changed at a console, or the game gives none."""
    steps: int = 0
    seconds: float = 0.0
    first_action_s: float | None = None
    dropped: int = 0
    failed: int = 0
    """Pictures without an answer, at which the null action was played."""
    age_ms: list[float] = field(default_factory=list)
    infer_ms: list[float] = field(default_factory=list)

    @property
    def hz(self) -> float:
        """Steps per second, resets included."""
        return self.steps / self.seconds if self.seconds else 0.0

    def add(self, act: Act, elapsed_s: float) -> None:
        """Count an answer that was applied `elapsed_s` seconds after the start."""
        self.dropped = act.dropped
        self.age_ms.append(act.latency.age_ms)
        self.infer_ms.append(act.latency.infer_ms)
        if self.first_action_s is None:
            self.first_action_s = elapsed_s

    def summary(self) -> dict[str, Any]:
        """The figures as JSON holds them."""
        return {
            "episodes": self.episodes,
            "successes": self.successes,
            "unjudged": self.unjudged,
            "hz": round(self.hz, 1),
            "age_ms": _percentiles(self.age_ms),
            "infer_ms": _percentiles(self.infer_ms),
            "dropped": self.dropped,
            "failed": self.failed,
        }


@dataclass(frozen=True)
class Start:
    """Seed and reset options of one episode."""

    seed: int
    options: dict[str, Any] = field(default_factory=dict)


def play(
    env: Env,
    url: str,
    starts: Iterable[Start],
    *,
    mode: str = "lockstep",
    pace_hz: float | None = None,
    token: str | None = None,
    tasks: tuple[str, ...] = (),
    on_step: Callable[[Act | None, dict[str, Any]], None] | None = None,
    on_episode: Callable[[dict[str, Any], PlayReport], None] | None = None,
    on_instruct: Callable[[str | None], bool] = lambda text: False,
    on_state: Callable[[ConnectionState, str], None] = lambda state, detail: None,
    on_error: Callable[[AnswerError], None] = lambda error: None,
    stop: Callable[[PlayReport], bool] = lambda report: False,
) -> PlayReport:
    """Play one episode per start; Ctrl-C returns the report so far. Raises `BridgeError`.

    `pace_hz` None steps as fast as it can. `on_step` gets the answer and the step's info, `on_episode` the last info of
    an episode (`success` None: without a verdict). `on_instruct` gets a console's instruction, again in every episode
    until it is released, and then None; it returns whether the game now judges by what counts. Where it does not, the
    episode has no verdict. Where a picture has no answer the null action is played; a server that was restarted is
    waited for (`on_state` and `on_error` as in `connect`). The player hears what was played where that was not the
    answer to the newest picture. What the environment says of itself in `info["state"]` goes along with its picture.
    """
    started = time.monotonic()
    with connect(
        url, env.game, mode=mode, token=token, tasks=tasks, on_state=on_state, on_error=on_error
    ) as client:
        rollout = _Rollout(
            env, client, started, mode == "lockstep", pace_hz, on_step, on_instruct, stop
        )
        report = rollout.report
        with contextlib.suppress(KeyboardInterrupt):
            for number, start in enumerate(starts):
                info = rollout.run_episode(start)
                if info is None or stop(report):
                    break
                rollout.end_episode(info, number)
                if on_episode:
                    on_episode(info, report)
    report.seconds = rollout.elapsed_s
    return report


class _Rollout:
    """Episodes of one environment with one attached client."""

    def __init__(
        self,
        env: Env,
        client: BridgeClient,
        started: float,
        lockstep: bool,
        pace_hz: float | None,
        on_step: Callable[[Act | None, dict[str, Any]], None] | None,
        on_instruct: Callable[[str | None], bool],
        stop: Callable[[PlayReport], bool],
    ) -> None:
        self.report = PlayReport()
        self._env, self._client, self._started = env, client, started
        self._lockstep, self._period_s = lockstep, 1 / pace_hz if pace_hz else 0.0
        self._on_step, self._on_instruct, self._stop = on_step, on_instruct, stop
        self._console_instruction: str | None = None
        """What the running episode was changed to."""
        self._is_judged = True
        self._executed: Action | None = None
        """What was played in the last step, where that is not the answer to its own picture."""

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def run_episode(self, start: Start) -> dict[str, Any] | None:
        """One episode; returns its last info, None where it was stopped."""
        observation, info = self._env.reset(seed=start.seed, options=start.options)
        due = time.monotonic()
        self._client.instruct(observation["instruction"])
        self._console_instruction, self._is_judged = None, True
        self._executed = None
        self._follow_console()
        while True:
            act = self._answer(observation["frame"], info.get("state"), due)
            self._follow_console()
            if act is not None:
                self.report.add(act, self.elapsed_s)
            action = self._action(act)
            self._executed = None if self._is_answer(act) else action
            observation, _, terminated, truncated, info = self._env.step(action)
            self.report.steps += 1
            if self._on_step:
                self._on_step(act, info)
            if terminated or truncated:
                return info if self._is_judged else {**info, "success": None, "task": ""}
            if self._stop(self.report):
                return None
            due = self._wait_for_step(due)

    def _follow_console(self) -> None:
        """Take up an instruction that came from a console, or that was released there."""
        instruction = self._client.console_instruction
        if instruction != self._console_instruction:
            self._console_instruction = instruction
            self._is_judged = self._on_instruct(instruction)

    def end_episode(self, info: dict[str, Any], number: int) -> None:
        """Count the episode and report its end to the server."""
        success = None if info.get("success") is None else bool(info["success"])
        self.report.episodes += 1
        self.report.successes += success is True
        self.report.unjudged += success is None
        self._client.event(
            terminated=True, success=success, task=str(info.get("task", "")), episode=number,
            executed=self._executed,
        )  # fmt: skip
        self.report.seconds = self.elapsed_s

    def _answer(self, frame: Frame, state: dict[str, Any] | None, due: float) -> Act | None:
        """The answer to a frame; in real time whatever is due when the step ends."""
        report: dict[str, Any] = {"executed": self._executed, "state": state}
        if self._lockstep:
            try:
                return self._client.act(frame, **report)
            except AnswerError:
                self.report.failed += 1
                return None
        number = self._client.send(frame, **report)
        _wait_until(due + self._period_s)
        return self._client.current_action(number)  # the step is counted, not the time it took

    def _is_answer(self, act: Act | None) -> bool:
        """Whether an action is what the server takes for played: the answer to the newest picture, to an agent.

        Otherwise it was the failsafe, or one that was planned or held since an earlier picture.
        """
        newest, owner = self._client.agents[0].number, self._client.owner
        return act is not None and act.observation == newest and owner != "human"

    def _action(self, act: Act | None) -> Action:
        game = self._env.game
        return game.normalize(act.action) if act else game.null_action()

    def _wait_for_step(self, due: float) -> float:
        """When the next step is due; a late step delays the following ones by a period at most."""
        if not self._period_s:
            return due
        due = max(due + self._period_s, time.monotonic() - self._period_s)
        if self._lockstep:
            _wait_until(due)
        return due


def _wait_until(moment: float) -> None:
    if (remaining_s := moment - time.monotonic()) > 0:
        time.sleep(remaining_s)


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {"p50": 0.0, "p95": 0.0}
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}
