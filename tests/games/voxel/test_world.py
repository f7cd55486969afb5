"""World generation: columns that can be walked, from one seed."""

import numpy as np

from games.voxel.world import generate


def test_neighbouring_columns_differ_by_one_step_at_most() -> None:
    for seed in range(5):
        world = generate(np.random.default_rng(seed))
        ground = np.array([[world.ground(x, z) for z in range(1, 55)] for x in range(1, 55)])
        pillars = np.zeros_like(ground, bool)
        for x, z in world.landmarks.values():
            pillars[int(x) - 3 : int(x) + 2, int(z) - 3 : int(z) + 2] = True
        for axis in (0, 1):
            step = np.abs(np.diff(ground, axis=axis))
            open_ground = ~(np.diff(pillars, axis=axis) | np.delete(pillars, 0, axis))
            assert step[open_ground].max() <= 1
