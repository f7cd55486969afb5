"""Voxel environment: the contract of `games.Env`."""

import numpy as np

from games.check import check_env
from games.voxel import SPEC, VoxelEnv


def test_it_keeps_the_contract() -> None:
    assert check_env(VoxelEnv()) == []


def test_a_finer_picture_for_people_changes_nothing_that_an_agent_gets() -> None:
    plain, fine = VoxelEnv(), VoxelEnv()
    fine.picture_detail = 3
    assert np.array_equal(plain.reset(seed=5)[0]["frame"], fine.reset(seed=5)[0]["frame"])
    for action in ({"forward": 1, "camera": (4.0, -9.0)}, {"attack": 1, "jump": 1}):
        one, *_ = plain.step(SPEC.normalize(action))
        other, *_ = fine.step(SPEC.normalize(action))
        assert np.array_equal(one["frame"], other["frame"])
        assert np.array_equal(plain.view().kind, fine.view().kind)
        assert np.array_equal(plain.view().distance, fine.view().distance)
    assert fine.native_frame.shape == (3 * SPEC.frame.height, 3 * SPEC.frame.width, 3)
    assert np.array_equal(plain.native_frame, one["frame"])
