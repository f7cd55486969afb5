"""Brawl, the second embedded game: a third-person arena of four against four, drawn by pygame."""

from games.brawl.env import FREE, BrawlEnv
from games.brawl.expert import scripted_expert
from games.brawl.goals import other_judge
from games.brawl.spec import SPEC
from games.brawl.tasks import ROLES, TASKS, Goal, Task
from games.brawl.team import TEAMS
from games.game import Game

GAME = Game(
    spec=SPEC,
    make=BrawlEnv,
    tasks=tuple(TASKS),
    make_expert=scripted_expert,
    exclusive_instructions={name: TASKS[name].sentences for name in ROLES},
    other_judge=other_judge,
    free_task=FREE,
    teams=TEAMS,
)

__all__ = ["FREE", "GAME", "ROLES", "SPEC", "TASKS", "BrawlEnv", "Goal", "Task"]
