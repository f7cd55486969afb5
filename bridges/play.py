"""How does an environment get played over the wire? Any `Env`, episode by episode, in lockstep or in real time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridges.client import BridgeClient, connect
from bridges.protocol.messages import Act
from games import Action, Env


@dataclass
class PlayReport:
    """What happened: ages and inference times are those the server measured, in milliseconds."""

    episodes: int = 0
    successes: int = 0
    steps: int = 0
    seconds: float = 0.0
    first_action_s: float | None = None
    dropped: int = 0
    age_ms: list[float] = field(default_factory=list)
    infer_ms: list[float] = field(default_factory=list)

    @property
    def hz(self) -> float:
        """Steps per second, everything included."""
        return self.steps / self.seconds if self.seconds else 0.0

    def summary(self) -> dict[str, Any]:
        return {
            "episodes": self.episodes,
            "successes": self.successes,
            "hz": round(self.hz, 1),
            "age_ms": _percentiles(self.age_ms),
            "infer_ms": _percentiles(self.infer_ms),
            "dropped": self.dropped,
        }


@dataclass(frozen=True)
class Start:
    """How an episode begins: seed and reset options."""

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
    on_instruct: Callable[[str], None] | None = None,
    stop: Callable[[PlayReport], bool] = lambda report: False,
) -> PlayReport:
    """Play one episode per start; `on_instruct` hears a goal typed elsewhere. Ctrl-C returns the report so far."""
    report = PlayReport()
    begun = time.monotonic()
    with connect(url, env.game, mode=mode, token=token, tasks=tasks) as client:
        try:
            for number, start in enumerate(starts):
                info = _episode(
                    env, client, start, report, mode, pace_hz, on_step, on_instruct, stop, begun
                )
                if stop(report) or info is None:
                    break
                report.episodes += 1
                report.successes += bool(info.get("success"))
                client.event(
                    terminated=True,
                    success=bool(info.get("success")),
                    task=str(info.get("task", "")),
                    episode=number,
                )
                report.seconds = time.monotonic() - begun
                if on_episode:
                    on_episode(info, report)
        except KeyboardInterrupt:
            pass
    report.seconds = time.monotonic() - begun
    return report


def _episode(
    env: Env,
    client: BridgeClient,
    start: Start,
    report: PlayReport,
    mode: str,
    pace_hz: float | None,
    on_step: Callable[[Act | None, dict[str, Any]], None] | None,
    on_instruct: Callable[[str], None] | None,
    stop: Callable[[PlayReport], bool],
    begun: float,
) -> dict[str, Any] | None:
    """One episode; returns its last info, None where it was stopped."""
    observation, info = env.reset(seed=start.seed, options=start.options)
    told = observation["instruction"]
    client.instruct(told)
    due = time.monotonic()
    null = env.game.null_action()
    while True:
        if mode == "lockstep":
            act: Act | None = client.act(observation["frame"])
        else:
            number = client.send(observation["frame"])
            _wait_until(due + (1 / pace_hz if pace_hz else 0.0))
            act = client.current_action(
                number
            )  # no step was made since that picture, however long it took
        if act is not None:
            report.dropped = act.dropped
            report.age_ms.append(act.latency.age_ms)
            report.infer_ms.append(act.latency.infer_ms)
            if report.first_action_s is None:
                report.first_action_s = time.monotonic() - begun
        action: Action = env.game.normalize(act.action) if act else null
        observation, _, terminated, truncated, info = env.step(action)
        report.steps += 1
        if client.instruction != told:
            told = client.instruction
            if on_instruct:
                on_instruct(told)
        if on_step:
            on_step(act, info)
        if terminated or truncated:
            return info
        if stop(report):
            return None
        if pace_hz:
            due = max(due + 1 / pace_hz, time.monotonic() - 1 / pace_hz)
            if mode == "lockstep":
                _wait_until(due)


def _wait_until(moment: float) -> None:
    if (left := moment - time.monotonic()) > 0:
        time.sleep(left)


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {"p50": 0.0, "p95": 0.0}
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}
