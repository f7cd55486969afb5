"""Rows of a data file: nested and flat columns, limits before reading, and files with pieces of episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recorder import CaptureError
from recorder.formats.lerobot import image, rows
from recorder.formats.lerobot.image import decoded_image
from recorder.formats.lerobot.rows import EpisodeRows, image_cells


def written(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table({"episode_index": [0, 1, 1], **columns}), path, row_group_size=1)
    return path


def rows_of(path: Path, *columns: str) -> EpisodeRows:
    return EpisodeRows(path, 1, 2, columns, ())


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[0, 1], [2, 3], [4, 5]], pa.list_(pa.float32(), 2)),
        pa.array([[0, 1], [2, 3], [4, 5]], pa.list_(pa.int64())),
        pa.array([[0, 1], [2, 3], [4, 5]], pa.large_list(pa.float64())),
        pa.array([[[0], [1]], [[2], [3]], [[4], [5]]], pa.list_(pa.list_(pa.int8(), 1))),
    ],
    ids=["fixed", "list", "large", "nested"],
)
def test_vectors_in_every_form(tmp_path: Path, column: Any) -> None:
    path = written(tmp_path / "data.parquet", action=column)
    assert rows_of(path, "action").matrix("action").tolist() == [[2, 3], [4, 5]]


def test_numbers_and_truth_values(tmp_path: Path) -> None:
    path = written(tmp_path / "data.parquet", a=[1.5, 2.5, 3.5], b=[True, None, True])
    both = rows_of(path, "a", "b")
    assert both.matrix("a").tolist() == [[2.5], [3.5]]
    assert both.any("b")


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ([[1], [1], [1, 2]], "has a null, or vectors of several lengths"),
        ([[1], None, [1]], "has a null"),
        (["a", "b", "c"], "holds string, no vectors of numbers"),
        ([[1.0], [1.0], [float("inf")]], "row 1 has a number that is not finite"),
    ],
    ids=["ragged", "null", "text", "infinite"],
)
def test_what_is_no_vector_is_refused(tmp_path: Path, column: list[Any], why: str) -> None:
    path = written(tmp_path / "data.parquet", action=column)
    with pytest.raises(CaptureError, match=why):
        rows_of(path, "action").matrix("action")
    rows_of(path, "action").content_hash(())  # has one all the same


def test_limits_come_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "data.parquet", action=[[1.0] * 9] * 3)
    monkeypatch.setattr(rows, "MAX_WIDTH", 8)
    with pytest.raises(CaptureError, match="more than 8 numbers"):
        rows_of(path, "action").matrix("action")
    monkeypatch.setattr(rows, "ROWS", 1)
    for name, limit, why in (("MAX_TABLE_BYTES", 100, "need more than"), ("MAX_ROWS", 2, "3 rows")):
        monkeypatch.setattr(rows, name, limit)
        rows._table.cache_clear()
        with pytest.raises(CaptureError, match=why):
            rows_of(path, "action")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"data\.parquet is missing"):
        rows_of(tmp_path / "data.parquet", "action")
    path = written(tmp_path / "data.parquet", action=[1, 2, 3])
    with pytest.raises(CaptureError, match="has no column 'b'"):
        rows_of(path, "b")
    with pytest.raises(CaptureError, match="has 2 of its 3 rows"):
        EpisodeRows(path, 1, 3, ["action"], ())
    content = path.read_bytes()
    for damaged in (content[:-9], b"PAR1" + bytes(len(content)) + content[-200:], b""):
        path.write_bytes(damaged)
        with pytest.raises(CaptureError, match=r"data\.parquet cannot be read") as caught:
            rows_of(path, "action")
        assert "\n" not in str(caught.value)


def test_the_hash_is_of_the_episodes_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", action=[1, 2, 3], index=[0, 1, 2])
    hashes = {rows_of(path, "action", "index").content_hash(["episode_index", "index"])}
    pq.write_table(
        pa.table({"index": [7, 8], "episode_index": [1, 1], "action": [2, 3]}),
        tmp_path / "b.parquet",
    )
    other = rows_of(tmp_path / "b.parquet", "action", "index")
    assert {other.content_hash(["episode_index", "index"])} == hashes
    path = written(tmp_path / "c.parquet", action=[1, 2, 4], index=[0, 1, 2])
    assert rows_of(path, "action", "index").content_hash(["episode_index", "index"]) not in hashes


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_images_are_measured_before_they_are_decoded(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = np.zeros((20, 30, 3), np.uint8)
    frame[:, 16:] = 200, 100, 50
    cells = [{"bytes": cv2.imencode(suffix, frame[:, :, ::-1])[1].tobytes(), "path": ""}] * 3
    path = written(tmp_path / "data.parquet", image=cells)
    both = [decoded_image(cell) for cell in image_cells(path, 1, "image")]
    assert [image.shape for image in both] == [(20, 30, 3)] * 2
    assert both[0][5, 25] == pytest.approx((200, 100, 50), abs=4)  # red stays red
    monkeypatch.setattr(image, "MAX_SIDE", 29)
    monkeypatch.setattr("cv2.imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(CaptureError, match="a frame of 20 x 30, larger than 29"):
        decoded_image(cells[0])


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (None, "a frame is missing"),
        ({"bytes": None, "path": "frame.png"}, "a frame is missing"),
        ({"bytes": b"GIF89a"}, "a frame is no PNG or JPEG"),
        ({"bytes": b"\x89PNG\r\n\x1a\n"}, "a frame is no PNG or JPEG"),
        ({"bytes": b"\xff\xd8\xff\xe0\x00\x00"}, "a frame is no PNG or JPEG"),
        ({"bytes": b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\0\0\0\1\0\0\0\1"}, "cannot be decoded"),
    ],
    ids=["null", "no bytes", "gif", "torn png", "torn jpeg", "no data"],
)
def test_what_is_no_image_is_refused(cell: Any, why: str) -> None:
    with pytest.raises(CaptureError, match=why):
        decoded_image(cell)
