"""Environment checker: every violation is reported, and nothing else."""

from typing import Any, NoReturn

import numpy as np
import pytest

from games import Action, FrameSize, GameSpec, action_space, observation_space
from games.check import check_env
from games.controls import Button, Camera
from games.env import Observation

SPEC = GameSpec(
    id="toy-v0",
    title="Toy",
    frame=FrameSize(height=16, width=16),
    step_hz=10,
    controls=(
        Button(name="go", label="go on"),
        Camera(name="camera", pitch_bins=(-5, 0, 5), yaw_bins=(-5, 0, 5)),
    ),
)


class Toy:
    game: GameSpec = SPEC
    observation_space: Any = observation_space(SPEC)
    action_space: Any = action_space(SPEC)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self.rng = np.random.default_rng(seed)
        return self.look(), self.info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        return self.look(), 0.0, False, False, self.info()

    def look(self) -> Observation:
        return {"frame": self.rng.integers(0, 255, (16, 16, 3), np.uint8), "instruction": "go"}

    def info(self) -> dict[str, Any]:
        return {"task": "go", "success": False}

    def close(self) -> None:
        pass


class Mistyped(Toy):
    game = SPEC.model_copy(
        update={
            "controls": (
                Button(name="go", label="go on", meaning="move.foward"),
                Button(name="cast", meaning="toy/cast_net"),
                SPEC.controls[1],
            )
        }
    )
    observation_space: Any = observation_space(game)
    action_space: Any = action_space(game)


class Unseeded(Toy):
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        return super().reset(seed=None)


class Floats(Toy):
    def look(self) -> Any:
        return {"frame": np.zeros((16, 16, 3)), "instruction": ""}


class Silent(Toy):
    def look(self) -> Any:
        return {"frame": np.zeros((16, 16, 3), np.uint8)}


class Shared(Toy):
    frame = np.zeros((16, 16, 3), np.uint8)

    def look(self) -> Observation:
        return {"frame": self.frame, "instruction": ""}


class Uninformed(Toy):
    def info(self) -> dict[str, Any]:
        return {}


class Old(Toy):
    def step(self, action: Action) -> Any:
        return self.look(), 0.0, False, {}


class Crashing(Toy):
    def step(self, action: Action) -> NoReturn:
        raise KeyError("camera")


class Spaceless(Toy):
    action_space = None


def test_a_good_environment_has_no_problems() -> None:
    assert check_env(Toy()) == []


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (Unseeded, "seed"), (Floats, "frame"), (Silent, "instruction"), (Shared, "shared"),
        (Uninformed, "info"), (Old, "step"), (Crashing, "raises"), (Spaceless, "space"),
        (Mistyped, "meaning"),
    ],
)  # fmt: skip
def test_each_fault_is_found(broken: type[Toy], code: str) -> None:
    assert code in {problem.code for problem in check_env(broken())}


def test_a_mistyped_meaning_is_named_and_a_private_one_is_not() -> None:
    (problem,) = check_env(Mistyped())
    assert problem.message == (
        "go: 'move.foward' is no shared meaning; did you mean 'move.forward'?"
    )


def test_without_a_spec_nothing_else_is_tried() -> None:
    nothing: Any = object()
    assert [p.code for p in check_env(nothing)] == ["no-spec"]
