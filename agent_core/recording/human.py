"""Human recording: play in the window as episodes, one per world, with what was typed, by a person and an agent."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from agent_core.config import ModelConfig
from agent_core.recording.copilot import PolicyCopilot
from agent_core.recording.expert import SEED_LIMIT, recorded_seeds
from agent_core.tokens.instruction_room import sure_cut_warning
from bridges.policy import Policy
from games import GameSpec
from games.human.bindings import bind, read_controls
from games.human.contracts import (
    AGENT,
    HUMAN,
    NOBODY,
    Clock,
    PlayedStep,
    PlayOptions,
    SystemClock,
    World,
)
from games.human.play import play_human
from games.human.recording_light import RecordingStatus
from games.human.typed_line import Style
from games.registry import load, make
from recorder import CaptureError, CaptureInfo, LiveRecorder, RecordingEndedError

logger = logging.getLogger("iafm.record")
MIN_SECONDS = 1.0
"""Play shorter than this is no episode, unless a text was typed in it or its goal was reached."""
DISK_CHECK_STEPS = 100
"""Steps between two looks at the room that is left."""


class HumanEpisodeRecorder:
    """The capture under way, written by a separate process; a new world closes it and opens the next.

    It is finished after `episodes` that were kept, never where that is None.
    """

    def __init__(
        self,
        out: Path,
        spec: GameSpec,
        author: str,
        episodes: int | None = None,
        agent: str = "",
    ) -> None:
        self.out, self.spec, self.author, self.wanted = out, spec, author, episodes
        self.agent = agent
        """The name of the agent that plays in turn; "" for none."""
        self.capture: LiveRecorder | None = None
        self.episodes = self.left_out = self.discarded = self.steps = self.dropped = 0
        self.steps_by: dict[str, int] = {}
        self._has_text = False
        self._steps_by: dict[str, int] = {}
        self._last: _Saved | None = None
        self._free_bytes, self._disk_checked = 0, -DISK_CHECK_STEPS
        self._first_step = self._texts = 0
        self._text_ids: dict[int, int] = {}
        """The texts of the episode by the numbers that the window has, those in a capture that broke off left out."""

    @property
    def status(self) -> RecordingStatus:
        capture = self.capture
        steps = capture.steps if capture else 0
        if abs(steps - self._disk_checked) >= DISK_CHECK_STEPS:
            self._free_bytes, self._disk_checked = _free_bytes(self.out), steps
        return RecordingStatus(
            steps=steps,
            dropped=capture.dropped if capture else 0,
            disk_full=capture is not None and capture.paused,
            saved=self.episodes,
            left_out=self.left_out,
            discarded=self.discarded,
            finished=self.wanted is not None and self.episodes >= self.wanted,
            free_bytes=self._free_bytes,
        )

    def begin(self, instruction: str, task: str, seed: int, actor: str) -> None:
        if line := sure_cut_warning(instruction, ModelConfig().max_text_tokens):
            logger.warning(line)
        about = CaptureInfo(
            instruction=instruction, task=task, seed=seed, actor=actor, clock="wallclock",
            author=self.agent if actor == AGENT else self.author,
        )  # fmt: skip
        self.capture = LiveRecorder.create(self.out, self.spec, about)
        self._has_text, self._steps_by = False, {}
        self._first_step = self._texts = 0
        self._text_ids = {}

    def step(self, step: PlayedStep) -> None:
        self._record(
            lambda capture: capture.step(
                step.frame, step.action, agent_action=step.agent_action, by=step.by,
                reward=step.reward, t_ns=step.t_ns,
            )
        )  # fmt: skip
        self._steps_by[step.by] = self._steps_by.get(step.by, 0) + 1

    def text(
        self,
        style: Style,
        text: str,
        *,
        i0: int,
        i1: int | None = None,
        t0_ns: int | None = None,
        source: str = "human_live",
        supersedes: int | None = None,
    ) -> int:
        is_persons = source == "human_live"
        self._has_text |= is_persons and self.capture is not None

        def write(capture: LiveRecorder) -> int:
            first = self._first_step  # of this capture, where an earlier one broke off
            return capture.text(
                style=style, text=text, i0=max(0, i0 - first),
                i1=None if i1 is None else max(0, i1 - first), t0_ns=t0_ns, source=source,
                author=self.author if is_persons else "",
                supersedes=None if supersedes is None else self._text_ids.get(supersedes),
            )  # fmt: skip

        number = self._texts
        self._texts += 1
        if (written := self._record(write)) is not None:
            self._text_ids[number] = written
        return number

    def event(self, kind: str, **values: Any) -> None:
        self._record(lambda capture: capture.event(kind, **values))

    def _record(self, write: Callable[[LiveRecorder], Any]) -> Any:
        """Write to the episode under way; where its recording process has died, to a new one."""
        if self.capture is None:
            return None
        try:
            return write(self.capture)
        except RecordingEndedError as error:
            logger.warning("%s; recording goes on in another capture", error)
            self._first_step += self.capture.steps
            self._text_ids.clear()
            self.capture = self.capture.restart()
            return write(self.capture)

    def end(self, success: bool | None, *, interrupted: bool = False) -> None:
        """Close the episode under way, or delete it where it is too short; nothing where there is none."""
        capture, self.capture = self.capture, None
        if capture is None:
            return
        is_short = capture.steps - capture.dropped < MIN_SECONDS * self.spec.step_hz
        if is_short and not success and not self._has_text:
            self.left_out += capture.steps > 0
            capture.discard()
            return
        report = capture.close(success=success, interrupted=interrupted)
        self._last = _Saved(capture.folder, report.steps, report.dropped, self._steps_by)
        self._count(self._last, 1)

    def discard(self) -> str:
        """Delete the episode under way ("this"), or where it has no step yet the one saved before it ("last")."""
        capture, self.capture = self.capture, None
        has_steps = capture is not None and capture.steps > 0
        if capture is not None:
            capture.discard()
        if has_steps:
            self.discarded += 1
            return "this"
        if (last := self._last) is None:
            return ""
        shutil.rmtree(last.folder, ignore_errors=True)
        self._count(last, -1)
        self._last = None
        self.discarded += 1
        return "last"

    def _count(self, saved: _Saved, sign: int) -> None:
        self.episodes += sign * (saved.steps > 0)
        self.steps += sign * saved.steps
        self.dropped += sign * saved.dropped
        for by, steps in saved.steps_by.items():
            self.steps_by[by] = self.steps_by.get(by, 0) + sign * steps

    def report(self) -> dict[str, Any]:
        """What was recorded so far; `steps_by` has the steps of the person, of the agent and of nobody."""
        return {
            "episodes": self.episodes,
            "left_out": self.left_out,
            "discarded": self.discarded,
            "steps": self.steps,
            "steps_by": {by: self.steps_by.get(by, 0) for by in (HUMAN, AGENT, NOBODY)},
            "dropped": self.dropped,
            "out": str(self.out),
        }


@dataclass(frozen=True)
class _Saved:
    folder: Path
    steps: int
    dropped: int
    steps_by: dict[str, int]


@dataclass(frozen=True)
class HumanPlan:
    """What a person plays and where it is recorded."""

    out: Path
    game: str = "voxel"
    """A game with an environment, by a name that `games.registry.load` knows."""
    author: str = ""
    seed: int | None = None
    """The first world; else the first that `out` does not hold yet."""
    tasks: Sequence[str] = ()
    """The game's choice where none is named."""
    episodes: int | None = None
    """How many to keep; until the window is closed where None."""
    controls: Path | None = None
    """A file of controls beside the shipped one."""
    countdown_seconds: float = 3.0


def record_human(
    plan: HumanPlan,
    policy: Policy | None = None,
    *,
    max_steps: int | None = None,
    headless: bool = False,
    clock: Clock | None = None,
) -> dict[str, Any]:
    """Open the game's window and record until it is closed or enough was kept; Ctrl-C keeps everything too.

    With a `policy` the agent plays until a key is pressed. `headless` opens a window that nobody sees, for tests.
    Raises `UnplayableError` where there is no display, no such task, no environment or a wrong file of controls,
    `CaptureError` for a seed that is kept for evaluation, `PolicyError` for a game that the policy cannot play.
    """
    game = load(plan.game)
    tasks = game.select_tasks(plan.tasks) if plan.tasks else ()
    worlds = select_worlds(recorded_seeds(plan.out, game.spec), plan.seed, tasks)
    bindings = bind(game.spec, read_controls(plan.controls))
    env = make(plan.game)
    copilot = None if policy is None else PolicyCopilot(policy, game.spec)
    agent = "" if copilot is None else copilot.name
    recorder = HumanEpisodeRecorder(plan.out, game.spec, plan.author, plan.episodes, agent)
    options = PlayOptions(
        bindings, copilot, plan.countdown_seconds, max_steps, headless, clock=clock or SystemClock()
    )
    try:
        pace = play_human(env, recorder, worlds, options)
    except BaseException:
        recorder.end(None, interrupted=True)
        raise
    finally:
        env.close()
        if copilot is not None:
            copilot.close()
    hz = pace.mean_rate
    return {**recorder.report(), "hz": None if hz is None else round(hz, 2)}


def select_worlds(
    recorded: set[int | None], first: int | None, tasks: Sequence[str]
) -> Iterator[World]:
    """Worlds whose seeds were not recorded yet, after `first`, which is played in any case.

    Of several tasks each seed has a fixed one; of none it is the game's choice.
    """
    if first is not None and first >= SEED_LIMIT:
        raise CaptureError(f"seeds from {SEED_LIMIT} on are kept for evaluation; use smaller ones")
    chosen = () if first is None else (first,)
    after = range(0 if first is None else first + 1, SEED_LIMIT)
    seeds = chain(chosen, (seed for seed in after if seed not in recorded))
    return ((seed, _reset_options(seed, tasks)) for seed in seeds)


def _reset_options(seed: int, tasks: Sequence[str]) -> dict[str, Any]:
    if not tasks:
        return {}
    return {"task": tasks[int(np.random.default_rng([seed, 77]).integers(len(tasks)))]}


def _free_bytes(folder: Path) -> int:
    """Room on the disk of a folder, which need not be there yet."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(place).free
