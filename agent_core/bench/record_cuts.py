"""Benchmark of cut recordings: what of a person's play is missing or doubled on disk when its connection is cut.

A recording plays flat out through a proxy that cuts its connection at random bytes. Every picture carries its number in
its pixels, every step in its reward, and the words their own, so that the captures show what is lost or came twice.
"""

from __future__ import annotations

import random
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bridges.record_client import RecordClient, record
from bridges.serving.no_policy import NoPolicy
from bridges.testing.background_server import background_server
from bridges.testing.dropping_proxy import DroppingProxy, dropping_proxy
from games import Button, Frame, FrameSize, GameSpec
from recorder import Tap, open_episodes

BITS = 20
SPEC = GameSpec(
    id="cuts-v0",
    title="Cuts",
    frame=FrameSize(height=16, width=16 * BITS),
    step_hz=100,
    controls=(Button(name="go"),),
)
CUT_BYTES = 500_000
"""A connection is cut within so many bytes."""
HANDSHAKE_BYTES, HANDSHAKE_SHARE = 2_500, 0.2
"""And the next one, within so many, for this share of the cuts."""
EPISODE_STEPS = 40
TEXT_STEPS = 7
"""Steps between two texts."""


@dataclass
class _Trial:
    """A recording that is cut `cuts` times."""

    proxy: DroppingProxy
    cuts: int
    rng: random.Random
    steps: int = 0
    texts: int = 0
    episodes: list[str] = field(default_factory=list)
    """Names of the captures, as they were confirmed."""
    resumed: threading.Event = field(default_factory=threading.Event)

    def play(self, recorder: RecordClient) -> None:
        """Whole episodes until all cuts are made."""
        cutter = threading.Thread(target=self._cut)
        cutter.start()
        while cutter.is_alive() or not self.episodes:
            for _ in range(self.rng.randint(1, EPISODE_STEPS)):
                if self.steps % TEXT_STEPS == 0:
                    recorder.say(str(self.texts))
                    self.texts += 1
                recorder.step(numbered_frame(self.steps), {"go": self.steps % 2}, reward=self.steps)
                self.steps += 1
            self.episodes.append(recorder.end(success=True).episode)
        cutter.join()

    def _cut(self) -> None:
        for _ in range(self.cuts):
            self.resumed.clear()
            self.proxy.arm(self.rng.randrange(1, CUT_BYTES))
            if not self.resumed.wait(60):
                raise RuntimeError("the recording was not resumed within 60 s")

    def on_state(self, state: str, detail: str) -> None:
        if state == "reconnecting" and self.rng.random() < HANDSHAKE_SHARE:
            self.proxy.arm(self.rng.randrange(1, HANDSHAKE_BYTES))
        elif state == "playing":
            self.resumed.set()


def bench_record_cuts(cuts: int = 100, seed: int = 0) -> dict[str, Any]:
    """Cut a recording so often; returns what was sent, and what of it is lost or doubled on disk."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with (
            background_server(NoPolicy(), listeners=[Tap(root)]) as server,
            dropping_proxy(server.port) as proxy,
        ):
            trial = _Trial(proxy, cuts, random.Random(seed))
            with record(
                f"ws://127.0.0.1:{proxy.port}", SPEC, mode="lockstep", on_state=trial.on_state
            ) as recorder:
                trial.play(recorder)
        return _compare(trial, root)


def _compare(trial: _Trial, root: Path) -> dict[str, Any]:
    """What was sent against the captures."""
    pictures: Counter[int] = Counter()
    steps: Counter[int] = Counter()
    texts: Counter[int] = Counter()
    misplaced = dropped = 0
    captures = {episode.folder.name: episode for episode in open_episodes(root)}
    for episode in captures.values():
        seen = [number_of(frame) for frame in episode.frames()]
        rewards = [round(reward) for reward in episode.rewards]
        actions = [action["go"] for action in episode.actions]
        pictures.update(seen)
        steps.update(rewards)
        texts.update(int(text.text) for text in episode.texts)
        misplaced += sum(
            (number, number % 2) != (reward, go)
            for number, reward, go in zip(seen, rewards, actions, strict=True)
        )
        dropped += sum(episode.dropped_before.values())
    lost, doubled = zip(
        *(_lost_and_doubled(count, sent) for count, sent in (
            (pictures, trial.steps), (steps, trial.steps), (texts, trial.texts),
            (Counter(trial.episodes), captures),
        )), strict=True,
    )  # fmt: skip
    return {
        "cuts": trial.cuts,
        "episodes": len(trial.episodes),
        "pictures": trial.steps,
        "texts": trial.texts,
        "pictures_lost": lost[0],
        "pictures_doubled": doubled[0],
        "steps_lost": lost[1],
        "steps_doubled": doubled[1],
        "texts_lost": lost[2],
        "texts_doubled": doubled[2],
        "states_lost": lost[3],
        "states_doubled": doubled[3],
        "steps_misplaced": misplaced,
        "steps_dropped": dropped,
    }


def _lost_and_doubled(count: Counter[Any], sent: int | Iterable[Any]) -> tuple[int, int]:
    """Of what was sent, 0, 1, … or these: what is not counted, and what is counted more than once."""
    expected = range(sent) if isinstance(sent, int) else sent
    return sum(count[each] == 0 for each in expected), count.total() - len(count)


def numbered_frame(number: int) -> Frame:
    """A picture whose columns of 16 pixels are the number's bits."""
    bits = [number >> bit & 1 for bit in range(BITS)]
    row = np.repeat(np.asarray(bits, np.uint8) * 200 + 20, 16)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], SPEC.frame.shape))


def number_of(frame: Frame) -> int:
    """The number that a picture carries."""
    columns = frame.reshape(16, BITS, 16, 3).mean((0, 2, 3)) > 120
    return int(sum(1 << bit for bit in range(BITS) if columns[bit]))
