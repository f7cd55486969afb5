"""Renderer: rays hit what is there, also after blocks were placed and removed."""

import numpy as np
import pytest

from games.voxel import blocks as b
from games.voxel.render import Pose, rays, render
from games.voxel.world import generate


def test_leaping_rays_hit_what_small_steps_hit() -> None:
    rng = np.random.default_rng(0)
    world = generate(rng)
    x, z = 20.5, 30.5
    pose = Pose(x, world.ground(x, z) + 4.2, z, 40.0, 12.0)
    view = render(world, [], pose, 18, 32, 0, 1.0)
    directions = rays(pose, 18, 32)
    for pixel in rng.choice(18 * 32, 60, replace=False):
        d = directions[:, pixel].astype(float)
        t = np.arange(0.0, 44.0, 0.005)
        cells = np.floor(np.array([pose.x, pose.y, pose.z])[:, None] + d[:, None] * t).astype(int)
        inside = ((cells >= 0) & (cells < np.array(world.blocks.shape)[:, None])).all(0)
        kinds = world.blocks[tuple(cells[:, inside])]
        first = np.flatnonzero(kinds != b.AIR)
        if len(first) and kinds[first[0]] != b.OUTSIDE:
            assert abs(t[first[0]] - view.distance.reshape(-1)[pixel]) < 0.05


def test_placing_and_removing_blocks_keeps_rays_right() -> None:
    world = generate(np.random.default_rng(1))
    x, z = 20, 30
    y = world.ground(x, z) + 3
    world.place(x, y, z + 5, b.DIRT)
    pose = Pose(x + 0.5, y + 0.5, z + 0.5, 0.0, 0.0)
    view = render(world, [], pose, 9, 9, 0, 1.0)
    assert view.kind[4, 4] == b.DIRT
    assert view.distance[4, 4] == pytest.approx(4.5, abs=0.05)
    world.remove(x, y, z + 5)
    assert render(world, [], pose, 9, 9, 0, 1.0).kind[4, 4] != b.DIRT
