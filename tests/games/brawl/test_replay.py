"""Replay files: the same pictures again, and files that are none."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from games.brawl import BrawlEnv
from games.brawl.command import MAGNITUDES, Command
from games.brawl.match import Match
from games.brawl.replay import (
    MAX_STEPS,
    Replay,
    ReplayError,
    read_replay,
    replay_of,
    write_replay,
)


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
    assert replay.header.instruction == observation["instruction"] != ""
    assert replay.header.task == "stay_with_healer"
    again = list(replay.frames())
    assert len(again) == len(frames)
    assert all(np.array_equal(one, other) for one, other in zip(frames, again, strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["match.npz"]


def played(steps: int) -> Replay:
    """A match in which everybody walks ahead."""
    match, commands = Match(1), [[Command(left_level=MAGNITUDES)] * 8] * steps
    for row in commands:
        match.step(row)
    return replay_of(match, commands)


def test_a_match_of_other_rules_is_not_shown_as_if_it_were_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replay = played(3)
    assert len(list(replay.frames())) == 4
    monkeypatch.setattr("games.brawl.movement._GRIP", 0.3)
    with pytest.raises(ReplayError, match="other rules"):
        list(replay.frames())


def test_odd_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "match.npz"
    write_replay(played(3), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReplayError, match="no replay of brawl"):
        read_replay(path)
    with pytest.raises(ReplayError, match="no replay"):
        read_replay(tmp_path / "none.npz")
    header = np.array(played(0).header.model_dump_json())
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
    for text in ("[]", '{"format": "brawl-replay", "seed": -1}', "{", "[" * 4000):
        np.savez(path, header=np.array(text), commands=np.zeros((3, 8, 5), np.uint16))
        with pytest.raises(ReplayError):
            read_replay(path)
    for text in ('{"seed": 1}', '{"seed": 1, "version": 1, "game": "brawl-v0"}'):
        np.savez(path, header=np.array(text), commands=np.zeros((3, 8, 5), np.uint16))
        with pytest.raises(ReplayError, match=r"version (None|1); this is brawl-v0, version 2"):
            read_replay(path)


def test_a_damaged_byte_anywhere_is_an_error_of_one_kind(tmp_path: Path) -> None:
    path = tmp_path / "match.npz"
    write_replay(played(3), path)
    whole, errors = path.read_bytes(), list[str]()
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            read_replay(path)
        except ReplayError as error:
            errors.append(str(error))
    assert len(errors) > len(whole) / 6
    assert not [error for error in errors if "\n" in error]


def test_a_side_below_0_reads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "match.npz"
    write_replay(played(0), path)
    with zipfile.ZipFile(path) as file:
        header = file.read("header.npy")
    rows = io.BytesIO()
    np.lib.format.write_array(rows, np.zeros((10, 8, 5), np.uint16))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("header.npy", header)
        file.writestr("commands.npy", rows.getvalue().replace(b"(10, 8, 5)", b"(-1, 8, 5)"))
    with pytest.raises(ReplayError, match=r"\(-1, 8, 5\)"):
        read_replay(path)


def test_a_replay_has_a_longest_length() -> None:
    with pytest.raises(ReplayError, match="at most"):
        replay_of(Match(1), [[Command()] * 8] * (MAX_STEPS + 1))
    with pytest.raises(ReplayError, match="500"):
        replay_of(Match(1), [], instruction="x" * 501)
