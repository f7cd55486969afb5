"""Human recording: a person's play as episodes, one per world, with typed lines as corrections."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from agent_core.config import ModelConfig
from agent_core.recording.expert import SEED_LIMIT, recorded_seeds
from agent_core.tokens.instruction_room import sure_cut_warning
from games import Action, Frame
from games.voxel import GAME, SPEC, VoxelEnv
from games.voxel.recording_light import RecordingStatus
from games.voxel.window import BY_NOBODY, World, play_human
from recorder import CaptureError, CaptureInfo, LiveRecorder, RecordingEndedError

logger = logging.getLogger("iafm.record")
MIN_SECONDS = 1.0
"""Play shorter than this is no episode, unless a text was typed in it or its goal was reached."""


class HumanEpisodeRecorder:
    """The capture under way, written by a separate process; a new world closes it and opens the next.

    It is finished after `episodes` that were kept, never where that is None.
    """

    def __init__(self, out: Path, author: str, episodes: int | None = None) -> None:
        self.out, self.author, self.wanted = out, author, episodes
        self.capture: LiveRecorder | None = None
        self.episodes = self.left_out = self.steps = self.idle_steps = self.dropped = 0
        self._has_text = False
        self._idle_steps = 0

    @property
    def status(self) -> RecordingStatus:
        capture = self.capture
        return RecordingStatus(
            steps=capture.steps if capture else 0,
            dropped=capture.dropped if capture else 0,
            disk_full=capture is not None and capture.paused,
            saved=self.episodes,
            left_out=self.left_out,
            finished=self.wanted is not None and self.episodes >= self.wanted,
        )

    def begin(self, instruction: str, task: str, seed: int) -> None:
        if line := sure_cut_warning(instruction, ModelConfig().max_text_tokens):
            logger.warning(line)
        about = CaptureInfo(
            instruction=instruction, task=task, seed=seed, actor="human", author=self.author,
            clock="wallclock",
        )  # fmt: skip
        self.capture = LiveRecorder.create(self.out, SPEC, about)
        self._has_text, self._idle_steps = False, 0

    def step(self, frame: Frame, action: Action, reward: float, by: str | None) -> None:
        self._record(lambda capture: capture.step(frame, action, reward=reward, by=by))
        self._idle_steps += self.capture is not None and by == BY_NOBODY

    def text(self, line: str, t0_ns: int) -> None:
        self._record(
            lambda capture: capture.text(
                style="correction", text=line, t0_ns=t0_ns, source="human_live", author=self.author
            )
        )
        self._has_text = self.capture is not None

    def event(self, kind: str, **values: Any) -> None:
        self._record(lambda capture: capture.event(kind, **values))

    def _record(self, write: Callable[[LiveRecorder], object]) -> None:
        """Write to the episode under way; where its recording process has died, to a new one."""
        if self.capture is None:
            return
        try:
            write(self.capture)
        except RecordingEndedError as error:
            logger.warning("%s; recording goes on in another capture", error)
            self.capture = self.capture.restart()
            write(self.capture)

    def end(self, success: bool | None, *, interrupted: bool = False) -> None:
        """Close the episode under way, or delete it where it is too short; nothing where there is none."""
        capture, self.capture = self.capture, None
        if capture is None:
            return
        is_short = capture.steps - capture.dropped < MIN_SECONDS * SPEC.step_hz
        if is_short and not success and not self._has_text:
            self.left_out += capture.steps > 0
            capture.discard()
            return
        report = capture.close(success=success, interrupted=interrupted)
        self.episodes += report.steps > 0
        self.steps += report.steps
        self.dropped += report.dropped
        self.idle_steps += self._idle_steps

    def report(self) -> dict[str, Any]:
        """What was recorded so far."""
        return {
            "episodes": self.episodes,
            "left_out": self.left_out,
            "steps": self.steps,
            "idle_steps": self.idle_steps,
            "dropped": self.dropped,
            "out": str(self.out),
        }


def record_human(
    out: Path,
    *,
    author: str = "",
    seed: int | None = None,
    tasks: Sequence[str] = (),
    episodes: int | None = None,
    max_steps: int | None = None,
    headless: bool = False,
) -> dict[str, Any]:
    """Open the game window and record until it is closed or `episodes` were kept; Ctrl-C keeps everything too.

    The first world is `seed`, else the first that `out` does not hold yet. `headless` opens a window that nobody sees,
    for tests. Raises `UnplayableError` where there is no display or no such task, `CaptureError` for a seed that is
    kept for evaluation.
    """
    worlds = select_worlds(
        recorded_seeds(out, SPEC), seed, GAME.select_tasks(tasks) if tasks else ()
    )
    recorder = HumanEpisodeRecorder(out, author, episodes)
    try:
        play_human(VoxelEnv(), recorder, worlds, max_steps=max_steps, headless=headless)
    except BaseException:
        recorder.end(None, interrupted=True)
        raise
    return recorder.report()


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
