"""Voxel, the embedded game: a first-person block world in numpy alone."""

from games.game import Game
from games.voxel.env import FREE, VoxelEnv
from games.voxel.expert import scripted_expert
from games.voxel.spec import SPEC
from games.voxel.tasks import SINGLE_OBJECT, TASKS, Goal, Task

GAME = Game(
    spec=SPEC,
    make=VoxelEnv,
    tasks=tuple(TASKS),
    make_expert=scripted_expert,
    exclusive_instructions={name: TASKS[name].sentences for name in SINGLE_OBJECT},
    free_task=FREE,
)

__all__ = ["FREE", "GAME", "SINGLE_OBJECT", "SPEC", "TASKS", "Goal", "Task", "VoxelEnv"]
