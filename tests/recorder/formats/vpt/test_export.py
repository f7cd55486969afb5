"""VPT export: what was exported and imported again has the same ticks, pictures, actions and tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from games import Button, Frame, FrameSize, GameSpec
from games.controls import Choice
from games.minecraft import SPEC
from games.voxel.spec import SPEC as VOXEL
from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    DiskFullError,
    Episode,
    ExportReport,
    export_lerobot,
    export_vpt,
    import_vpt,
    open_episodes,
    validate,
)
from recorder.formats.vpt import export as export_module
from recorder.formats.vpt.folder import recordings

BITS, SIDE = 8, 16
SMALL = SPEC.model_copy(update={"frame": FrameSize(height=SIDE, width=SIDE * BITS)})
INFO = CaptureInfo(
    instruction="find a cave", task="cave", seed=7, actor="expert", author="script", success=True
)
Steps = Sequence[tuple[int, Mapping[str, Any]]]
"""Steps that are missing before this one, and its action."""


def picture(number: int) -> Frame:
    bits = np.array([255 * (number >> bit & 1) for bit in range(BITS)], np.uint8)
    return np.ascontiguousarray(np.broadcast_to(bits.repeat(SIDE)[None, :, None], (SIDE, SIDE * BITS, 3)))  # fmt: skip


def number_of(frame: Frame) -> int:
    blocks = frame.reshape(SIDE, BITS, SIDE, 3).mean((0, 2, 3))
    return sum(1 << bit for bit in range(BITS) if blocks[bit] > 128)


def record(
    root: Path, steps: Steps, info: CaptureInfo = INFO, spec: GameSpec = SMALL, **state: Any
) -> Episode:
    """A capture whose picture k shows k; `state` is reported before the first step."""
    with CaptureWriter.create(root, spec, info, disk_needed=0) as capture:
        if state:
            capture.event("state", score=None, state=state)
        for k, (missing, action) in enumerate(steps):
            capture.count_dropped(missing)
            capture.step(picture(k), action)
    return Episode.open(capture.folder)


def export(root: Path, out: Path, **options: Any) -> ExportReport:
    return export_vpt(open_episodes(root), out, **options)


def again(tmp_path: Path, steps: Steps, **options: Any) -> tuple[Episode, Episode]:
    """An episode, and what an export and an import make of it."""
    episode = record(tmp_path / "a", steps, **options)
    export(tmp_path / "a", tmp_path / "vpt", strict=True)
    import_vpt(tmp_path / "vpt", tmp_path / "b", SMALL, disk_needed=0)
    (imported,) = open_episodes(tmp_path / "b")
    return episode, imported


def rows_of(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.rglob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def ticks(episode: Episode) -> list[int]:
    gaps = [1 + (episode.dropped_before.get(i, 0) if i else 0) for i in range(len(episode))]
    return [int(tick) for tick in np.cumsum(gaps) - 1]


BUTTONS = [c.name for c in SPEC.controls if isinstance(c, Button)]
DEGREES = st.sampled_from([float(degree) for degree in range(-49, 51)])
ACTIONS = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(BUTTONS, st.just(1)), "camera": st.tuples(DEGREES, DEGREES)}
)
STEPS = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 0, 1, 3, 40]), ACTIONS), min_size=2, max_size=16
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(STEPS)
def test_whatever_was_done_comes_back(
    tmp_path_factory: pytest.TempPathFactory, steps: Steps
) -> None:
    episode, imported = again(tmp_path_factory.mktemp("export"), steps)
    assert imported.actions == episode.actions
    tokens = [[e.spec.encode(a) for a in e.actions] for e in (episode, imported)]
    assert tokens[0] == tokens[1]
    assert ticks(imported) == ticks(episode)
    assert [number_of(frame) for frame in imported.frames()] == list(range(len(steps)))
    assert imported.header.model_copy(update={"source": None}) == episode.header
    assert validate(imported) == []


def test_every_button_alone_and_held_from_the_first_tick(tmp_path: Path) -> None:
    steps = [(0, {"attack": 1, "hotbar.3": 1}), *((0, {name: 1}) for name in BUTTONS)]
    episode, imported = again(tmp_path, steps)
    assert imported.actions == episode.actions


def test_every_degree_one_after_the_other(tmp_path: Path) -> None:
    steps = [(0, {"camera": (float(d), float(-d))}) for d in range(-49, 50)]
    episode, imported = again(tmp_path, steps)
    assert imported.actions == episode.actions


def test_the_files_are_what_vpts_own_loader_reads(tmp_path: Path) -> None:
    steps: Steps = [
        (0, {"forward": 1}),
        (0, {"forward": 1, "attack": 1, "camera": (9.0, -3.0)}),
        (2, {"attack": 1, "hotbar.5": 1}),
    ]
    record(tmp_path / "a", steps)
    export(tmp_path / "a", tmp_path / "vpt")
    first, second, third = rows_of(tmp_path / "vpt")
    assert first["mouse"] == {
        "x": 640.0, "y": 360.0, "dx": 0.0, "dy": 0.0, "scaledX": 0.0, "scaledY": 0.0, "dwheel": 0.0,
        "buttons": [], "newButtons": [],
    }  # fmt: skip
    assert first["keyboard"] == {"keys": ["key.keyboard.w"], "newKeys": [], "chars": ""}
    assert (second["mouse"]["dx"], second["mouse"]["dy"]) == (-20.0, 60.0)
    assert (second["mouse"]["buttons"], second["mouse"]["newButtons"]) == ([0], [0])
    assert second["keyboard"]["newKeys"] == []
    assert (third["keyboard"]["newKeys"], third["mouse"]["newButtons"]) == (["key.keyboard.5"], [])
    assert [row["tick"] for row in (first, second, third)] == [0, 1, 4]
    assert [row["milli"] - first["milli"] for row in (first, second, third)] == [0, 50, 200]
    assert [row["hotbar"] for row in (first, second, third)] == [0, 0, 4]
    assert (first["isGuiOpen"], first["isGuiInventory"]) == (False, False)
    (video,) = (tmp_path / "vpt").glob("*.mp4")
    film = cv2.VideoCapture(str(video))
    assert film.read()[0]
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_frames_are_copied_to_the_bit(tmp_path: Path) -> None:
    episode = record(tmp_path / "a", [(0, {})] * 5)
    export(tmp_path / "a", tmp_path / "vpt")
    (path,) = (tmp_path / "vpt").glob("*.mp4")
    with av.open(str(path)) as video:
        frames = [f.to_ndarray(format="rgb24") for f in video.decode(video=0)]
    assert np.array_equal(np.stack(frames), episode.frames())


def test_menu_slot_and_position_are_what_the_game_reported(tmp_path: Path) -> None:
    known = {"isGuiOpen": True, "hotbar": 5, "pointer": [100.0, 100.0], "xpos": 1.5, "yaw": 90}
    state = {**known, "zpos": "far", "health": 20}
    steps: Steps = [(0, {}), (0, {"camera": (3.0, -30.0)}), (0, {"hotbar.2": 1}), (1, {})]
    episode, imported = again(tmp_path, steps, **state)
    rows = rows_of(tmp_path / "vpt")
    assert [row["isGuiOpen"] for row in rows] == [True] * 4
    pointers = [(row["mouse"]["x"], row["mouse"]["y"]) for row in rows]
    assert pointers == [(100.0, 100.0), *[(0.0, 120.0)] * 3]
    assert rows[1]["mouse"]["scaledX"] == -640.0
    assert [row["hotbar"] for row in rows] == [5, 5, 5, 5]
    assert (rows[0]["xpos"], rows[0]["yaw"]) == (1.5, 90)
    assert "zpos" not in rows[0]
    assert "health" not in rows[0]
    assert imported.actions == episode.actions
    _, plain = again(tmp_path / "plain", steps)
    assert np.array_equal(imported.frames(), plain.frames())  # no pointer is drawn into an export's
    export_vpt(open_episodes(tmp_path / "b"), tmp_path / "second", strict=True)
    for before, after in zip(rows, rows_of(tmp_path / "second"), strict=True):
        assert [before[name] for name in ("isGuiOpen", "hotbar", "keyboard", "tick")] == [
            after[name] for name in ("isGuiOpen", "hotbar", "keyboard", "tick")
        ]


def test_state_of_live_play_by_its_own_names(tmp_path: Path) -> None:
    state: dict[str, Any] = {
        "selected": 3,
        "position": [1.5, 64.0, -2],
        "hotbar": [None] * 9,
        "inventory": {"oak_log": 3},
    }
    record(tmp_path / "a", [(0, {}), (0, {"hotbar.1": 1})], **state)
    export(tmp_path / "a", tmp_path / "vpt")
    first, second = rows_of(tmp_path / "vpt")
    assert (first["hotbar"], second["hotbar"]) == (3, 0)
    assert (first["xpos"], first["ypos"], first["zpos"]) == (1.5, 64.0, -2)
    assert first["inventory"] == [{"type": "oak_log", "quantity": 3}]
    assert "position" not in first


@pytest.mark.parametrize("gaps", [[9, 0, 0, 0] * 6, [0, 0, 40], [0, 300], [0, 1, 1, 1, 700, 0]])
def test_more_gaps_than_pictures(tmp_path: Path, gaps: list[int]) -> None:
    steps = [(missing, {"forward": k % 2}) for k, missing in enumerate(gaps)]
    episode, imported = again(tmp_path, steps)
    assert (ticks(imported), imported.actions) == (ticks(episode), episode.actions)


def test_only_what_is_not_there_is_written(tmp_path: Path) -> None:
    record(tmp_path / "a", [(0, {})] * 2)
    assert export(tmp_path / "a", tmp_path / "vpt").added == 1
    record(tmp_path / "a", [(0, {})] * 3)
    (first,) = (tmp_path / "vpt").glob("*.jsonl")
    first.with_suffix(".mp4.draft").write_bytes(b"what a kill left")
    changed = first.stat().st_mtime_ns
    report = export(tmp_path / "a", tmp_path / "vpt")
    assert (report.added, report.rounded, report.skipped) == (1, 0, ())
    assert first.stat().st_mtime_ns == changed
    assert len(recordings(tmp_path / "vpt")) == 2


def test_basalts_tasks_get_their_folders(tmp_path: Path) -> None:
    record(tmp_path / "a", [(0, {})] * 2, INFO.model_copy(update={"task": "find_cave"}))
    record(tmp_path / "a", [(0, {})] * 3)
    export(tmp_path / "a", tmp_path / "vpt")
    names = [r.name.partition("/")[0] for r in recordings(tmp_path / "vpt")]
    assert sum(name == "MineRLBasaltFindCave-v0" for name in names) == 1


def test_an_exported_dataset_is_exported_too(tmp_path: Path) -> None:
    for k in range(2):
        record(tmp_path / "a", [(0, {"attack": 1}), (0, {"use": k, "camera": (0.0, 49.0)})])
    export_lerobot(open_episodes(tmp_path / "a"), tmp_path / "dataset")
    assert export(tmp_path / "dataset", tmp_path / "vpt", strict=True).added == 2
    import_vpt(tmp_path / "vpt", tmp_path / "b", SMALL, disk_needed=0)
    before = [e.actions for e in open_episodes(tmp_path / "a")]
    assert sorted(map(repr, before)) == sorted(repr(e.actions) for e in open_episodes(tmp_path / "b"))  # fmt: skip


def test_a_game_with_some_of_the_controls(tmp_path: Path) -> None:
    small = VOXEL.model_copy(update={"frame": SMALL.frame})
    cameras = [(-1.5, 18.0), (-1.5, 1.5), (1.5, 4.0)]
    steps = [(0, {"forward": int(k == 0), "camera": turn}) for k, turn in enumerate(cameras)]
    episode, imported = again(tmp_path, steps, spec=small)
    assert imported.spec == SMALL
    assert [a["forward"] for a in imported.actions] == [1, 0, 0]
    # Halves of a degree are carried into the next tick.
    assert [a["camera"] for a in imported.actions] == [(-1.0, 18.0), (-2.0, 1.0), (1.0, 4.0)]
    assert imported.header.instruction == episode.header.instruction


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (SMALL.model_copy(update={"step_hz": 10.0}), "10 steps/s, VPT's recordings 20"),
        (SMALL.model_copy(update={"controls": (*SMALL.controls, Choice(name="mood", options=("a", "b")))}), "'mood'"),
        (SMALL.model_copy(update={"controls": (Button(name="camera"),)}), "'camera'"),
    ],
)  # fmt: skip
def test_other_games_are_skipped_and_named(tmp_path: Path, spec: GameSpec, why: str) -> None:
    episode = record(tmp_path / "a", [(0, {})], spec=spec)
    (skipped,) = export(tmp_path / "a", tmp_path / "vpt").skipped
    assert skipped.source == episode.id
    assert why in skipped.why
    with pytest.raises(CaptureError, match=episode.id):
        export(tmp_path / "a", tmp_path / "vpt", strict=True)
    assert not list((tmp_path).glob("vpt/*"))


def test_captures_are_not_mixed_with_recordings(tmp_path: Path) -> None:
    record(tmp_path / "a", [(0, {})])
    with pytest.raises(CaptureError, match="choose another folder"):
        export(tmp_path / "a", tmp_path / "a")


def test_a_full_disk_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "a", [(0, {})])
    monkeypatch.setattr(export_module, "DISK_PAUSE", 1 << 60)
    with pytest.raises(DiskFullError, match="make room"):
        export(tmp_path / "a", tmp_path / "vpt")
    assert not list((tmp_path / "vpt").iterdir())


def test_a_damaged_header_is_named(tmp_path: Path) -> None:
    episode = record(tmp_path / "a", [(0, {})])
    export(tmp_path / "a", tmp_path / "vpt")
    (tmp_path / "vpt" / f"{episode.id}-iafm.json").write_text('{"version": 2}')
    (skipped,) = import_vpt(tmp_path / "vpt", tmp_path / "b", SMALL, disk_needed=0).skipped
    assert f"{episode.id}-iafm.json is damaged: Input should be 1" in skipped.why


def test_options_go_before_the_header(tmp_path: Path) -> None:
    record(tmp_path / "a", [(0, {})])
    export(tmp_path / "a", tmp_path / "vpt")
    import_vpt(tmp_path / "vpt", tmp_path / "b", SMALL, instruction="dig", disk_needed=0)
    (imported,) = open_episodes(tmp_path / "b")
    assert (imported.header.instruction, imported.header.task) == ("dig", "cave")
