"""Replay files: the same pictures again, and files that are none."""

from pathlib import Path

import numpy as np
import pytest

from games.brawl import BrawlEnv
from games.brawl.command import Command
from games.brawl.replay import MAX_STEPS, ReplayError, read_replay, replay_of, write_replay


def test_a_replay_is_drawn_again_exactly(tmp_path: Path) -> None:
    env = BrawlEnv()
    observation, _ = env.reset(seed=2, options={"task": "stay_with_healer"})
    frames = [observation["frame"]]
    for step in range(12):
        action = {"left_stick": (30.0 * step, 1.0), "MeleeAttack": step % 2}
        frames.append(env.step(action)[0]["frame"])
    path = tmp_path / "match.npz"
    write_replay(env.replay(), path)
    replay = read_replay(path)
    assert replay.header == env.replay().header
    again = list(replay.frames())
    assert len(again) == len(frames)
    assert all(np.array_equal(one, other) for one, other in zip(frames, again, strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["match.npz"]


def test_odd_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "match.npz"
    write_replay(replay_of(1, [[Command()] * 8] * 3), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReplayError, match=r"match\.npz"):
        read_replay(path)
    with pytest.raises(ReplayError, match="no replay"):
        read_replay(tmp_path / "none.npz")
    header = np.array(replay_of(1, []).header.model_dump_json())
    for commands, message in (
        (np.zeros((3, 8, 4), np.uint16), "not \\(steps, 8, 5\\)"),
        (np.zeros((3, 8, 5), np.int64), "int64"),
        (np.full((3, 8, 5), 7, np.uint16), "controls do not have"),
        (np.zeros((MAX_STEPS + 1, 8, 5), np.uint16), "uint16"),
        (np.array([[{}]], object), "object|pickle|O"),
    ):
        np.savez(path, header=header, commands=commands)
        with pytest.raises(ReplayError, match=message):
            read_replay(path)
    for text in ("[]", '{"format": "brawl-replay", "seed": -1}', "{", '{"seed": 1, "version": 2}'):
        np.savez(path, header=np.array(text), commands=np.zeros((3, 8, 5), np.uint16))
        with pytest.raises(ReplayError):
            read_replay(path)


def test_a_replay_has_a_longest_length() -> None:
    with pytest.raises(ReplayError, match="at most"):
        replay_of(1, [[Command()] * 8] * (MAX_STEPS + 1))
