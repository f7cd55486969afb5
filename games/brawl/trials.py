"""Trials: players that are told one role, judged by all of them.

`python -m games.brawl.trials --episodes 40` prints for each of them the share of episodes in which the expert that was
told another one (the rows), or a random player, reaches it. What is told ends an episode, as it does in play.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import numpy as np

from games.brawl.env import BrawlEnv
from games.brawl.expert import Expert
from games.brawl.spec import SPEC
from games.brawl.tasks import ORDERS, ROLES, TASKS, Goal, Judge
from games.controls import Button
from games.spec import Action

FIRST_SEED = 50_000
RANDOM = "random"
_HELD = 5
"""Steps for which the random player does the same."""

Player = Callable[[], Action]


def play_trial(told: str, seed: int) -> dict[str, bool]:
    """Whether the player of this seed reaches each role; `told` is one of the tasks, or "random"."""
    env = BrawlEnv()
    env.reset(seed=seed, options={"task": told if told in ROLES else ROLES[0]})
    judges = {role: Judge(_goal(role, seed), env.match, env.seat) for role in ROLES}
    if told in ROLES:
        judges[told] = env.judge
    player = _random_player(seed) if told == RANDOM else _expert(env, told)
    for step in range(max(TASKS[role].limit for role in ROLES)):
        env.step(player())
        for role, judge in judges.items():
            if judge is not env.judge and step < TASKS[role].limit:
                judge.update()
        if told in judges and judges[told].verdict.success:
            break
    return {role: judge.verdict.success for role, judge in judges.items()}


def play_trials(told: str, episodes: int, first_seed: int = FIRST_SEED) -> dict[str, float]:
    """The share of episodes in which a player reaches each role."""
    trials = [play_trial(told, seed) for seed in range(first_seed, first_seed + episodes)]
    return {role: round(sum(t[role] for t in trials) / episodes, 3) for role in ROLES}


def _goal(role: str, seed: int) -> Goal:
    """The goal of a role; of several points one by the seed."""
    orders = list(TASKS[role].paraphrases)
    order = orders[seed % len(orders)]
    return Goal(role, TASKS[role].paraphrases[order][0], order)


def _expert(env: BrawlEnv, told: str) -> Player:
    order_words = env.goal.instruction if told in ROLES else TASKS[told].sentences[0]
    expert = Expert(Goal(told, order_words, ORDERS[order_words]), env.match.seed)
    return lambda: expert.act(env.frame)[0]


def _random_player(seed: int) -> Player:
    """Buttons that are down a tenth of the time, and sticks anywhere."""
    rng = np.random.default_rng(seed)
    held: list[Action] = []

    def act() -> Action:
        if not held:
            action: Action = {
                c.name: int(rng.random() < 0.1)
                if isinstance(c, Button)
                else (float(rng.uniform(0, 360)), float(rng.random()))
                for c in SPEC.controls
            }
            held.extend([action] * _HELD)
        return held.pop()

    return act


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = argparse.ArgumentParser(description="roles that are told, judged by all of them")
    arguments.add_argument("--episodes", type=int, default=40, help="of each player")
    arguments.add_argument("--first-seed", type=int, default=FIRST_SEED)
    arguments.add_argument("--told", nargs="+", default=[*ROLES, "win_match", RANDOM])
    return arguments


def main() -> None:
    """Print the shares as JSON: by what was told, then by what was judged."""
    options = parser().parse_args()
    results = {t: play_trials(t, options.episodes, options.first_seed) for t in options.told}
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
