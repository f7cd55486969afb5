"""Tap of recordings: nothing is dropped, and each episode has a tally that a game can compare with its own."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from games import Button, Frame, FrameSize, GameSpec
from recorder import CaptureInfo, CaptureWriter, open_episodes, validate
from recorder.capture.live import LiveRecorder
from recorder.capture.tap import Capture, CreateCapture, Recorded, Tap, create_lossless
from recorder.format.manifest import CaptureError, DiskFullError

SPEC = GameSpec(
    id="walk-v0", title="Walk", frame=FrameSize(height=16, width=16), step_hz=20, controls=(Button(name="go"),)
)  # fmt: skip
GO, REST = SPEC.normalize({"go": 1}), SPEC.null_action()
NOTHING: dict[str, Any] = {
    "executed": None, "input": None, "reward": None, "score": None, "state": None,
    "terminated": False, "truncated": False, "success": None, "task": "",
}  # fmt: skip


class Picture:
    """A picture that tells its number by its brightness."""

    def __init__(self, number: int) -> None:
        self.number, self.payload = number, bytes([number]) * (10 + number)

    def decode(self) -> Frame:
        if self.number == 13:
            raise ValueError("damaged")
        return np.full(SPEC.frame.shape, 10 + 20 * self.number, np.uint8)


class Recording:
    """Session `a`, which a person plays."""

    def __init__(
        self, root: Path, create: CreateCapture | None = None, *, lockstep: bool = True
    ) -> None:
        self.tap, self.number = Tap(root, create), 0
        attached: Any = SimpleNamespace(spec=SPEC, lockstep=lockstep, policy=None, owner="human")
        self.tap.on_attach("a", attached)

    def picture(self, number: int | None = None, **report: Any) -> None:
        self.number += 1
        seen: Any = SimpleNamespace(
            index=self.number - 1, picture=Picture(self.number if number is None else number),
            report=SimpleNamespace(**{**NOTHING, **report}), instruction="walk", t_ns=self.number,
        )  # fmt: skip
        self.tap.on_observation("a", seen)

    def end(self, **event: Any) -> None:
        ended: Any = SimpleNamespace(**{**NOTHING, "terminated": True, **event})
        self.tap.on_event("a", ended)

    @property
    def recorded(self) -> Recorded:
        recorded = self.tap.recorded("a")
        assert recorded is not None
        return recorded


def digest(*numbers: int) -> str:
    return hashlib.sha256(b"".join(Picture(number).payload for number in numbers)).hexdigest()


@pytest.mark.parametrize("lockstep", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_an_episode_has_a_tally_of_what_came(tmp_path: Path, lockstep: bool) -> None:
    game = Recording(tmp_path, lockstep=lockstep)
    game.picture()
    assert game.recorded.pictures == 0  # its action is not known yet
    game.picture(input=GO)
    game.picture(input=REST, executed=GO)
    assert game.recorded.pictures == 2
    assert game.recorded.ended == ()
    game.end(input=GO, success=True)
    recorded = game.recorded
    (ended,) = recorded.ended
    (episode,) = open_episodes(tmp_path)
    assert (recorded.pictures, recorded.endings, recorded.problems) == (3, 1, 0)
    assert ended == (episode.folder.name, 3, 11 + 12 + 13, digest(1, 2, 3), 3, 0, "")
    assert episode.actions == [GO, REST, GO]
    assert not validate(episode)


def test_the_last_picture_without_an_action_is_no_step(tmp_path: Path) -> None:
    game = Recording(tmp_path)
    game.picture()
    game.picture(input=GO)
    game.end()
    game.picture()
    game.end()
    first, second = game.recorded.ended
    assert (first.pictures, first.steps, first.dropped) == (2, 1, 0)
    assert (second.name, second.pictures, second.sha256) == ("", 1, digest(3))
    assert game.recorded.pictures == 3
    assert len(open_episodes(tmp_path)) == 1


def test_words_between_two_episodes_stand_at_the_beginning_of_the_next(tmp_path: Path) -> None:
    game = Recording(tmp_path)
    game.tap.on_text("a", "say", "here we go", "game")
    game.tap.on_text("a", "instruct", "walk", "game")
    game.picture()
    game.picture(input=GO)
    game.tap.on_text("a", "correct", "further", "console")
    game.end(input=GO)
    (episode,) = open_episodes(tmp_path)
    assert [(text.i0, text.text) for text in episode.texts] == [(0, "here we go"), (2, "further")]


def test_a_picture_that_does_not_decode_is_named(tmp_path: Path) -> None:
    game = Recording(tmp_path)
    game.picture()
    game.picture(13, input=GO)
    game.picture(input=GO)
    assert (game.recorded.problems, game.recorded.problem) == (1, "picture 13 does not decode")
    game.end(input=GO)
    (ended,) = game.recorded.ended
    assert (ended.pictures, ended.steps, ended.dropped) == (3, 2, 1)
    assert ended.error == "picture 13 does not decode"
    assert ended.sha256 == digest(1, 13, 3)


@pytest.mark.parametrize("full", [True, False])
def test_a_capture_that_breaks_off_says_so(tmp_path: Path, full: bool) -> None:
    made: list[CaptureWriter] = []

    def create(root: Path, spec: GameSpec, info: CaptureInfo) -> Capture:
        made.append(CaptureWriter.create(root, spec, info))
        return made[-1]

    def fail(*_: Any, **__: Any) -> int:
        raise DiskFullError("/srv is full") if full else CaptureError("/srv: no encoder")

    game = Recording(tmp_path, create)
    game.picture()
    game.picture(input=GO)
    made[0].step = fail  # type: ignore[method-assign]
    game.picture(input=GO)
    assert game.recorded.problems == 1
    assert "/srv" not in game.recorded.problem
    assert ("disk is full" in game.recorded.problem) is full
    game.end(input=GO)
    (ended,) = game.recorded.ended
    assert (ended.pictures, ended.steps, ended.dropped) == (3, 1 if full else 2, 2 if full else 1)
    assert ended.error == game.recorded.problem
    assert ended.name == made[-1].folder.name
    assert game.recorded.pictures == 3


def test_a_recording_that_cannot_begin_says_so(tmp_path: Path) -> None:
    def create(root: Path, spec: GameSpec, info: CaptureInfo) -> Capture:
        raise DiskFullError("/srv is full")

    game = Recording(tmp_path, create)
    game.picture()
    assert game.recorded.problems == 1
    game.end(input=GO)
    assert game.recorded.ended[0][:3] == ("", 1, 11)
    assert game.recorded.ended[0].dropped == 1


@pytest.mark.parametrize(
    ("clock", "kind"), [("lockstep", CaptureWriter), ("wallclock", LiveRecorder)]
)
def test_a_lossless_capture_raises_instead_of_dropping(
    tmp_path: Path, clock: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = create_lossless(tmp_path, SPEC, CaptureInfo.model_validate({"clock": clock}))
    assert isinstance(capture, kind)
    frame = Picture(1).decode()
    capture.step(frame, GO)
    monkeypatch.setattr("recorder.capture.disk_guard.DiskGuard.has_changed", lambda *_: False)
    capture._guard.paused = True
    with pytest.raises(DiskFullError, match="nearly full"):
        capture.step(frame, GO)
    assert capture.dropped == 0
    capture.close()


def test_a_live_capture_waits_for_its_encoder(tmp_path: Path) -> None:
    info = CaptureInfo(clock="wallclock")
    with LiveRecorder.create(tmp_path, SPEC, info, queue=2, lossless=True) as capture:
        for number in range(40):
            capture.step(Picture(number % 5).decode(), GO)
    assert capture.dropped == 0
    (episode,) = open_episodes(tmp_path)
    assert len(episode) == 40
