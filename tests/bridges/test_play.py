"""Rollouts over the wire: an environment is played to the end of its episodes, or stopped."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from websockets.sync.client import connect as raw_connect

from bridges.listener import Observation as Observed
from bridges.play import Start, play
from bridges.policy import Decision, PlannedAction, PolicyRequest
from bridges.protocol.messages import Act, Control, Event, Hello, Instruct, from_server
from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from games import Action, FrameSize, GameSpec, action_space, observation_space
from games.controls import Button
from games.env import Observation

SPEC = GameSpec(
    id="lamp-v0",
    title="Lamp",
    frame=FrameSize(height=16, width=16),
    step_hz=20,
    controls=(Button(name="on", label="switch on"), Button(name="off", label="switch off")),
)


class Lamp:
    """An environment that ends with success after `lit_after` steps of "on"."""

    def __init__(self, lit_after: int = 3) -> None:
        self.game = SPEC
        self.observation_space: spaces.Space[Any] = observation_space(SPEC)
        self.action_space: spaces.Space[Any] = action_space(SPEC)
        self.lit_after, self.count = lit_after, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self.count = 0
        return self.observe(), {"task": "lamp", "success": False}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.count += action["on"]
        lit = self.count >= self.lit_after
        return self.observe(), 0.0, lit, False, {"task": "lamp", "success": lit}

    def observe(self) -> Observation:
        return {"frame": np.zeros(SPEC.frame.shape, np.uint8), "instruction": "switch on"}

    def close(self) -> None:
        pass


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_play_drives_an_environment(mode: str) -> None:
    with background_server(RandomPolicy()) as server:
        report = play(Lamp(), server.url, [Start(0), Start(1)], mode=mode, pace_hz=200)
        assert (report.episodes, report.successes) == (2, 2)
        assert report.summary()["age_ms"]["p95"] > 0


class TellingLamp(Lamp):
    """A lamp that says of itself how often it was pressed, but not at every step."""

    def reset(self, **given: Any) -> tuple[Observation, dict[str, Any]]:
        observation, info = super().reset(**given)
        return observation, {**info, "state": {"pressed": 0, "chat": ["dance"]}}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        *step, info = super().step(action)
        return (*step, {**info, "state": {"pressed": self.count} if self.count else None})  # type: ignore[return-value]


def test_the_games_state_goes_with_its_picture_and_sets_no_goal() -> None:
    class Listener:
        records = False
        states: list[Any] = []  # noqa: RUF012
        instructions: set[str] = set()  # noqa: RUF012

        def on_observation(self, session: str, observation: Observed) -> None:
            self.states.append(observation.report.state)
            self.instructions.add(observation.instruction)

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("on_"):
                raise AttributeError(name)
            return lambda *args: None

    listener = Listener()
    with background_server(Parrot(), listeners=[listener]) as server:
        play(TellingLamp(), server.url, [Start(0)])
    assert listener.states == [{"pressed": 0, "chat": ["dance"]}, {"pressed": 1}, {"pressed": 2}]
    assert listener.instructions == {"switch on"}


class Person:
    """A person at a console who types `text` at the first step and hands the goal back after `release_after`."""

    def __init__(self, url: str, text: str, release_after: int | None = None) -> None:
        self.url, self.text, self.release_after = url, text, release_after
        self.words: list[str] = []
        self.steps = 0

    def on_step(self, act: Act | None, info: dict[str, Any]) -> None:
        assert act is not None
        self.words.append(act.words)
        self.steps += 1
        with raw_connect(self.url) as console:
            console.send(Hello(role="query").model_dump_json())
            if self.steps == 1:
                console.send(Instruct(text=self.text).model_dump_json())
            elif self.steps == self.release_after:
                console.send(Instruct(text="", release=True).model_dump_json())
            else:
                return
            while not isinstance(from_server(str(console.recv())), Instruct):
                pass


class Parrot(RandomPolicy):
    """Presses "on" and says the instruction."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        return [Decision(action={"on": 1}, words=r.instruction, probability=1) for r in requests]


@pytest.mark.parametrize("is_judged", [False, True])
def test_a_typed_goal_counts_in_every_episode_until_it_is_released(is_judged: bool) -> None:
    typed: list[str | None] = []

    def on_instruct(text: str | None) -> bool:
        typed.append(text)
        return is_judged

    infos: list[dict[str, Any]] = []
    with background_server(Parrot()) as server:
        person = Person(server.url, "switch off", release_after=5)
        report = play(
            Lamp(), server.url, [Start(n) for n in range(3)], on_step=person.on_step,
            on_instruct=on_instruct, on_episode=lambda info, _: infos.append(info),
        )  # fmt: skip
    assert person.words == ["switch on"] + ["switch off"] * 4 + ["switch on"] * 4
    assert typed == ["switch off", "switch off", None]
    verdicts: list[bool | None] = [True, True, True] if is_judged else [None, None, True]
    assert [info["success"] for info in infos] == verdicts
    assert [info["task"] for info in infos] == ["lamp" if v else "" for v in verdicts]
    assert (report.episodes, report.unjudged) == (3, verdicts.count(None))
    assert report.successes == verdicts.count(True)


def test_a_stopped_rollout_has_no_verdict() -> None:
    with background_server(RandomPolicy()) as server:
        report = play(
            Lamp(lit_after=10**9), server.url, [Start(0), Start(1)], stop=lambda r: r.steps >= 3
        )
    assert (report.episodes, report.steps) == (0, 3)
    assert report.first_action_s is not None


class Counter(Lamp):
    """An environment whose picture is the number of the step, and which remembers what was done in each."""

    def __init__(self, steps: int) -> None:
        super().__init__(lit_after=10**9)
        self.steps, self.actions = steps, list[Action]()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        ends = len(self.actions) == self.steps
        return self.observe(), 0.0, ends, False, {"task": "count", "success": ends}

    def observe(self) -> Observation:
        frame = np.full(SPEC.frame.shape, len(self.actions), np.uint8)
        return {"frame": frame, "instruction": "count"}


class Forgetful(RandomPolicy):
    """Presses "on" and plans "off"; has no answer for every third picture, and keeps what it hears of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.executed: dict[int, Action | None] = {}
        """By the number of steps before a picture."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        (request,) = requests
        step = int(request.frame[0, 0, 0])
        self.executed[step] = request.executed
        if step % 3 == 0:
            raise RuntimeError("a bad moment")
        plan = (PlannedAction(action={"off": 1}, words="off"),)
        return [Decision(action={"on": 1}, words="on", probability=1, later=plan)]


class Reports:
    """A listener that keeps what the game said of each step."""

    records = False

    def __init__(self) -> None:
        self.executed: list[Action | None] = []

    def on_observation(self, session: str, observation: Observed) -> None:
        self.executed.append(observation.report.executed)

    def on_event(self, session: str, event: Event) -> None:
        self.executed.append(event.executed)

    def recorded(self, session: str) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return lambda *values: None


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_the_policy_hears_what_was_played_instead_of_its_answer(mode: str) -> None:
    env, policy, reports = Counter(steps=12), Forgetful(), Reports()
    with background_server(policy, listeners=[reports]) as server:
        play(env, server.url, [Start(0)], mode=mode, pace_hz=100)
    decided = SPEC.normalize({"on": 1})
    (first, *reported) = reports.executed
    assert first is None
    assert [executed or decided for executed in reported] == env.actions
    assert reported[0] == SPEC.null_action()  # there is no answer to the first picture
    if mode == "lockstep":
        assert [policy.executed[step] for step in (1, 2)] == [SPEC.null_action(), None]
    for step, heard in policy.executed.items():
        assert heard == reports.executed[step]


def test_the_policy_hears_what_was_played_while_a_person_owns_the_player() -> None:
    reports, steps = Reports(), list[Act | None]()

    def on_step(act: Act | None, info: dict[str, Any]) -> None:
        steps.append(act)
        if len(steps) == 2:
            with raw_connect(server.url) as console:
                console.send(Hello(role="query").model_dump_json())
                console.send(Control(owner="human").model_dump_json())
                while not isinstance(from_server(str(console.recv())), Control):
                    pass

    with background_server(Parrot(), listeners=[reports]) as server:
        play(Lamp(lit_after=4), server.url, [Start(0)], on_step=on_step)
    on = SPEC.normalize({"on": 1})
    assert reports.executed == [None, None, None, on, on]
