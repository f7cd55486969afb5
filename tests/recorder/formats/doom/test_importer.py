"""Import of demos: with a stand-in for dsda-doom, and Freedoom's own with the real one."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from games import FrameSize
from games.doom import DEGREES_PER_TURN, SPEC
from games.minecraft import SPEC as MINECRAFT
from recorder import CaptureError, detect_format, import_doom, open_episodes, validate
from recorder.formats.doom import importer
from recorder.formats.doom.demo import parse_demo
from recorder.formats.doom.wad import read_wad
from tests.recorder.formats.doom.made_demos import HEADER, TICS, numbered_demo, stand_in, wad

SMALL = SPEC.model_copy(update={"frame": FrameSize(height=24, width=32)})
FREEDOOM = Path("/usr/share/games/doom/freedoom2.wad")


@pytest.fixture
def game(tmp_path: Path) -> Path:
    folder = tmp_path / "game"
    folder.mkdir()
    return wad(folder / "g.wad", {"MAP01": b"", "DEMO1": numbered_demo()})


def imported(path: Path, monkeypatch: pytest.MonkeyPatch, program: Path, **options: Any) -> Any:
    monkeypatch.setattr(importer, "find_renderer", lambda: str(program))
    return import_doom(path, path.parent / "out", SMALL, disk_needed=0, **options)


def test_a_step_is_the_picture_before_its_tic(
    game: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = stand_in(tmp_path / "doom", TICS)
    report = imported(game, monkeypatch, program)
    assert (report.added, report.skipped, report.clipped) == (1, (), 0)
    (episode,) = open_episodes(game.parent / "out")
    assert len(episode) == TICS - 1
    shades = [round(float(frame.mean()) / 20) for frame in episode.frames()]
    assert shades == list(range(TICS - 1))
    turns = [round(action["camera"][1] / DEGREES_PER_TURN) for action in episode.actions]
    assert turns == [1 + i for i in range(TICS - 1)]
    assert episode.header.task == "map15"
    assert imported(game, monkeypatch, program).held == 1


@pytest.mark.parametrize(("pictures", "spare"), [(TICS - 1, 0), (TICS + 1, 0), (TICS, 5), (0, 0)])
def test_a_picture_too_few_or_too_many_is_refused(
    pictures: int, spare: int, game: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = stand_in(tmp_path / "doom", pictures, "I_Error: no [red]such lump", spare)
    (skipped,) = imported(game, monkeypatch, program).skipped
    assert skipped.why == (
        f"dsda-doom drew {pictures} pictures of {TICS} tics (I_Error: no [red]such lump)"
    )
    assert not list((game.parent / "out").glob("*"))


def test_damaged_demos_are_skipped_and_the_rest_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "game"
    folder.mkdir()
    wad(folder / "g.wad", {"DEMO1": HEADER, "DEMO2": numbered_demo()})
    (folder / "a.lmp").write_bytes(numbered_demo()[:-1])
    assert detect_format(folder) == "doom"
    report = imported(folder, monkeypatch, stand_in(tmp_path / "doom", TICS))
    assert report.added == 1
    assert [each.source for each in report.skipped] == ["g.wad DEMO1", "a.lmp"]


def test_a_lump_file_is_drawn_with_the_wad_beside_it(
    game: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lump = game.with_name("b.lmp")
    lump.write_bytes(numbered_demo())
    program = stand_in(tmp_path / "doom", TICS)
    assert imported(lump, monkeypatch, program).added == 1
    game.unlink()
    with pytest.raises(CaptureError, match="need one WAD beside them, there are 0"):
        imported(lump, monkeypatch, program)


def test_without_dsda_doom_the_way_out_is_named(
    game: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(CaptureError, match=r"not installed \(apt install dsda-doom\)"):
        import_doom(game, game.parent / "out", disk_needed=0)


def test_another_game_is_refused(game: Path) -> None:
    with pytest.raises(CaptureError, match="minecraft-v0 lacks controls for"):
        import_doom(game, game.parent / "out", MINECRAFT)


def installed() -> bool:
    return FREEDOOM.is_file() and bool(shutil.which("dsda-doom", path=os.defpath + ":/usr/games"))


@pytest.mark.slow
@pytest.mark.skipif(not installed(), reason="needs Debian's freedoom and dsda-doom")
def test_a_demo_of_freedoom_turns_the_view_as_its_actions_say(tmp_path: Path) -> None:
    demo = read_wad(FREEDOOM).demos["DEMO1"]
    (tmp_path / "DEMO1.lmp").write_bytes(demo)
    (tmp_path / "g.wad").symlink_to(FREEDOOM)
    assert import_doom(tmp_path / "DEMO1.lmp", tmp_path / "out", disk_needed=0).added == 1
    (episode,) = open_episodes(tmp_path / "out")
    assert len(episode) == len(parse_demo(demo).tics) - 1 == 1414
    assert not validate(episode)
    edges = episode.frames()[:, -2:]  # where dsda-doom may show in white how far the demo is
    assert edges[1000:].mean() < 2 * edges[0].mean()
    rows = episode.frames()[:, 50:100:2, :, 1].astype(np.int16)
    shifts = [_shift(before, after) for before, after in pairwise(rows)]
    turns = np.array([action["camera"][1] for action in episode.actions])
    lags = range(-2, 3)
    columns = np.stack([turns[10 + lag : 1400 + lag] for lag in lags], axis=1)
    weights = np.linalg.lstsq(columns, np.array(shifts[10:1400], float), rcond=None)[0]
    assert int(np.argmax(np.abs(weights))) == list(lags).index(0)
    assert abs(weights[2]) > 3 * np.abs(np.delete(weights, 2)).max()


def _shift(before: Any, after: Any) -> int:
    """By how many pixels a picture moved sideways."""
    middle = after[:, 45:275]
    return min(range(-45, 46), key=lambda s: np.abs(before[:, 45 + s : 275 + s] - middle).mean())
