"""Tasks: goals of voxel-v0, their instructions in words, and their judge.

Success is judged by the game's state alone: what was collected, where the player stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from games.voxel import blocks as b
from games.voxel.player import Player
from games.voxel.world import World

ITEMS = ("wood", "beef", "pork")
NEAR_PILLAR = 2.6
"""Level distance in blocks from the middle of a pillar that counts as having arrived."""
DIG_DEPTH = 4


@dataclass(frozen=True)
class Goal:
    """The goal of one episode: a task's name, the instruction, and the wanted items in order (if any)."""

    task: str
    instruction: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A kind of goal: its paraphrases by variant (the items wanted, in order), and its time limit in steps."""

    name: str
    paraphrases: dict[tuple[str, ...], tuple[str, ...]]
    limit: int

    @property
    def sentences(self) -> tuple[str, ...]:
        """The paraphrases of all variants."""
        return tuple(sentence for variant in self.paraphrases.values() for sentence in variant)

    def goal(self, rng: np.random.Generator) -> Goal:
        """Draw a variant and a sentence for it."""
        variants = list(self.paraphrases)
        items = variants[int(rng.integers(len(variants)))]
        sentences = self.paraphrases[items]
        return Goal(self.name, sentences[int(rng.integers(len(sentences)))], items)


_WOOD = (
    "chop a tree",
    "cut down a tree",
    "get some wood",
    "collect wood",
    "fell a tree",
    "go and chop wood",
    "find a tree and chop it",
    "I need wood, please get some",
    "break a log off a tree",
    "harvest a log",
)
_COW = (
    "hunt the cow",
    "hunt a cow",
    "get some beef",
    "find a cow and attack it",
    "kill the cow",
    "catch a cow for beef",
    "go after the black and white cow",
    "I want beef, hunt a cow",
    "attack the cow",
    "bring me beef",
)
_PIG = (
    "hunt the pig",
    "hunt a pig",
    "get some pork",
    "find a pig and attack it",
    "kill the pig",
    "catch a pig for pork",
    "go after the pink pig",
    "I want pork, hunt a pig",
    "attack the pig",
    "bring me pork",
)
_GOLD = (
    "go to the gold pillar",
    "walk to the golden pillar",
    "find the gold pillar",
    "stand next to the gold pillar",
    "go to the yellow tower",
    "head for the golden tower",
    "reach the gold column",
    "where is the gold? go there",
    "move to the shining yellow pillar",
    "visit the gold pillar",
)
_DIG = (
    "dig down",
    "dig a hole",
    "dig straight down",
    "dig a deep hole and go down",
    "make a hole in the ground",
    "mine downwards",
    "dig under your feet",
    "dig into the earth",
    "dig four blocks down",
    "go underground",
)
_CLIMB = (
    "climb to the highest point",
    "go to the top of the mountain",
    "climb the mountain",
    "climb the snowy mountain",
    "walk up to the summit",
    "reach the highest place",
    "get to the snowy peak",
    "go up as high as you can",
    "stand on the top of the hill",
    "climb up to the snow",
)
_DO = {"wood": "chop a tree", "beef": "hunt a cow", "pork": "hunt a pig"}


def _in_order(first: str, second: str) -> tuple[str, ...]:
    return (
        f"get {first}, then {second}",
        f"first {first}, then {second}",
        f"{_DO[first]}, then {_DO[second]}",
        f"first {_DO[first]}, then {_DO[second]}",
        f"collect {first} and after that {second}",
        f"{_DO[first]} and then {_DO[second]}",
        f"bring me {first} first and {second} second",
    )


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("chop_tree", {("wood",): _WOOD}, 400),
        Task("hunt_cow", {("beef",): _COW}, 500),
        Task("hunt_pig", {("pork",): _PIG}, 500),
        Task("go_to_gold", {(): _GOLD}, 500),
        Task(
            "collect_in_order",
            {pair: _in_order(*pair) for pair in permutations(ITEMS, 2)},
            900,
        ),
        Task("dig_down", {(): _DIG}, 300),
        Task("climb_highest", {(): _CLIMB}, 500),
    )
}
"""All tasks by name; the first four ask for a single kind of thing."""

SINGLE_OBJECT = ("chop_tree", "hunt_cow", "hunt_pig", "go_to_gold")


@dataclass(frozen=True)
class Verdict:
    """Judgement of the state: progress in [0, 1], and whether the goal is reached or can no longer be reached."""

    progress: float
    success: bool = False
    failure: bool = False


def judge(goal: Goal, world: World, player: Player, start_y: float, start_away: float) -> Verdict:
    """Judge the state; `start_away` is the level distance to the gold pillar at the episode's start."""
    if goal.items:
        return _judge_items(goal.items, player)
    if goal.task == "go_to_gold":
        away = gold_away(world, player)
        span = max(start_away - NEAR_PILLAR, 1e-6)
        return Verdict(_unit(1 - (away - NEAR_PILLAR) / span), success=away <= NEAR_PILLAR)
    if goal.task == "dig_down":
        deep = (start_y - player.y) / DIG_DEPTH
        dug = player.y < world.ceiling[int(player.x), int(player.z)] or _in_a_hole(world, player)
        return Verdict(_unit(deep), success=deep >= 1 and dug and player.on_ground)
    if goal.task == "climb_highest":
        rise = max(world.peak - start_y, 1.0)  # one block below the very top counts as the top
        up = (player.y - start_y) / rise
        return Verdict(_unit(up), success=player.on_ground and player.y >= world.peak)
    return Verdict(0.0)


def gold_away(world: World, player: Player) -> float:
    """Level distance in blocks from the player to the middle of the gold pillar."""
    x, z = world.landmarks[b.GOLD]
    return math.hypot(player.x - x, player.z - z)


def _judge_items(items: tuple[str, ...], player: Player) -> Verdict:
    """Wanted items must come in their order; a later one before its turn fails the goal."""
    wanted = [item for item in player.collected if item in items]
    firsts = list(dict.fromkeys(wanted))
    if tuple(firsts) != items[: len(firsts)]:
        return Verdict(0.0, failure=True)
    return Verdict(len(firsts) / len(items), success=len(firsts) == len(items))


def _in_a_hole(world: World, player: Player) -> bool:
    """Whether solid ground rises above the player's head level on all four sides."""
    x, y, z = int(player.x), int(player.y + 1.2), int(player.z)
    return all(world.solid(x + dx, y, z + dz) for dx, dz in ((1, 0), (-1, 0), (0, 1), (0, -1)))


def _unit(value: float) -> float:
    return max(0.0, min(1.0, value))
