"""Video index: picture n is picture n, whatever the file's rate, start, order of coding and edit list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from games import Frame
from recorder import CaptureError
from recorder.format import video_index as module
from recorder.format.video_index import video_index
from tests.recorder.formats.lerobot.numbered_dataset import film, number_in

B_FRAMES = {"preset": "medium", "bf": "3"}
COUNT = 30


def numbers(frames: Any) -> list[int]:
    return [number_in(frame) for frame in frames]


def packet_place(path: Path, number: int) -> tuple[int, int]:
    """Offset and size of a compressed picture in the file."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
    place = packets[number].pos
    assert place is not None
    return place, packets[number].size


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
@pytest.mark.parametrize("start", [0.0, 1.4])
@pytest.mark.parametrize("options", [{}, B_FRAMES, {**B_FRAMES, "x264-params": "open-gop=1"}])
def test_any_picture_is_reached(
    tmp_path: Path, suffix: str, start: float, options: dict[str, str]
) -> None:
    path = tmp_path / f"film.{suffix}"
    film(path, range(COUNT), lambda i: start + i / 29.97, **options)
    index = video_index(path)
    assert np.diff(index.seconds) == pytest.approx(1 / 29.97, abs=0.001)
    for first in range(0, COUNT, 3):
        assert numbers(index.frames(first, 3)) == [first, first + 1, first + 2]
    assert numbers(index.frames(0, COUNT)) == list(range(COUNT))
    assert list(index.frames(4, 0)) == []


@pytest.mark.parametrize("options", [{}, B_FRAMES])
def test_pictures_before_an_edit_list_are_none(tmp_path: Path, options: dict[str, str]) -> None:
    path = tmp_path / "film.mp4"
    movie = {"avoid_negative_ts": "disabled"}
    film(path, range(COUNT), lambda i: (i - 5) / 10, movie=movie, **options)
    index = video_index(path)
    assert index.seconds == pytest.approx(np.arange(COUNT - 5) / 10, abs=1e-4)
    assert numbers(index.frames(0, 25)) == list(range(5, COUNT))
    assert numbers(index.frames(1, 2)) == [6, 7]


def test_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.3, COUNT)).tolist()
    film(path, range(COUNT), times.__getitem__, **B_FRAMES)
    index = video_index(path)
    assert index.seconds == pytest.approx(times, abs=1e-3)
    assert [numbers(index.frames(n, 1)) for n in range(COUNT)] == [[n] for n in range(COUNT)]


def test_a_file_that_is_cut_off_has_the_pictures_before(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    film(path, range(COUNT), lambda i: i / 10, movie={"movflags": "faststart"})
    place, size = packet_place(path, 20)
    path.write_bytes(path.read_bytes()[: place + size // 2])
    index = video_index(path)
    left = len(index.times)
    assert left == 20
    assert numbers(index.frames(3, left - 4)) == list(range(3, left - 1))
    with pytest.raises(
        CaptureError, match=rf"film\.mp4 has {left} pictures, not the 31 that are needed"
    ):
        list(index.frames(28, 3))


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    film(path, range(COUNT), lambda i: i / 10, g="1")
    place, size = packet_place(path, 20)
    content = bytearray(path.read_bytes())
    content[place : place + size] = bytes(size)
    path.write_bytes(content)
    index = video_index(path)
    assert numbers(index.frames(0, 20)) == list(range(20))
    with pytest.raises(CaptureError, match=r"picture 20 cannot be decoded|cannot be read"):
        list(index.frames(15, 8))


def test_a_hash_is_of_the_pictures_alone(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", range(16), lambda i: i / 10)
    with (
        av.open(str(tmp_path / "a.mp4")) as source,
        av.open(str(tmp_path / "b.mkv"), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    first, copy = video_index(tmp_path / "a.mp4"), video_index(tmp_path / "b.mkv")
    assert first.content_hash(0, 8) == copy.content_hash(0, 8)
    assert first.content_hash(0, 8) != first.content_hash(8, 8)


def test_what_is_no_video_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CaptureError, match=r"none\.mp4 cannot be read: No such file"):
        video_index(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(CaptureError, match=r"text\.mp4 cannot be read"):
        video_index(tmp_path / "text.mp4")
    film(tmp_path / "film.mp4", range(8), lambda i: i / 10)
    content = (tmp_path / "film.mp4").read_bytes()
    (tmp_path / "other.mp4").write_bytes(content.replace(b"avc1", b"?vc?"))
    with pytest.raises(CaptureError, match="no codec of its frames is known"):
        video_index(tmp_path / "other.mp4")
    monkeypatch.setattr(module, "MAX_SIDE", 31)
    with pytest.raises(CaptureError, match="frames of 16 x 32, larger than 31"):
        video_index(tmp_path / "film.mp4")


def test_one_frame_is_in_memory_at_a_time(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", range(8), lambda i: i / 10)
    frames = video_index(tmp_path / "film.mp4").frames(2, 4)
    first: Frame = next(frames)
    assert number_in(first) == 2
    frames.close()  # type: ignore[attr-defined]
