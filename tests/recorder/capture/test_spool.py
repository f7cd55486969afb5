"""Spool: the newest steps are read back from the ring, damage is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder import CaptureError
from recorder.capture.spool import SPOOL, SPOOL_BYTES, VALUES_ROOM, Spool

SHAPE = (4, 6, 3)


def values(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "action": {"jump": number}, "executed": None, "by": None, "reward": 0.0, "t_ns": number, "wall_ns": number,
        "observed": True, "dropped": 0, "agent_action": None, **changes,
    }  # fmt: skip


def test_the_newest_steps_come_back_in_another_process(tmp_path: Path) -> None:
    game = Spool.create(tmp_path, SHAPE, 3)
    for number in range(8):
        game.put(np.full(SHAPE, number, np.uint8), values(number))
    reader = Spool.open(tmp_path, SHAPE)
    assert (reader.counted, reader.slots) == (8, 3)
    for number in (5, 6, 7):
        frame, step = reader.read(number)
        assert (int(frame.mean()), step) == (number, values(number))
    game.put(np.zeros(SHAPE, np.uint8), values(8))
    assert reader.update() == 9
    game.close()
    reader.close()


def test_large_frames_get_fewer_slots(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, (2160, 3840, 3), 64)
    assert spool.slots == SPOOL_BYTES // (2160 * 3840 * 3) == 2
    spool.close()


def test_what_is_too_long_or_damaged_is_named(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, SHAPE, 3)
    with pytest.raises(CaptureError, match="bytes"):
        spool.put(np.zeros(SHAPE, np.uint8), values(0, by="x" * VALUES_ROOM))
    assert spool.update() == 0
    spool.put(np.zeros(SHAPE, np.uint8), {"action": {}})
    for number in (0, 1):  # keys are missing; nothing was put
        with pytest.raises(CaptureError, match=f"step {number} is damaged"):
            spool.read(number)
    spool.close()
    (tmp_path / SPOOL).write_bytes(b"abc")
    with pytest.raises(CaptureError, match="is damaged"):
        Spool.open(tmp_path, SHAPE)
    (tmp_path / SPOOL).write_bytes(bytes(16))
    with pytest.raises(CaptureError, match="0 slots"):
        Spool.open(tmp_path, SHAPE)
