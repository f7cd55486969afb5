"""MineRL environment: a task of the package minerl with Gymnasium's interface."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import gymnasium
import numpy as np

from bridges.minerl.actions import ActionMap
from bridges.minerl.options import MinerlError, TaskOptions
from bridges.minerl.package import (
    disconnect,
    failures,
    limit_steps,
    lost,
    make_env,
    replaced_sockets,
)
from bridges.minerl.state import as_state, as_text, inventory
from bridges.minerl.tasks import Judge
from games import Action, Frame, GameSpec, Observation, action_space, observation_space
from games.resize import resize_frame


class MinerlEnv(gymnasium.Env[Observation, Action]):
    """A task of MineRL (Gymnasium API); its Minecraft process starts with the first `reset`.

    `reset(options=)` takes `instruction`. `info` has what the task reports beside the picture: `inventory` by item,
    `text`, a line about what is carried, held and said, and all of it as `state`, which goes over the wire. `success`
    is None where the task has no judgement. Methods raise `MinerlError` where the Minecraft process fails; MineRL's own
    way out, a random picture, is never returned.
    """

    def __init__(
        self,
        spec: GameSpec,
        actions: ActionMap,
        judge: Judge,
        options: TaskOptions,
        inner: Any,
        instruction: str = "",
    ) -> None:
        self.game = spec
        self.observation_space: Any = observation_space(spec)
        self.action_space: Any = action_space(spec)
        self.instruction = self._instruction = instruction
        """The words of the running episode, and those of every episode that is given none."""
        self._actions, self._judge, self._options, self._inner = actions, judge, options, inner
        self._rewards: list[float] = []
        self._observation: Mapping[str, Any] = {}
        self._monitors: Mapping[str, Any] = {}

    @classmethod
    def make(
        cls,
        spec: GameSpec,
        actions: ActionMap,
        judge: Judge,
        options: TaskOptions,
        env_spec: Any,
        instruction: str,
    ) -> MinerlEnv:
        """The environment around minerl's own; raises `MinerlError` where nothing listens at its port."""
        inner = make_env(env_spec, options)
        return cls(spec, actions, judge, options, inner, instruction)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a mission in the world of this seed; the first one starts Minecraft, which may take minutes."""
        super().reset(seed=seed)
        chosen = int(self.np_random.integers(2**31)) if seed is None else seed
        self.instruction = str((options or {}).get("instruction", self._instruction))
        self._rewards = []
        with failures(self._inner, self._options, "its start"), replaced_sockets(self._inner):
            self._inner.seed(chosen)
            result = self._inner.reset()
            limit_steps(self._inner)
        self._observation, self._monitors = result if isinstance(result, tuple) else (result, {})
        return self._observe(), self._info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One tick, a twentieth of a second; `action` may be partial. Raises `ActionError` for an illegal one."""
        commands = self._actions.to_minerl(self.game.normalize(action))
        with failures(self._inner, self._options, "a step"):
            self._observation, reward, done, cut, info = _five(self._inner.step(commands))
        if "error" in info:
            disconnect(self._inner)
            raise lost(self._options, f"a step was not answered ({info['error']})")
        self._monitors = info
        self._rewards.append(reward)
        terminated = done or self._judge.ends(self._rewards)
        limit = self._options.steps
        truncated = not terminated and (cut or (limit is not None and len(self._rewards) >= limit))
        return self._observe(), reward, terminated, truncated, self._info()

    def close(self) -> None:
        """End the mission; a Minecraft process that MineRL started ends, one at a port goes on."""
        with (
            suppress(MinerlError),
            failures(self._inner, self._options, "its end"),
            replaced_sockets(self._inner),
        ):
            self._inner.close()

    def render(self) -> Any:
        """The newest picture (H, W, 3)."""
        return self._observe()["frame"]

    def _observe(self) -> Observation:
        pov = np.asarray(self._observation["pov"])
        if pov.ndim != 3 or pov.shape[2] < 3 or pov.dtype != np.uint8:
            raise MinerlError(f"{self._options.task}: no RGB picture, but {pov.dtype} {pov.shape}")
        size = self.game.frame
        frame: Frame = resize_frame(
            np.ascontiguousarray(pov[..., :3]), size.height, size.width
        ).copy()
        return {"frame": frame, "instruction": self.instruction}

    def _info(self) -> dict[str, Any]:
        return {
            "task": self._options.task,
            "success": self._judge.success(self._rewards),
            "reward": sum(self._rewards),
            "elapsed": len(self._rewards),
            "inventory": inventory(self._observation),
            "text": as_text(self._observation),
            "state": as_state(self._observation, self._monitors) or None,
        }


def _five(result: tuple[Any, ...]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
    """Observation, reward, terminated, truncated, info of old gym's four, or of the five since gym 0.26."""
    if len(result) == 5:
        observation, reward, terminated, truncated, info = result
        return observation, float(reward), bool(terminated), bool(truncated), dict(info)
    observation, reward, done, info = result
    truncated = bool(info.get("TimeLimit.truncated", False))
    return observation, float(reward), bool(done) and not truncated, truncated, dict(info)
