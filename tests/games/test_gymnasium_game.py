"""Gymnasium adapter: frames resized, buttons as discrete actions, a judge of the rewards."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from games import ActionError, Button, Frame, FrameSize, GameSpec
from games.check import check_env
from games.gymnasium_game import Bot, GymnasiumGame, bot_expert

SPEC = GameSpec(
    id="lamp-v0",
    title="A lamp that is lit by 'on', dimmed by 'off'",
    frame=FrameSize(height=8, width=12),
    step_hz=10,
    controls=(Button(name="on"), Button(name="off"), Button(name="turbo")),
)
ACTIONS = {(): 0, ("on",): 1, ("off",): 2, ("on", "turbo"): 3}


class Lamp(gymnasium.Env):
    """Brightness 0 to 255, a reward of 1 where it is fully lit; drawn as frames of 16 x 24 pixels."""

    observation_space: Any = spaces.Box(0, 255, (16, 24, 3), np.uint8)
    action_space = spaces.Discrete(4)
    change: ClassVar = {0: 0, 1: 20, 2: -20, 3: 100}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        super().reset(seed=seed)
        self.light = int(self.np_random.integers(40))
        return self.look(), {}

    def step(self, action: int) -> tuple[NDArray[Any], Any, Any, bool, dict[str, Any]]:
        self.light = int(np.clip(self.light + self.change[int(action)], 0, 255))
        lit = self.light == 255
        return self.look(), np.float64(lit), np.bool_(lit), False, {}

    def look(self) -> NDArray[Any]:
        return np.full((16, 24, 3), self.light, np.uint8)


class Drawn(Lamp):
    observation_space = spaces.Box(0, 255, (1,), np.float32)

    def look(self) -> NDArray[Any]:
        return np.array([self.light], np.float32)

    def render(self) -> Frame:
        return np.full((16, 24, 3), self.light, np.uint8)


class Missions(Lamp):
    """Says in its observation how bright it shall be, and what it is called."""

    observation_space: Any = spaces.Dict(
        image=spaces.Box(0, 255, (16, 24, 3), np.uint8), mission=spaces.Text(20)
    )

    def look(self) -> Any:
        self.title = f"lamp of {self.light}"
        return {"image": super().look(), "mission": f"from {self.light} to 255"}


def with_missions(**settings: Any) -> GymnasiumGame:
    return GymnasiumGame(SPEC, Missions(), ACTIONS, {"light": ()}, pixels="image", **settings)


def lamp(inner: type[Lamp] = Lamp, **settings: Any) -> GymnasiumGame:
    tasks = {"light": ("light the lamp", "let there be light")}
    return GymnasiumGame(SPEC, inner(), ACTIONS, tasks, **settings)


@pytest.mark.parametrize("inner", [Lamp, Drawn])
def test_it_keeps_the_contract(inner: type[Lamp]) -> None:
    assert check_env(lamp(inner, random_start=5)) == []


def test_held_buttons_are_one_discrete_action() -> None:
    game = lamp()
    held = [{}, {"on": 1}, {"on": 1, "turbo": 1}, {"turbo": 1}, {"off": 1, "turbo": 1}]
    assert [game.discrete(action) for action in held] == [0, 1, 3, 0, 2]


def test_the_judge_decides() -> None:
    game = lamp(limit=20)
    observation, _ = game.reset(seed=1)
    assert observation["instruction"] in game.tasks["light"]
    for step in range(1, 4):
        observation, reward, terminated, truncated, info = game.step({"on": 1, "turbo": 1})
        assert observation["frame"].shape == (8, 12, 3)
        assert (reward, terminated, info["success"]) == (float(step == 3), step == 3, step == 3)
    game.reset(seed=1)
    for _ in range(20):
        *_, terminated, truncated, info = game.step({})
    assert (terminated, truncated, info["success"], info["elapsed"]) == (False, True, False, 20)
    early = lamp(judge=lambda rewards, over: True if len(rewards) == 2 else None)
    early.reset(seed=1)
    assert early.step({})[2:4] == (False, False)
    assert early.step({})[2:4] == (True, False)


def test_a_seed_has_the_same_world_whatever_the_task() -> None:
    tasks = {"light": ("light the lamp",), "dim": ("dim it", "make it dark", "no light"), "own": ()}
    game = GymnasiumGame(SPEC, Missions(), ACTIONS, tasks, pixels="image", random_start=9)
    for seed in range(8):
        worlds = {
            int(game.reset(seed=seed, options={"task": task})[0]["frame"][0, 0, 0])
            for task in (*tasks, "free", None)
        }
        assert len(worlds) == 1


def test_free_play_has_no_judge_and_no_words() -> None:
    game = lamp(limit=3)
    observation, info = game.reset(seed=1, options={"task": "free"})
    assert (observation["instruction"], info["task"]) == ("", "free")
    results = [game.step({"on": 1, "turbo": 1}) for _ in range(3)]
    assert [r[4]["success"] for r in results] == [False] * 3
    with pytest.raises(ValueError, match="did you mean 'light'"):
        game.reset(options={"task": "ligth"})


@pytest.mark.parametrize(("name", "text"), [("mission", "from {} to 255"), ("title", "lamp of {}")])
def test_a_task_without_sentences_has_the_environments_own(name: str, text: str) -> None:
    assert check_env(with_missions(random_start=5)) == []
    game = with_missions(mission=name)
    missions = []
    for seed in (1, 2, 1):
        observation, _ = game.reset(seed=seed)
        light = int(observation["frame"][0, 0, 0])
        assert observation["instruction"] == text.format(light)
        missions.append(observation["instruction"])
        game.step({"on": 1})
        assert game.instruction == missions[-1]  # the one that the episode began with
    assert missions[0] == missions[2] != missions[1]
    other, _ = game.reset(seed=1, options={"instruction": missions[1]})
    assert other["instruction"] == missions[1]


def test_a_mission_that_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match="no 'goal' in its observation"):
        with_missions(mission="goal").reset(seed=1)


def test_a_bot_of_discrete_actions_is_an_expert() -> None:
    executed: list[int | None] = []

    def make_bot(env: Lamp) -> Bot:
        def bot(last: int | None) -> int:
            executed.append(last)
            return 3 if env.light < 100 else 1

        return bot

    game = lamp()
    game.reset(seed=1)
    expert = bot_expert(make_bot)(game)
    assert expert() == ({"on": 1, "off": 0, "turbo": 1}, "")
    for action in ({"on": 1, "turbo": 1}, {"off": 1}):
        game.step(action)
    assert expert() == ({"on": 1, "off": 0, "turbo": 1}, "")
    assert executed == [None, 2]  # what was done, not what it asked for
    with pytest.raises(ActionError, match="no buttons of lamp-v0 are action 7"):
        game.held(7)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({(): 0, ("onn",): 1}, "did you mean 'on'"),
        ({("on",): 1}, "while no button is held"),
        ({(): 0, ("on",): 9}, "action 9"),
    ],
)
def test_a_wrong_table_is_said(actions: dict[tuple[str, ...], int], message: str) -> None:
    with pytest.raises(ActionError, match=message):
        GymnasiumGame(SPEC, Lamp(), actions, {"light": ("light",)})
