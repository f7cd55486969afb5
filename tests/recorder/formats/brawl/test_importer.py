"""Import of replay files: the same play in the same pictures, damaged files, and which folders hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from games.brawl import SPEC, BrawlEnv
from games.brawl.replay import ReplayError, read_replay, write_replay
from games.minecraft import SPEC as MINECRAFT
from games.spec import Action
from recorder import CaptureError, ImportReport, detect_format, open_episodes, validate
from recorder.formats.brawl.importer import import_brawl

STEPS = 10


def played(path: Path, seed: int = 3, task: str = "win_match") -> list[Action]:
    """Write the replay of a short episode; returns what was played in it."""
    env = BrawlEnv()
    env.reset(seed=seed, options={"task": task})
    path.parent.mkdir(exist_ok=True)
    actions: list[Action] = [
        {"left_stick": (45.0 * i, 1.0), "right_stick": (90.0, 0.5), "Jump": i % 2}
        for i in range(STEPS)
    ]
    for action in actions:
        env.step(action)
    write_replay(env.replay("expert"), path)
    return [SPEC.normalize(action) for action in actions]


def imported(path: Path, *, strict: bool = False) -> ImportReport:
    return import_brawl(path, path.parent / "out", strict=strict, disk_needed=0)


def test_every_step_is_the_one_that_was_played(tmp_path: Path) -> None:
    actions = played(tmp_path / "npz" / "m.npz", task="stay_with_healer")
    replay = read_replay(tmp_path / "npz" / "m.npz")
    assert replay.header.first > 0
    report = imported(tmp_path / "npz")
    assert (report.added, report.skipped, report.dropped) == (1, (), 0)
    (episode,) = open_episodes(tmp_path / "out")
    assert not validate(episode)
    assert episode.spec == SPEC
    assert [SPEC.normalize(action) for action in episode.actions] == actions
    drawn = np.array(list(replay.frames()), np.int16)
    assert (len(drawn), len(episode)) == (STEPS + 1, STEPS)
    for i, frame in enumerate(episode.frames()):
        difference = np.abs(drawn - frame).mean((1, 2, 3))
        assert int(difference.argmin()) == i
        assert difference[i] < 12  # of 255; x264 at the quality of every capture
    header = episode.header
    assert header.instruction == replay.header.instruction != ""
    assert (header.task, header.seed) == ("stay_with_healer", replay.header.seed)
    assert (header.actor, header.author, header.success) == ("expert", "m", None)
    assert imported(tmp_path / "npz").held == 1


def test_damaged_files_are_skipped_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "npz"
    for name in "abc":
        played(folder / f"{name}.npz", seed=ord(name))
    (folder / "a.npz").write_bytes((folder / "a.npz").read_bytes()[:-200])
    content = bytearray((folder / "b.npz").read_bytes())
    place = content.index(b"commands.npy") + 60
    content[place : place + 20] = bytes(20)
    (folder / "b.npz").write_bytes(content)
    np.savez(folder / "d.npz", header=np.array('{"seed": 1}'), commands=np.zeros((1, 8, 5)))
    assert detect_format(folder) == "brawl"
    report = imported(folder)
    assert report.added == 1
    assert [each.source for each in report.skipped] == ["a.npz", "b.npz", "d.npz"]
    assert all(each.why.startswith("no replay of brawl: ") for each in report.skipped)
    with pytest.raises(CaptureError, match=r"a\.npz: no replay of brawl"):
        imported(folder, strict=True)


def test_a_replay_without_a_step_is_skipped(tmp_path: Path) -> None:
    env = BrawlEnv()
    env.reset(seed=1, options={"task": "win_match"})
    write_replay(env.replay(), tmp_path / "m.npz")
    (skipped,) = imported(tmp_path / "m.npz").skipped
    assert skipped.why == "no step of it can be read"


def test_a_folder_is_known_by_the_arrays_in_its_files(tmp_path: Path) -> None:
    played(tmp_path / "npz" / "m.npz")
    assert detect_format(tmp_path / "npz") == detect_format(tmp_path / "npz" / "m.npz") == "brawl"
    edge = tmp_path / "edge"
    edge.mkdir()
    np.savez(edge / "m.npz", images=np.zeros((1, 180, 300, 3), np.uint8), actions=np.zeros((1, 16)))
    assert detect_format(edge) == "bleeding-edge"
    (edge / "m.npz").write_bytes(b"PK")
    assert detect_format(edge) == "bleeding-edge"
    with pytest.raises(ReplayError):
        read_replay(edge / "m.npz")


def test_other_games_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"no \.npz file"):
        imported(tmp_path)
    played(tmp_path / "m.npz")
    with pytest.raises(CaptureError, match="replays of brawl-v0, not of minecraft-v0"):
        import_brawl(tmp_path, tmp_path / "out", MINECRAFT, disk_needed=0)


def test_a_match_that_ends_otherwise_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(tmp_path / "m.npz")
    monkeypatch.setattr("games.brawl.movement._GRIP", 0.3)
    report = imported(tmp_path)
    assert report.added == 0
    assert [skipped.source for skipped in report.skipped] == ["m.npz"]
    assert "other rules" in report.skipped[0].why
    assert not list((tmp_path / "out").glob("*"))
