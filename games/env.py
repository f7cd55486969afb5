"""Environment protocol: Gymnasium's, with a frame and an instruction in the observation."""

from __future__ import annotations

from typing import Any, Protocol, TypedDict, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from games.controls import Axis, Button, Camera, Choice, Control, Stick
from games.spec import Action, GameSpec

Frame = NDArray[np.uint8]
"""RGB of shape (height, width, 3)."""


class Observation(TypedDict):
    """A frame, and the instruction in words."""

    frame: Frame
    instruction: str


@runtime_checkable
class Env(Protocol):
    """A `gymnasium.Env` with a `GameSpec`.

    `reset` takes `options={"task": ..., "instruction": ...}` where the game has tasks. `info` has at least
    `task` (str) and, when an episode ends, `success` (bool). `state`, where it has one, is a JSON object about the game
    at the picture, for recordings and whoever plays over the wire.
    """

    game: GameSpec
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]: ...

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]: ...

    def close(self) -> None: ...


def observation_space(spec: GameSpec) -> spaces.Dict:
    """Frame and instruction as Gymnasium spaces."""
    return spaces.Dict(
        frame=spaces.Box(0, 255, spec.frame.shape, np.uint8),
        instruction=spaces.Text(min_length=0, max_length=500),
    )


def action_space(spec: GameSpec) -> spaces.Dict:
    """One Gymnasium space per control, in the order of the spec."""
    return spaces.Dict({control.name: _space(control) for control in spec.controls})


def _space(control: Control) -> spaces.Space[Any]:
    match control:
        case Button():
            return spaces.Discrete(2)
        case Choice():
            return spaces.Discrete(len(control.options))
        case Camera():
            low = np.array([control.pitch_bins[0], control.yaw_bins[0]], np.float32)
            high = np.array([control.pitch_bins[-1], control.yaw_bins[-1]], np.float32)
            return spaces.Box(low, high)
        case Stick():
            return spaces.Box(np.zeros(2, np.float32), np.array([360, 1], np.float32))
        case Axis():
            return spaces.Box(control.low, control.high, ())
        case _:
            return spaces.Text(min_length=0, max_length=control.max_length)
