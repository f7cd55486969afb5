"""Voxel environment: one world, one player, one goal per episode."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np

from games.env import Frame, Observation, action_space, observation_space
from games.spec import Action, did_you_mean
from games.voxel import blocks as b
from games.voxel.aim import Aim, aim
from games.voxel.animals import COW, DROPS, PIG, Animal
from games.voxel.hud import draw_hud
from games.voxel.player import Player
from games.voxel.render import View, render
from games.voxel.spec import SPEC
from games.voxel.tasks import TASKS, Goal, Verdict, gold_away, judge
from games.voxel.world import HEIGHT, SEA, SIZE, World, generate

STRIKE_PAUSE = 8
"""Steps between two hits on an animal."""
FREE = "free"
"""The task without success: the episode runs until its limit."""
_FREE_LIMIT = 6000


class VoxelEnv(gymnasium.Env[Observation, Action]):
    """The embedded block world (Gymnasium API).

    `reset(options=)` takes `task` (a name of `TASKS` or "free"; drawn from the seed otherwise), `instruction`
    (overrides the sentence, not the judge) and `items` (the variant of a collecting task). Reward is 1 on the
    step that reaches the goal, else 0; a goal that can no longer be reached ends the episode.
    """

    game = SPEC

    def __init__(self) -> None:
        self.observation_space: Any = observation_space(SPEC)
        self.action_space: Any = action_space(SPEC)
        self.world: World
        self.player: Player
        self.goal = Goal(FREE, "")
        self.verdict = Verdict(0.0)
        self.picture_detail = 1
        """Pixels of `native_frame` for each of a frame's, along either side; odd, so that one lies in the middle."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Make the world of this seed and start its episode; the same seed and options give the same episode."""
        super().reset(seed=seed)
        rng = self.np_random
        options = dict(options or {})
        random_task = list(TASKS)[int(rng.integers(len(TASKS)))]
        self.world = generate(rng)
        self.player = self._spawn(rng)
        self.animals = [
            self._release(rng, species)
            for species in (COW, PIG)
            for _ in range(int(rng.integers(3, 5)))
        ]
        self.daylight = float(rng.uniform(0.72, 1.05))
        self.clock = int(rng.integers(0, 4000))
        self.elapsed = 0
        self._pause = 0
        self._mined: tuple[tuple[int, int, int], int] | None = None
        self.set_goal(self._goal(rng, options, random_task))
        self._view = self._look()
        return self._observe(), self._info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One twentieth of a second; `action` may be partial. Raises `ActionError` for an illegal one.

        A complete action is taken as it is: its turn may lie between the camera's levels, or beyond them.
        """
        complete = SPEC.normalize(action) if len(action) != len(SPEC.controls) else action
        was_success = self.verdict.success
        self.player.step(self.world, complete)
        self._push_apart()
        self._act(complete)
        for animal in self.animals:
            animal.step(self.world, self.np_random)
        self.clock += 1
        self.elapsed += 1
        self.verdict = judge(self.goal, self.world, self.player, self._start_y, self._start_away)
        self._view = self._look()
        reached = self.verdict.success and not was_success
        limit = TASKS[self.goal.task].limit if self.goal.task in TASKS else _FREE_LIMIT
        ended = self.verdict.success or self.verdict.failure
        return (
            self._observe(),
            float(reached),
            ended,
            self.elapsed >= limit and not ended,
            self._info(),
        )

    def set_goal(self, goal: Goal) -> None:
        """Set a new goal within an episode: progress counts from now."""
        self.goal = goal
        self.elapsed = 0
        self.player.collected.clear()
        self._start_y, self._start_away = self.player.y, gold_away(self.world, self.player)
        self.verdict = judge(goal, self.world, self.player, self._start_y, self._start_away)

    def view(self) -> View:
        """The current view, per pixel: colours, kinds of objects and distances (for a scripted player)."""
        return self._view

    def aim(self) -> Aim | None:
        """The target under the crosshair within reach."""
        return aim(self.world, self.animals, self.player)

    def mining(self) -> float:
        """How far the block under attack is broken, in [0, 1)."""
        if self._mined is None:
            return 0.0
        cell, ticks = self._mined
        kind = b.BLOCKS.get(int(self.world.blocks[cell]))
        return ticks / kind.ticks if kind is not None and kind.ticks else 0.0

    @property
    def native_frame(self) -> Frame:
        """The picture that the frame is a part of, for people; uint8, `picture_detail` times as high and wide."""
        return draw_hud(self._wide.frame.copy(), self.player, self.mining())

    def close(self) -> None:
        """Nothing to close."""

    def _goal(self, rng: np.random.Generator, options: dict[str, Any], random_task: str) -> Goal:
        name = options.get("task") or random_task
        if name == FREE:
            return Goal(FREE, str(options.get("instruction", "")))
        if name not in TASKS:
            raise ValueError(f"no task called {name!r}{did_you_mean(name, (*TASKS, FREE))}")
        task = TASKS[name]
        goal = task.goal(rng)
        items = tuple(options.get("items") or goal.items)
        if items != goal.items:
            if items not in task.paraphrases:
                raise ValueError(f"{name} has no variant {items}; it has {list(task.paraphrases)}")
            goal = Goal(name, task.paraphrases[items][0], items)
        return Goal(name, str(options.get("instruction", goal.instruction)), goal.items)

    def _spawn(self, rng: np.random.Generator) -> Player:
        while True:
            x, z = rng.uniform(12, SIZE - 12, 2)
            ground = self.world.ground(x, z)
            around = self.world.blocks[
                int(x) - 1 : int(x) + 2, ground + 1 : -1, int(z) - 1 : int(z) + 2
            ]
            level = {self.world.ground(x + dx, z + dz) for dx in (-1, 1) for dz in (-1, 1)}
            far = gold_away(self.world, Player(x, 0, z, 0)) > 9
            if (
                not around.any()
                and level == {ground}
                and SEA <= ground < self.world.peak - 4
                and far
            ):
                return Player(x, ground + 1, z, float(rng.uniform(-180, 180)))

    def _release(self, rng: np.random.Generator, species: str) -> Animal:
        while True:
            x, z = rng.uniform(8, SIZE - 8, 2)
            ground = self.world.ground(x, z)
            clear = not self.world.blocks[int(x), ground + 1 : ground + 3, int(z)].any()
            if clear and ground >= SEA and math.hypot(x - self.player.x, z - self.player.z) > 5:
                return Animal(species, x, ground + 1, z, float(rng.uniform(0, 360)))

    def _push_apart(self) -> None:
        """Move animals out of the player's body."""
        for animal in self.animals:
            dx, dz = animal.x - self.player.x, animal.z - self.player.z
            away = math.hypot(dx, dz)
            if away < 1.0 and abs(animal.y - self.player.y) < 1.5:
                dx, dz = (dx / away, dz / away) if away > 1e-6 else (1.0, 0.0)
                x, z = self.player.x + dx, self.player.z + dz
                if 3 < x < SIZE - 3 and 3 < z < SIZE - 3:
                    animal.x, animal.z = x, z

    def _act(self, action: Action) -> None:
        self._pause = max(0, self._pause - 1)
        if not action["attack"]:
            self._mined = None
        target = self.aim() if action["attack"] or action["use"] else None
        if target is None:
            self._mined = None
            return
        if action["attack"]:
            self._attack(target)
        elif target.before is not None:
            self._place(target.before)

    def _attack(self, target: Aim) -> None:
        if target.animal is not None:
            self._mined = None
            if self._pause == 0:
                self._pause = STRIKE_PAUSE
                animal = self.animals[target.animal]
                if animal.strike(self.player.x, self.player.z):
                    self.animals.pop(target.animal)
                    self.player.collect(DROPS[animal.species])
            return
        assert target.cell is not None
        block = b.BLOCKS[int(self.world.blocks[target.cell])]
        if block.ticks is None:
            self._mined = None
            return
        ticks = self._mined[1] + 1 if self._mined and self._mined[0] == target.cell else 1
        self._mined = (target.cell, ticks)
        if ticks >= block.ticks:
            self._mined = None
            self.world.remove(*target.cell)
            if block.drop:
                self.player.collect(block.drop)

    def _place(self, cell: tuple[int, int, int]) -> None:
        """Put a dirt block from the inventory where the crosshair points."""
        room = self.world.blocks[cell] in b.PASSABLE and not self.player.overlaps(*cell)
        if (
            self._pause == 0
            and room
            and 0 < cell[1] < HEIGHT - 2
            and self.player.inventory.get("dirt")
        ):
            self._pause = 4
            self.player.inventory["dirt"] -= 1
            self.world.place(*cell, b.DIRT)

    def _look(self) -> View:
        """The view of a frame: of the rays of the finer picture the middle ones, which are those of its own size."""
        detail, size = self.picture_detail, SPEC.frame
        self._wide = view = render(
            self.world, self.animals, self.player.pose, size.height * detail, size.width * detail,
            self.clock, self.daylight,
        )  # fmt: skip
        if detail == 1:
            return view
        inner = slice(detail // 2, None, detail)
        return View(
            view.frame[inner, inner],
            view.kind[inner, inner],
            view.distance[inner, inner],
            view.pose,
        )

    def _observe(self) -> Observation:
        frame = draw_hud(self._view.frame.copy(), self.player, self.mining())
        return {"frame": frame, "instruction": self.goal.instruction}

    def _info(self) -> dict[str, Any]:
        return {
            "task": self.goal.task,
            "success": self.verdict.success,
            "progress": self.verdict.progress,
            "inventory": dict(self.player.inventory),
            "elapsed": self.elapsed,
        }
