"""Gymnasium adapter: an environment with discrete actions as a game, with held buttons as its actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from games.controls import ActionError
from games.env import Frame, Observation, action_space, observation_space
from games.game import Expert
from games.resize import resize_frame
from games.spec import Action, GameSpec, did_you_mean

FREE = "free"
"""The task without a judge: the episode goes on until the environment or the limit ends it."""

_MAX_EXTRA_STEPS = 1000
"""Most random steps beyond the drawn number that wait for `ready`."""

Judge = Callable[[Sequence[float], bool], bool | None]
"""From the rewards so far, and whether the episode is over: success (True), failure (False), undecided (None)."""
Bot = Callable[[int | None], int]
"""A scripted player of an episode: from the discrete action that was executed last (None at first) to the next one."""


def earned(rewards: Sequence[float], over: bool) -> bool | None:
    """Default judge: success is a positive sum of rewards at the end of the episode."""
    return sum(rewards) > 0 if over else None


class GymnasiumGame(gymnasium.Env[Observation, Action]):
    """A Gymnasium environment with a `Discrete` action space as a `games.Env`.

    `actions` has the discrete action of each set of held buttons; `()` is the one for none. A set that it lacks counts
    as the largest subset that it has. Frames are the observations where these are uint8 RGB, or what dict observations
    have under the key `pixels`, else `render()` (give `render_mode="rgb_array"`), resized to the spec's size.
    `tasks` has the sentences of every task, of which the seed draws one. A task without sentences has the environment's
    own, new in every episode: `mission` is its key in the observation, or the attribute of `env.unwrapped`.
    `reset(options=)` takes `task` (or "free") and `instruction`; a seed has the same world whatever they are. All tasks
    have the same `judge`: where they differ in what is done, the environment's missions say so in its rewards. Episodes
    are truncated after `limit` steps.
    `reset` plays up to `random_start` random steps, and further ones until the native frame is `ready`.
    """

    def __init__(
        self,
        spec: GameSpec,
        env: gymnasium.Env[Any, Any],
        actions: Mapping[tuple[str, ...], int],
        tasks: Mapping[str, Sequence[str]],
        *,
        mission: str = "mission",
        pixels: str | None = None,
        judge: Judge = earned,
        limit: int = 1000,
        random_start: int = 0,
        ready: Callable[[Frame], bool] = lambda frame: True,
    ) -> None:
        self.game = spec
        self.inner = env
        self.tasks = tasks
        self.task = FREE
        self.instruction = ""
        self.native_frame: Frame
        """The current frame of the inner environment, in its own size."""
        self.last_discrete: int | None = None
        """The inner environment's action at the last step; None before the first."""
        self.observation_space: Any = observation_space(spec)
        self.action_space: Any = action_space(spec)
        self._actions = _table(spec, env, actions)
        self._observes_rgb = _is_rgb(env.observation_space)
        self._mission = mission
        self._pixels = pixels
        self._judge = judge
        self._limit = limit
        self._random_start = random_start
        self._ready = ready

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; the same seed and options give the same one."""
        super().reset(seed=seed)
        options = dict(options or {})
        self.task = self._draw_task(options.get("task"))
        self._rewards: list[float] = []
        self._success = False
        self.last_discrete = None
        self._restart()
        if self._random_start:
            self._play_random_start(int(self.np_random.integers(self._random_start)))
        own = self._draw_sentence()  # last: the world does not depend on how many a task has
        self.instruction = str(options.get("instruction", own))
        return self._observe(), self._info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One step of the inner environment; `action` may be partial. Raises `ActionError` for an illegal one."""
        self.last_discrete = self.discrete(action)
        observation, reward, terminated, truncated, _ = self.inner.step(self.last_discrete)
        self._update(observation)
        self._rewards.append(float(reward))
        truncated = bool(truncated) or len(self._rewards) >= self._limit
        verdict = None
        if self.task != FREE:
            verdict = self._judge(self._rewards, bool(terminated) or truncated)
        self._success = verdict is True
        ended = bool(terminated) or (verdict is not None and not truncated)
        return self._observe(), float(reward), ended, truncated and not ended, self._info()

    def discrete(self, action: Action) -> int:
        """The inner environment's action for a set of held buttons."""
        held = {name for name, value in self.game.normalize(action).items() if value}
        return next(index for names, index in self._actions if names <= held)

    def held(self, discrete: int) -> Action:
        """The inverse of `discrete`: the fewest held buttons of an inner action; raises `ActionError` for another."""
        for names, index in reversed(self._actions):
            if index == discrete:
                return self.game.normalize(dict.fromkeys(names, 1))
        raise ActionError(f"no buttons of {self.game.id} are action {discrete}")

    def render(self) -> Any:
        """The frame in the inner environment's size."""
        return self.native_frame

    def close(self) -> None:
        self.inner.close()

    def _draw_task(self, name: str | None) -> str:
        names = list(self.tasks)
        random_task = names[int(self.np_random.integers(len(names)))]
        name = name or random_task
        if name != FREE and name not in self.tasks:
            raise ValueError(f"no task called {name!r}{did_you_mean(name, (*names, FREE))}")
        return name

    def _draw_sentence(self) -> str:
        """One of the task's sentences, the environment's mission where it has none."""
        if self.task == FREE:
            return ""
        if not (sentences := self.tasks[self.task]):
            return self._read_mission()
        return sentences[int(self.np_random.integers(len(sentences)))]

    def _read_mission(self) -> str:
        if isinstance(self._observation, Mapping) and self._mission in self._observation:
            return str(self._observation[self._mission])
        if not hasattr(self.inner.unwrapped, self._mission):
            raise ValueError(
                f"task {self.task!r} has no sentences, and {self.game.id} no {self._mission!r} in its observation or "
                "as an attribute: give the task sentences, or name the key with mission="
            )
        return str(getattr(self.inner.unwrapped, self._mission))

    def _restart(self) -> None:
        self._update(self.inner.reset(seed=int(self.np_random.integers(2**31)))[0])

    def _play_random_start(self, steps: int) -> None:
        """Play random actions, each for up to eight steps, so that episodes begin differently."""
        index = 0
        for step in range(steps + _MAX_EXTRA_STEPS):
            if step >= steps and self._ready(self.native_frame):
                return
            if step % 8 == 0:
                index = self._actions[int(self.np_random.integers(len(self._actions)))][1]
            observation, _, terminated, truncated, _ = self.inner.step(index)
            self._update(observation)
            if terminated or truncated:
                self._restart()

    def _update(self, observation: Any) -> None:
        self._observation = observation
        if self._pixels is not None:
            frame = np.asarray(observation[self._pixels])
        else:
            frame = np.asarray(observation if self._observes_rgb else self.inner.render())
        if frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(
                f"no RGB frame, but {frame.dtype} {frame.shape}; "
                "make the environment with render_mode='rgb_array'"
            )
        self.native_frame = frame

    def _observe(self) -> Observation:
        size = self.game.frame
        frame = resize_frame(self.native_frame, size.height, size.width)
        if frame is self.native_frame:  # the inner environment may draw into it again
            frame = frame.copy()
        return {"frame": frame, "instruction": self.instruction}

    def _info(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "success": self._success,
            "reward": sum(self._rewards),
            "elapsed": len(self._rewards),
        }


def bot_expert(make_bot: Callable[[Any], Bot]) -> Callable[[GymnasiumGame], Expert]:
    """`Game.make_expert` from a scripted player of discrete actions.

    `make_bot` gets the bare environment (`env.unwrapped`), which was just reset.
    """

    def make_expert(game: GymnasiumGame) -> Expert:
        bot = make_bot(game.inner.unwrapped)
        return lambda: (game.held(int(bot(game.last_discrete))), "")

    return make_expert


def _table(
    spec: GameSpec, env: gymnasium.Env[Any, Any], actions: Mapping[tuple[str, ...], int]
) -> list[tuple[frozenset[str], int]]:
    """Sets of held buttons with their discrete action, larger sets first; raises `ActionError` for a wrong table."""
    space = env.action_space
    if not isinstance(space, spaces.Discrete):
        raise ActionError(f"{space} is not Discrete: write an Env for {spec.id}")
    if () not in actions:
        raise ActionError(f"actions of {spec.id} lack the one while no button is held: {{(): …}}")
    for names, index in actions.items():
        _require_buttons(names, spec)
        if not space.contains(np.int64(index)):
            raise ActionError(f"{'+'.join(names) or '()'} is action {index}, {spec.id} has {space}")
    return sorted(((frozenset(n), i) for n, i in actions.items()), key=lambda pair: -len(pair[0]))


def _require_buttons(names: Iterable[str], spec: GameSpec) -> None:
    buttons = [control.name for control in spec.controls if control.kind == "button"]
    for name in names:
        if name not in buttons:
            raise ActionError(
                f"no button called {name!r} in {spec.id}{did_you_mean(name, buttons)}"
            )


def _is_rgb(space: spaces.Space[Any]) -> bool:
    """Whether observations are uint8 RGB frames."""
    shape = space.shape
    return space.dtype == np.uint8 and shape is not None and len(shape) == 3 and shape[2] == 3
