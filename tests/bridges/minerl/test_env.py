"""The MineRL environment around a stand-in for minerl's own."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from bridges.minerl.actions import map_actions
from bridges.minerl.env import MinerlEnv
from bridges.minerl.game import load_game
from bridges.minerl.options import MinerlError, parse_task
from bridges.minerl.tasks import Judge, instruction, judge
from games import FrameSize, GameSpec
from games.minecraft import SPEC
from games.spec import Action


class Button:
    """A button's space."""

    n = 2


class Socket:
    """A connection, and the instance that has it."""

    def __init__(self) -> None:
        self.client_socket = self
        self.timeout_s: float | None = None
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def settimeout(self, seconds: float) -> None:
        self.timeout_s = seconds


@dataclass
class OldGym:
    """minerl's environment: old gym's `reset` and `step`, whose results are given."""

    results: list[Any] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    instances: list[Socket] = field(default_factory=lambda: [Socket()])
    is_closed: bool = False

    @property
    def unwrapped(self) -> "OldGym":
        return self

    def seed(self, seed: int) -> None:
        self.seeds.append(seed)

    def reset(self) -> Any:
        return observation(0)

    def step(self, commands: dict[str, Any]) -> Any:
        self.commands.append(commands)
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        self.is_closed = True


def observation(brightness: int) -> dict[str, Any]:
    return {
        "pov": np.full((36, 64, 3), brightness, np.uint8),
        "inventory": {"log": np.array(3), "dirt": np.array(0), "air": np.array(30)},
        "equipped_items": {"mainhand": {"type": "iron_axe"}},
        "life_stats": {"life": np.array(20.0), "food": np.array(18)},
        "compass": {"angle": np.array([-90.0], np.float32)},
        "chat": "hello",
    }


ACTIONS = map_actions({"attack": Button(), "forward": Button()})
GAME = GameSpec(
    id="test-v0", title="", frame=FrameSize(height=36, width=64), step_hz=20,
    controls=ACTIONS.controls,
)  # fmt: skip
OPTIONS = parse_task("MineRLTest-v0,port=9000")


def env_of(*results: Any, judged: Judge | None = None, options: str = "") -> MinerlEnv:
    chosen = parse_task(f"MineRLTest-v0,port=9000{options}")
    inner = OldGym(list(results))
    return MinerlEnv(GAME, ACTIONS, judged or Judge(2.0), chosen, inner, "chop a tree")


def test_four_values_become_five() -> None:
    env = env_of(
        (observation(1), 1, False, {}),
        (observation(2), np.float64(1), True, {}),
    )
    inner = env._inner
    first, info = env.reset(seed=7)
    assert first["instruction"] == "chop a tree"
    assert (inner.seeds, inner.instances[0].timeout_s) == ([7], 30.0)
    assert info["success"] is False
    seen, reward, terminated, truncated, info = env.step({"attack": 1})
    assert (seen["frame"] == 1).all()
    assert (reward, terminated, truncated) == (1.0, False, False)
    seen, reward, terminated, truncated, info = env.step({"forward": 1})
    assert (type(reward), terminated, truncated, info["success"]) == (float, True, False, True)
    assert inner.commands == [{"attack": 1, "forward": 0}, {"attack": 0, "forward": 1}]
    env.close()
    assert inner.is_closed
    assert inner.instances[0].closed == 2  # left at the reset, and at the end


def test_the_limit_of_old_gym_truncates() -> None:
    env = env_of((observation(1), 0, True, {"TimeLimit.truncated": True}))
    env.reset(seed=0)
    assert env.step({})[2:4] == (False, True)


def test_five_values_stay() -> None:
    env = env_of((observation(1), 0, False, True, {}))
    env.reset(seed=0)
    assert env.step({})[2:4] == (False, True)


def test_steps_and_reward_of_the_name_end_an_episode() -> None:
    results: list[Any] = [(observation(1), 0, False, {}), (observation(1), 1, False, {})]
    env = env_of(*results, judged=Judge(1.0, is_goal=True), options=",steps=2")
    env.reset(seed=0)
    assert env.step({})[2:4] == (False, False)
    assert env.step({})[2:4] == (True, False)
    env = env_of(*results, options=",steps=2")
    env.reset(seed=0)
    env.step({})
    assert env.step({})[2:4] == (False, True)


def test_a_task_reports_its_state_as_text() -> None:
    _, info = env_of().reset(seed=0)
    assert info["inventory"] == {"log": 3}
    text = "carries 3 log; holds iron_axe; health 20; food 18; compass -90°; chat: hello"
    assert info["text"] == text


def test_a_task_reports_its_state_as_json() -> None:
    _, info = env_of().reset(seed=0)
    assert info["state"] == {
        "health": 20.0, "food": 18.0, "held": "iron_axe", "inventory": {"log": 3},
        "compass": -90.0, "chat": ["hello"],
    }  # fmt: skip
    assert json.loads(json.dumps(info["state"])) == info["state"]


def test_where_the_player_is_and_whether_a_screen_is_open_comes_from_the_monitors() -> None:
    place = {"xpos": 1.234, "ypos": 64, "zpos": -3.0, "yaw": 90.0, "pitch": float("nan")}
    monitors = {
        "isGuiOpen": np.int64(1),
        "location_stats": {k: np.array(v) for k, v in place.items()},
    }
    plain = {"pov": observation(1)["pov"]}
    env = env_of((plain, 0, False, monitors), (plain, 0, False, {}))
    env.reset(seed=0)
    assert env.step({})[4]["state"] == {
        "position": [1.23, 64.0, -3.0], "yaw": 90.0, "pitch": 0.0, "isGuiOpen": True,
    }  # fmt: skip
    assert env.step({})[4]["state"] is None


def test_the_instruction_of_an_episode_ends_with_it() -> None:
    env = env_of()
    assert env.reset(options={"instruction": "dig down"})[0]["instruction"] == "dig down"
    assert env.reset()[0]["instruction"] == "chop a tree"


def test_the_random_picture_of_an_error_is_not_passed_on() -> None:
    env = env_of((observation(99), 0, True, {"error": "Connection timed out!"}))
    env.reset(seed=0)
    with pytest.raises(MinerlError, match=r"timed out.*port 9000") as error:
        env.step({})
    assert "\n" not in str(error.value)
    assert env._inner.instances[0].closed == 2  # left at the reset, and for good


@pytest.mark.parametrize(
    "raised", [RuntimeError("done=True"), AttributeError("decode"), OSError("gone"), EOFError()]
)
def test_whatever_minerl_raises_is_one_line(raised: Exception) -> None:
    env = env_of(raised)
    env.reset(seed=0)
    with pytest.raises(MinerlError, match="a step failed"):
        env.step({})
    assert env._inner.instances[0].closed == 2


def test_a_picture_without_colours_is_refused() -> None:
    grey = {**observation(0), "pov": np.zeros((36, 64), np.uint8)}
    env = env_of((grey, 0, False, {}))
    env.reset(seed=0)
    with pytest.raises(MinerlError, match="no RGB picture"):
        env.step({})


def test_a_picture_of_another_size_is_resized() -> None:
    large = {"pov": np.full((72, 128, 4), 8, np.uint8)}  # with depth
    env = env_of((large, 0, False, {}))
    env.reset(seed=0)
    assert env.step({})[0]["frame"].shape == (36, 64, 3)


@dataclass
class Spec:
    """A task's `EnvSpec`."""

    reward_threshold: float | None = None
    rewardables: tuple[str, ...] = ()

    def determine_success_from_rewards(self, rewards: list[float]) -> bool:
        return 4 in rewards


def test_judgement_by_rewards() -> None:
    by_name = judge(Spec(64.0), parse_task("X,reward=1"))
    assert (by_name.success([0.5]), by_name.ends([0.5, 0.5])) == (False, True)
    by_threshold = judge(Spec(2.0, ("log",)), OPTIONS)
    assert (by_threshold.success([1, 1]), by_threshold.ends([1, 1])) == (True, False)
    by_minerl = judge(Spec(None, ("log",)), OPTIONS)
    assert (by_minerl.success([2]), by_minerl.success([2, 4])) == (False, True)
    assert not judge(Spec(), OPTIONS).has_verdict
    assert judge(Spec(), OPTIONS).success([4]) is None


def test_instructions_by_name() -> None:
    assert instruction("MineRLTreechop-v0") == "chop a tree"
    assert instruction("MineRLObtainDiamondShovel-v0") == "obtain a diamond shovel"
    assert instruction("MineRLObtainDiamondDense-v0") == "obtain a diamond"
    assert instruction("MineRLBasaltFindCaveHighRes-v0") == "find a cave"
    assert instruction("MineRLHumanSurvival-v0") == ""


class Space(dict[str, Any]):
    """A space of several."""

    @property
    def spaces(self) -> dict[str, Any]:
        return self


class Camera:
    """The camera's space."""

    shape = (2,)


def fake_spec(keys: Action, *picture: int) -> Any:
    spec: Any = Spec()
    spec.action_space, spec.observation_space = Space(keys), {"pov": np.zeros(picture)}
    return spec


def test_a_task_with_all_controls_is_minecraft(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {c.name: Camera() if c.name == "camera" else Button() for c in SPEC.controls}
    monkeypatch.setattr("bridges.minerl.game.env_spec", lambda _: fake_spec(keys, 360, 640, 3))
    game = load_game("MineRLHumanSurvival-v0")
    assert game.spec == SPEC
    assert (game.tasks, game.max_envs) == ((), 1)


def test_a_task_with_fewer_controls_is_a_game_of_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keys = {"attack": Button(), "camera": Camera(), "chat": object()}
    monkeypatch.setattr("bridges.minerl.game.env_spec", lambda _: fake_spec(keys, 64, 64, 3))
    for _ in range(2):
        game = load_game("MineRLTestFew-v0,reward=1")
    assert game.spec.id == "minerltestfew-v0"
    assert [c.name for c in game.spec.controls] == ["attack", "camera"]
    assert game.tasks == ("MineRLTestFew-v0",)
    lacks, has = caplog.messages  # once each
    assert "MineRLTestFew-v0 lacks forward, back" in lacks
    assert "has chat" in has
