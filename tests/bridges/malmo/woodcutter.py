"""Woodcutter: the actions by which the scripted expert chops logs in the world of a seed."""

from games.spec import Action
from games.voxel import FREE, VoxelEnv
from games.voxel.expert import scripted_expert
from games.voxel.tasks import Goal


def chop(seed: int, logs: int) -> list[tuple[Action, int]]:
    """Complete actions, each with the logs that it brings; they end with the last of `logs`."""
    env = VoxelEnv()
    env.reset(seed=seed, options={"task": FREE})
    env.set_goal(Goal("chop_tree", "chop a tree", ("wood",)))
    act = scripted_expert(env)
    steps: list[tuple[Action, int]] = []
    while logs:
        action, _ = act()
        env.step(action)
        wood = env.player.collected.count("wood")
        steps.append((action, wood))
        logs -= wood
        env.player.collected.clear()  # the expert goes on to the next one
        assert len(steps) < 3000
    return steps


def lines(action: Action) -> list[str]:
    """An action as the commands of a step."""
    pitch, yaw = action["camera"]
    keys = [f"{name} {value}" for name, value in action.items() if name != "camera"]
    return [*keys, f"camera {pitch} {yaw}"]
