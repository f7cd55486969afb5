"""Tap: sessions of a server as captures, whoever acted, whatever came late or not at all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from games import Action, Button, Frame, FrameSize, GameSpec
from recorder import CaptureError, CaptureInfo, CaptureWriter, Episode, open_episodes, validate
from recorder.capture.held_steps import HeldSteps, PlayedStep
from recorder.capture.tap import Capture, Tap, create_capture
from recorder.format.manifest import EVENTS, read_lines

SPEC = GameSpec(
    id="walk-v0",
    title="Walk",
    frame=FrameSize(height=16, width=24),
    step_hz=20,
    controls=(Button(name="left"), Button(name="right")),
)
REST = SPEC.null_action()
LEFT, RIGHT = SPEC.normalize({"left": 1}), SPEC.normalize({"right": 1})


@dataclass
class Picture:
    """A picture that tells its number by its brightness."""

    number: int
    shape: tuple[int, int, int] = SPEC.frame.shape
    damaged: bool = False

    @property
    def payload(self) -> bytes:
        return bytes(100)

    def decode(self) -> Frame:
        if self.damaged:
            raise ValueError("damaged")
        return np.full(self.shape, 10 + 20 * self.number, np.uint8)


@dataclass
class Report:
    executed: Action | None = None
    input: Action | None = None
    reward: float | None = None
    score: float | None = None
    state: dict[str, Any] | None = None


@dataclass
class Event(Report):
    terminated: bool = False
    truncated: bool = False
    success: bool | None = None
    task: str = ""


@dataclass
class Attached:
    spec: GameSpec = SPEC
    lockstep: bool = True
    policy: str | None = "random"
    owner: str = "agent"


@dataclass
class Observation:
    index: int
    picture: Picture | None
    report: Report = field(default_factory=Report)
    instruction: str = "walk on"
    t_ns: int = 0


@dataclass
class Decision:
    action: Action


class Game:
    """Session `a` of a tap; pictures are numbered by themselves."""

    def __init__(
        self, root: Path, create: Callable[..., Capture] = create_capture, **attached: Any
    ) -> None:
        self.root, self.tap, self.index = root, Tap(root, create), -1
        self.tap.on_attach("a", Attached(**attached))

    def picture(self, *, damaged: bool = False, missing: bool = False, **report: Any) -> int:
        self.index += 1
        picture = None if missing else Picture(self.index, damaged=damaged)
        seen = Observation(self.index, picture, Report(**report), t_ns=1000 + self.index)
        self.tap.on_observation("a", seen)
        return self.index

    def decide(self, action: Action, index: int | None = None) -> None:
        self.tap.on_decision("a", self.index if index is None else index, Decision(action))

    def end(self, **event: Any) -> None:
        self.tap.on_event("a", Event(terminated=True, **event))

    @property
    def counts(self) -> tuple[int, int, int]:
        """Episodes, steps and dropped steps so far."""
        recorded = self.tap.recorded("a")
        assert recorded is not None
        return recorded[:3]

    def episode(self) -> Episode:
        """The only episode, which is whole."""
        self.tap.close()
        (episode,) = open_episodes(self.root)
        assert not [line for line in validate(episode) if "dropped" not in line]
        return episode


def numbers(episode: Episode) -> list[int]:
    """The numbers of its pictures."""
    return [round((float(frame.mean()) - 10) / 20) for frame in episode.frames()]


def test_a_step_has_its_picture_its_decision_and_what_came_of_it(tmp_path: Path) -> None:
    game = Game(tmp_path)
    game.picture()
    game.decide(LEFT)
    game.picture(executed=LEFT, reward=1.0)
    game.decide(RIGHT)
    game.picture(executed=REST)
    game.decide(LEFT)
    game.end(success=True, task="walk", reward=2.0)
    episode = game.episode()
    assert numbers(episode) == [0, 1, 2]
    assert episode.actions == [LEFT, RIGHT, LEFT]
    assert episode.executed == [LEFT, REST, LEFT]
    assert episode.by == ["agent"] * 3
    assert episode.rewards == [1.0, 0.0, 2.0]
    header = episode.header
    assert (header.success, header.task, header.instruction) == (True, "walk", "walk on")
    assert (header.actor, header.author, header.clock) == ("agent", "random", "lockstep")


def test_takeover_keeps_both_actions(tmp_path: Path) -> None:
    game = Game(tmp_path, owner="shared")
    game.picture()
    game.decide(LEFT)
    game.picture(input=REST)  # nothing pressed: the agent's step
    game.decide(LEFT)
    game.tap.on_control("a", "human")
    game.picture(input=RIGHT, executed=RIGHT)
    game.decide(LEFT)
    game.picture(executed=REST)  # the person is away
    game.decide(LEFT)
    game.tap.on_control("a", "agent")
    game.picture(input=RIGHT, executed=RIGHT)  # handed back only after this step
    game.decide(LEFT)
    game.end(success=False)
    episode = game.episode()
    assert episode.by == ["agent", "human", "nobody", "human", "agent"]
    assert episode.actions == [LEFT, RIGHT, REST, RIGHT, LEFT]
    assert episode.executed == [LEFT, RIGHT, REST, RIGHT, LEFT]
    assert episode.agent_actions == [None, LEFT, None, LEFT, None]


def test_skipped_pictures_are_recorded_by_what_the_game_did_or_counted(tmp_path: Path) -> None:
    game = Game(tmp_path, CaptureWriter.create, lockstep=False)
    for _ in range(3):
        game.picture(executed=RIGHT)
    game.decide(LEFT, 2)  # 0 and 1 were overtaken
    game.picture(executed=LEFT)
    game.picture()  # overtaken, and nobody says what the game did in step 3
    game.decide(RIGHT)
    game.end(success=True)
    episode = game.episode()
    assert numbers(episode) == [0, 1, 2, 4]
    assert episode.actions == [RIGHT, RIGHT, LEFT, RIGHT]
    assert episode.dropped_before == {3: 1}
    assert game.tap.recorded("a") is None


def test_pictures_that_are_missing_or_damaged_are_counted(tmp_path: Path) -> None:
    game = Game(tmp_path)
    for damaged, missing in ((False, False), (True, False), (False, True), (False, False)):
        game.picture(damaged=damaged, missing=missing)
        game.decide(LEFT)
    game.end()
    assert game.counts == (1, 2, 2)
    episode = game.episode()
    assert numbers(episode) == [0, 3]
    assert episode.dropped_before == {1: 2}
    assert episode.header.success is None


def test_words_stand_at_their_step(tmp_path: Path) -> None:
    game = Game(tmp_path)
    game.tap.on_text("a", "instruct", "before the episode", "console")
    game.picture()
    game.decide(LEFT)
    game.tap.on_text("a", "correct", "the other way", "console")
    game.picture(score=3.0, state={"x": 1})
    game.tap.on_text("a", "say", "a wall", "game")
    game.decide(RIGHT)
    game.tap.on_text("a", "answer", "I go right", "policy")
    game.picture()
    game.tap.on_text("a", "instruct", "go back", "game")
    game.decide(RIGHT)
    game.end()
    episode = game.episode()
    assert [(t.i0, t.style, t.text, t.source) for t in episode.texts] == [
        (1, "correction", "the other way", "human_live"),
        (2, "thought", "a wall", "human_live"),
        (3, "instruction", "go back", "game"),
    ]
    events = read_lines(episode.folder / EVENTS)
    assert [(e["i"], e["kind"]) for e in events] == [(1, "state"), (2, "answer")]
    assert events[0]["state"] == {"x": 1}


def test_an_episode_that_breaks_off_keeps_what_is_certain(tmp_path: Path) -> None:
    game = Game(tmp_path)
    game.picture()
    game.decide(LEFT)
    game.picture()
    game.decide(RIGHT)  # whether the game still did it, nobody knows
    game.tap.on_leave("a")
    (episode,) = open_episodes(tmp_path)
    assert (len(episode), episode.manifest.status) == (1, "interrupted")
    assert read_lines(episode.folder / EVENTS)[0]["kind"] == "dropped_at_end"


def test_a_lost_connection_is_a_gap(tmp_path: Path) -> None:
    game = Game(tmp_path)
    for _ in range(2):
        game.picture()
        game.decide(LEFT)
    game.tap.on_lost("a")
    game.picture(executed=RIGHT)  # of a step that nobody saw
    game.decide(LEFT)
    game.end(success=True)
    episode = game.episode()
    assert numbers(episode) == [0, 2]
    assert (episode.actions, episode.dropped_before) == ([LEFT, LEFT], {1: 1})


def test_a_person_plays_without_a_policy(tmp_path: Path) -> None:
    game = Game(tmp_path, policy=None)
    game.picture()
    game.picture(input=LEFT, executed=RIGHT)
    game.picture(input=REST)
    game.end(success=True)
    episode = game.episode()
    assert episode.header.actor == "human"
    assert episode.by == ["human", "human"]
    assert (episode.actions, episode.executed) == ([LEFT, REST], [RIGHT, REST])


def test_the_last_step_of_a_person_comes_with_the_event(tmp_path: Path) -> None:
    game = Game(tmp_path, policy=None)
    game.picture()
    game.end(input=RIGHT, success=True)
    assert game.episode().actions == [RIGHT]


def test_nothing_is_left_of_an_episode_without_a_step(tmp_path: Path) -> None:
    game = Game(tmp_path, lockstep=False)
    game.picture()
    game.tap.close()
    assert list(tmp_path.iterdir()) == []


def test_pictures_have_the_size_of_the_spec(tmp_path: Path) -> None:
    game = Game(tmp_path)
    picture = Picture(2, shape=(33, 50, 3))
    game.tap.on_observation("a", Observation(0, picture))
    game.tap.on_decision("a", 0, Decision(LEFT))
    game.end()
    episode = game.episode()
    assert episode.frames().shape == (1, 16, 24, 3)
    assert numbers(episode) == [2]


def test_a_capture_that_fails_is_followed_by_another(tmp_path: Path) -> None:
    made = []

    def create(root: Path, spec: GameSpec, info: CaptureInfo) -> Capture:
        made.append(CaptureWriter.create(root, spec, info))
        return made[-1]

    game = Game(tmp_path, create)
    for _ in range(4):
        game.picture()
        game.decide(LEFT)
        if game.index == 1:

            def fail(*_: Any, **__: Any) -> int:
                raise CaptureError("the encoder died")

            made[0].step = fail  # type: ignore[method-assign]
    game.end(success=True)
    assert game.counts == (2, 3, 1)
    game.tap.close()
    assert [len(e) for e in sorted(open_episodes(tmp_path), key=len)] == [1, 2]


def test_a_session_that_cannot_be_recorded_leaves_the_others_alone(tmp_path: Path) -> None:
    game = Game(tmp_path)
    game.tap.on_attach("b", Attached())
    game.picture()
    game.tap.on_observation("b", Observation(0, Picture(0)))
    game.tap.on_decision("b", 0, Decision({"no_such_control": 1}))
    game.tap.on_observation("b", Observation(1, Picture(1)))
    game.tap.on_observation("b", Observation(2, Picture(2)))
    game.decide(LEFT)
    game.end()
    assert game.tap.recorded("b") is None
    assert len(game.episode()) == 1


def test_held_pictures_are_bounded() -> None:
    held = HeldSteps(REST, "agent", has_policy=True, max_bytes=350)
    ready: list[PlayedStep] = []
    for index in range(6):
        held.observe(index, Picture(index), Report(executed=LEFT), 0)
        ready += held.ready()
        assert held.bytes <= 350
    held.decide(0, RIGHT)  # too late
    held.decide(5, RIGHT)
    held.end(Report())
    ready += held.ready()
    assert [step.action for step in ready] == [LEFT] * 5 + [RIGHT]
    assert held.bytes == 0


@pytest.mark.parametrize("interrupted", [True, False])
def test_held_steps_begin_anew_after_an_episode(interrupted: bool) -> None:
    held = HeldSteps(REST, "agent", has_policy=True)
    held.observe(0, Picture(0), Report(), 0)
    held.decide(0, LEFT)
    if interrupted:
        assert held.interrupt() == 1
    else:
        held.end(Report())
    assert len(list(held.ready())) == (not interrupted)
    held.observe(1, Picture(1), Report(executed=RIGHT, reward=5.0), 0)
    held.decide(1, LEFT)
    held.end(Report())
    assert [(s.action, s.executed, s.reward) for s in held.ready()] == [(LEFT, None, 0.0)]
