"""Layout of a dataset's files: other templates are honoured, and none leads out of the dataset."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recorder import CaptureError
from recorder.formats.lerobot.layout import file_path
from tests.recorder.formats.lerobot.numbered_dataset import (
    KEY,
    NumberedDataset,
    bring,
    by_number,
    numbers,
)

FIELDS: dict[str, int | str] = {
    "video_key": KEY,
    "chunk_index": 1,
    "file_index": 23,
    "episode_index": 1023,
}


@pytest.mark.parametrize(
    ("template", "path"),
    [
        (
            "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
            f"videos/{KEY}/chunk-001/file-023.mp4",
        ),
        ("{video_key}/{episode_index:06d}.mkv", f"{KEY}/001023.mkv"),
        ("v/{chunk_index}-{file_index:d}-{file_index:5}.mp4", "v/1-23-   23.mp4"),
        ("{{x}}/all.mp4", "{x}/all.mp4"),
    ],
)
def test_plain_fields_are_filled_in(tmp_path: Path, template: str, path: str) -> None:
    assert file_path(tmp_path, template, FIELDS) == tmp_path / path


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{video_key.__class__}.mp4", r"\{video_key\.__class__\} is none of \{video_key\}, "),
        ("{file_index[0]}.mp4", "is none of"),
        ("{}.mp4", "is none of"),
        ("{root}.mp4", "is none of"),
        ("{file_index!r}.mp4", "may have a format such as :03d"),
        ("{file_index:0999999999d}.mp4", "may have a format such as :03d"),
        ("{file_index:{chunk_index}}.mp4", "may have a format such as :03d"),
        ("{file_index:x}.mp4", "may have a format such as :03d"),
        ("{video_key:9}.mp4", "may have a format such as :03d"),
        ("{file_index", "expected '}'"),
        ("/etc/{file_index}.mp4", "leads out of the dataset"),
        ("../{file_index}.mp4", "leads out of the dataset"),
        ("videos/../../{file_index}.mp4", "leads out of the dataset"),
        ("videos\\..\\{file_index}.mp4", "leads out of the dataset"),
        ("a\0{file_index}.mp4", "leads out of the dataset"),
        ("a" * 257, "a path template of 257 characters"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, template: str, line: str) -> None:
    with pytest.raises(CaptureError, match=line) as caught:
        file_path(tmp_path, template, FIELDS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["../../up", "/etc", "a" * 129])
def test_a_cameras_name_is_no_way_out(tmp_path: Path, key: str) -> None:
    with pytest.raises(CaptureError, match=r"leads out of the dataset|is too long"):
        file_path(tmp_path, "{video_key}/{file_index}.mp4", {**FIELDS, "video_key": key})


def test_another_case_of_the_name_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "1.MP4").touch()
    assert file_path(tmp_path, "{chunk_index}.mp4", FIELDS).name == "1.MP4"
    (tmp_path / "1.Mp4").touch()  # two: neither is the one
    assert file_path(tmp_path, "{chunk_index}.mp4", FIELDS).name == "1.mp4"
    (tmp_path / "1.mp4").touch()
    assert file_path(tmp_path, "{chunk_index}.mp4", FIELDS).name == "1.mp4"


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
def test_a_dataset_of_another_layout_is_imported(tmp_path: Path, version: str) -> None:
    dataset = NumberedDataset(tmp_path / "set", (7, 5), version=version)
    source = dataset.write()
    if version == "v3.0":
        dataset.info = {
            "video_path": "films/{chunk_index}/{video_key}.mp4",
            "data_path": "rows/{file_index:02d}.parquet",
        }
        moves = {
            f"videos/{KEY}/chunk-000/file-000.mp4": f"films/0/{KEY}.MP4",
            "data/chunk-000/file-000.parquet": "rows/00.Parquet",
        }
    else:
        dataset.info = {
            "video_path": "{video_key}/{episode_chunk}-{episode_index}.mp4",
            "data_path": "{episode_index}.parquet",
        }
        moves = {
            f"videos/chunk-000/{KEY}/episode_{i:06d}.mp4": f"{KEY}/0-{i}.mp4" for i in range(2)
        }
        moves |= {f"data/chunk-000/episode_{i:06d}.parquet": f"{i}.parquet" for i in range(2)}
    for old, new in moves.items():
        (source / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source / old, source / new)
    dataset.write_info()
    assert bring(source, tmp_path / "out").added == 2
    episodes = by_number(tmp_path / "out")
    assert [numbers(episodes[i]) for i in range(2)] == [list(range(7)), list(range(7, 12))]


def test_a_template_that_leads_out_imports_nothing(tmp_path: Path) -> None:
    dataset = NumberedDataset(tmp_path / "set", (7, 5))
    source = dataset.write()
    dataset.info = {"video_path": "../{file_index.__class__}.mp4"}
    dataset.write_info()
    report = bring(source, tmp_path / "out")
    assert report.added == 0
    assert ["is none of" in part.why for part in report.skipped] == [True, True]
