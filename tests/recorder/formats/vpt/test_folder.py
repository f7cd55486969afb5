"""Folders of recordings: files without a partner, suffixes, index files, tasks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from recorder.formats.detect import detect_format
from recorder.formats.vpt.folder import BASALT_TASKS, basalt_folder, basalt_task, recordings

Row = Callable[..., dict[str, Any]]


def test_suffixes_of_any_case(made: Any, tick: Row) -> None:
    made.add([tick(t) for t in range(3)], name="a", suffixes=(".JSONL", ".MP4"))
    made.add([tick(t) for t in range(4)], name="b", suffixes=(".jsonl", ".Mp4"))
    assert detect_format(made.folder) == "vpt"
    assert (made.load().added, sorted(map(len, made.episodes()))) == (2, [3, 4])


def test_files_without_partner_or_picture_are_named(
    made: Any, row: Row, tick: Row, video: Callable[..., None]
) -> None:
    names = ("blind", "empty", "good", "mute", "noise", "sound", "torn", "wide")
    for k, name in enumerate(names):
        made.add([tick(t) for t in range(2 + k)], name=name)
    folder = made.folder
    (folder / "blind.mp4").unlink()
    (folder / "mute.jsonl").unlink()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "noise.mp4").write_bytes(b"no video at all" * 50)
    (folder / "torn.mp4").write_bytes((folder / "torn.mp4").read_bytes()[:300])
    video(folder / "wide.mp4", [0.0], size=(4098, 16))
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream: Any = container.add_stream("aac", rate=16_000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        samples.sample_rate = 16_000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    report = made.load()
    reasons = {skipped.source: skipped.why for skipped in report.skipped}
    assert (report.added, report.dropped) == (1, 3 + 6 + 7 + 8 + 9)
    assert set(reasons) == set(names) - {"good"}
    assert f"no {folder / 'blind.mp4'} beside" in reasons["blind"]
    assert f"no {folder / 'mute.jsonl'} beside" in reasons["mute"]
    assert all("cannot be read" in reasons[name] for name in ("empty", "noise", "torn"))
    assert "has no video" in reasons["sound"]
    assert "frames of 16 x 4098" in reasons["wide"]
    assert len(list(made.out.iterdir())) == 1


def test_a_video_torn_behind_its_index_is_imported_up_to_there(made: Any, tick: Row) -> None:
    made.add([tick(t) for t in range(60)])
    path = made.folder / "a.mp4"
    quick = path.with_name("quick")
    with (
        av.open(str(path)) as old,
        av.open(str(quick), "w", format="mp4", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    content = quick.read_bytes()
    tail = content.index(b"mdat")
    path.write_bytes(content[: tail + (len(content) - tail) * 2 // 3])
    report = made.load()
    steps = len(made.pairs())
    assert 5 < steps < 59
    assert made.pairs() == [(t, t) for t in range(steps)]
    assert report.dropped == 60 - steps


def test_damage_inside_a_video_ends_it(made: Any, tick: Row) -> None:
    made.add([tick(t) for t in range(60)])
    path = made.folder / "a.mp4"
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + (content.index(b"moov") - content.index(b"mdat")) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    report = made.load()
    pairs = made.pairs() if report.added else []
    assert all(t == picture for t, picture in pairs)
    assert (len(pairs) < 60, report.dropped) == (True, 60 - len(pairs))
    assert "cannot be decoded" in report.skipped[-1].why


def test_versions_come_from_an_index_or_the_path(made: Any, row: Row, tmp_path: Path) -> None:
    for name in ("flat/a", "flat/b", "data/v6.9/c", "data/8.0/d"):
        made.add([row()], name=name)
    index = {"basedir": "https://example.org/", "relpaths": ["data/6.7/a.mp4", "10.0/b", 3, ".."]}
    (made.folder / "flat/index.json").write_text(json.dumps(index))
    (made.folder / "flat/other.json").write_text("[" * 10_000)
    versions = {
        r.name: r.version
        for folder in (made.folder, made.folder / "data")
        for r in recordings(folder)
    }
    assert versions == {"flat/a": "6.7", "flat/b": "10.0", "v6.9/c": "6.9", "8.0/d": "8.0"}


@pytest.mark.parametrize(
    ("folder", "task"),
    [
        ("MineRLBasaltFindCave-v0", "find_cave"),
        ("MineRLBasaltMakeWaterfall-v0", "make_waterfall"),
        ("MineRLBasaltCreateVillageAnimalPen-v0", "create_village_animal_pen"),
        ("MakeVillageAnimalPen", "create_village_animal_pen"),
        ("BuildVillageHouse", "build_village_house"),
        ("find-cave", "find_cave"),
        ("waterfall", "make_waterfall"),
        ("pen-animals", "create_village_animal_pen"),
        ("build-house", "build_village_house"),
        ("MineRLBasaltDance-v0", None),
        ("contractors", None),
    ],
)
def test_tasks_by_folder(folder: str, task: str | None) -> None:
    known = basalt_task(folder)
    assert (known and known.name) == task


def test_basalts_folders_are_read_as_they_are_written() -> None:
    tasks = [task.name for task in BASALT_TASKS.values()]
    assert all((task := basalt_task(basalt_folder(name))) and task.name == name for name in tasks)
    assert basalt_folder("dance") == ""


def test_recorder_versions_name_their_tasks(made: Any, row: Row) -> None:
    for version in ("7.6", "8.2", "10.0"):
        made.add([row(tick=0, hotbar=int(version[0]))], name=f"{version}/a")
    made.load()
    tasks = {e.header.author: (e.header.task, e.header.instruction) for e in made.episodes()}
    assert tasks == {
        "7.6/a": ("minecraft", ""),
        "8.2/a": ("build_house", "build a simple house"),
        "10.0/a": ("obtain_diamond_pickaxe", "craft a diamond pickaxe"),
    }


def test_files_beside_a_recording_are_no_index(made: Any, row: Row) -> None:
    made.add([row()])
    index = json.dumps({"basedir": "https://example.org/", "relpaths": ["data/6.7/a.mp4"]})
    (made.folder / "a-options.json").write_text(index)
    assert [r.version for r in recordings(made.folder)] == [""]
    (made.folder / "options.json").write_text(index)
    assert [r.version for r in recordings(made.folder)] == ["6.7"]


def test_a_folder_of_captures_is_none_of_recordings(made: Any, row: Row) -> None:
    made.add([row()])
    made.load()
    assert recordings(made.out) == []
    shutil.rmtree(made.folder)
    assert recordings(made.folder) == []
