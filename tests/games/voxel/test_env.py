"""Voxel environment: the contract of `games.Env`."""

from games.check import check_env
from games.voxel import VoxelEnv


def test_it_keeps_the_contract() -> None:
    assert check_env(VoxelEnv()) == []
