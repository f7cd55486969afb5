"""Files of strangers: both forms of the sticks, and what is refused in one line, never unpickled."""

from __future__ import annotations

import io
import logging
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from games import FrameSize
from games.bleeding_edge import SPEC as BLEEDING_EDGE
from recorder import (
    CaptureError,
    detect_format,
    export_bleeding_edge,
    import_bleeding_edge,
    open_episodes,
)
from recorder.formats.bleeding_edge.archive import archive
from recorder.formats.bleeding_edge.layout import CENTRES
from recorder.formats.bleeding_edge.match import read_match

STEPS = 4
RGB = (180, 120, 60)
SPEC = BLEEDING_EDGE.model_copy(update={"frame": FrameSize(height=18, width=30)})
Arrays = dict[str, Any]


def arrays() -> Arrays:
    """A file as published: pictures by channel, sticks as bucket indices."""
    actions = np.zeros((STEPS, 16), np.float32)
    actions[:, 12:] = 5
    actions[:, 12:14] = (6, 10)
    actions[:, 0] = 1
    states = np.full((STEPS, 56), -1, np.float32)
    states[:, :3] = (0.5925019, -1, 0.478)
    colours = np.array(RGB, np.uint8)[None, :, None, None]
    return {
        "images": np.ascontiguousarray(np.broadcast_to(colours, (STEPS, 3, 180, 300))),
        "actions": actions,
        "states": states,
        "names": np.array([f"match/{i}/{100 + 6 * i}" for i in range(STEPS)]),
    }


def write(path: Path, content: Arrays, **options: Any) -> Path:
    np.savez_compressed(path, **content, **options)
    return path


def imported(folder: Path, **options: Any) -> Any:
    return import_bleeding_edge(folder, folder / "out", SPEC, disk_needed=0, **options)


def values(content: Arrays) -> None:
    content["actions"][:, 12:] = np.take(CENTRES, content["actions"][:, 12:].astype(int))


def by_rows(content: Arrays) -> None:
    content["images"] = np.ascontiguousarray(content["images"].transpose(0, 2, 3, 1))


@pytest.mark.parametrize("change", [lambda content: None, values, by_rows])
def test_indices_and_values_are_told_apart_and_are_the_same_play(
    change: Callable[[Arrays], None], tmp_path: Path
) -> None:
    content = arrays()
    change(content)
    write(tmp_path / "m.npz", content)
    assert imported(tmp_path).added == 1
    (episode,) = open_episodes(tmp_path / "out")
    assert episode.actions[0]["Evade"] == 1
    assert SPEC.encode(episode.actions[0]) == [
        "[STARTACTION]", "[Evade]", "[lrot7]", "[lmag4]", "[ENDOFACTION]"
    ]  # fmt: skip
    assert episode.header.source is not None
    form = "axis values" if change is values else "bucket indices"
    assert episode.header.source.options == f"game {SPEC.id}, sticks as {form}"
    for picture in episode.frames():
        assert np.abs(picture.mean((0, 1)) - RGB).max() < 3
    assert not episode.dropped_before  # the commonest distance of ticks is a step


def test_nothing_but_0_and_1_are_values(tmp_path: Path) -> None:
    content = arrays()
    content["actions"][:, 12:] = (0, 1, 1, 0)
    write(tmp_path / "m.npz", content)
    imported(tmp_path)
    (episode,) = open_episodes(tmp_path / "out")
    assert episode.header.source is not None
    assert episode.header.source.options.endswith("axis values")
    assert episode.actions[0]["left_stick"] == (0, 1)
    assert episode.actions[0]["right_stick"] == (90, 1)


def test_states_come_back_to_the_bit(tmp_path: Path) -> None:
    write(tmp_path / "m.npz", arrays())
    imported(tmp_path)
    export_bleeding_edge(open_episodes(tmp_path / "out"), tmp_path / "npz")
    (path,) = (tmp_path / "npz").glob("*.npz")
    with np.load(path) as back:
        assert back["states"].tobytes() == arrays()["states"].tobytes()
        assert back["actions"].tobytes() == arrays()["actions"].tobytes()
        assert np.abs(back["images"].mean((0, 1, 2)) - RGB).max() < 3


def test_without_states_and_names_the_play_is_imported(tmp_path: Path) -> None:
    content = arrays()
    del content["states"], content["names"]
    write(tmp_path / "m.npz", content)
    assert imported(tmp_path).added == 1


def test_the_sample_is_told_from_vpt_with_a_video_beside_each_file(tmp_path: Path) -> None:
    (tmp_path / "m.mp4").touch()
    write(tmp_path / "m.npz", arrays())
    assert detect_format(tmp_path) == "bleeding-edge"
    assert detect_format(tmp_path / "m.npz") == "bleeding-edge"


def test_files_of_one_match_share_their_seed(tmp_path: Path) -> None:
    for file, name in (("a", "m"), ("b", "m"), ("c", "n")):
        content = arrays()
        content["actions"][:, 3] = file == "b"
        content["names"] = np.array([f"{name}/{i}/{i}" for i in range(STEPS)])
        write(tmp_path / f"{file}.npz", content)
    assert imported(tmp_path).added == 3
    episodes = open_episodes(tmp_path / "out")
    seeds = {e.header.source.name: e.header.seed for e in episodes if e.header.source}
    assert seeds["a.npz"] == seeds["b.npz"] != seeds["c.npz"]


def test_names_that_are_no_utf_8_are_escaped(tmp_path: Path) -> None:
    content = arrays()
    content["names"] = np.array([f"\ud800x/{i}/{i}" for i in range(STEPS)])
    write(tmp_path / "m.npz", content).rename(tmp_path / "\udcff.npz")
    assert imported(tmp_path).added == 1
    (episode,) = open_episodes(tmp_path / "out")
    assert episode.header.source is not None
    assert episode.header.source.name == r"\udcff.npz"
    assert episode.header.author == r"\ud800x"


def test_a_gap_of_ticks_is_a_gap(tmp_path: Path) -> None:
    content = arrays()
    content["names"] = np.array([f"m_step{i}_tick{6 * i + 18 * (i > 2)}" for i in range(STEPS)])
    write(tmp_path / "m.npz", content)
    imported(tmp_path)
    (episode,) = open_episodes(tmp_path / "out")
    assert episode.dropped_before == {3: 3}


def test_presses_of_the_twelfth_button_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = arrays()
    content["actions"][1:3, 11] = 1
    write(tmp_path / "m.npz", content)
    with caplog.at_level(logging.WARNING, "iafm.import"):
        imported(tmp_path)
    assert (
        "button 11 (Unassigned, of which no meaning is published) is down in 2 steps" in caplog.text
    )


class Fires:
    """Unpickling it fails the test."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


def changed(name: str, value: Any) -> Callable[[Arrays], None]:
    return lambda content: content.update({name: value})


def spoiled(name: str, index: Any, value: Any) -> Callable[[Arrays], None]:
    return lambda content: content[name].__setitem__(index, value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda c: c.pop("images"), "it has no array 'images'"),
        (lambda c: c.pop("actions"), "it has no array 'actions'"),
        (changed("images", np.zeros((2, 3, 180, 300), np.uint8)), "not (2, 16) as for 2 images"),
        (changed("images", np.zeros((STEPS, 180, 300), np.uint8)), "not 4 axes"),
        (changed("images", np.zeros((STEPS, 90, 90, 3), np.uint8)), "(90, 90, 3), not"),
        (changed("images", np.zeros((0, 180, 300, 3), np.uint8)), "it has 0 steps"),
        (changed("images", np.zeros((1, 180, 300, 3), np.float32)), "images is of type float32"),
        (changed("actions", np.zeros((STEPS, 15), np.float32)), "actions has the shape (4, 15)"),
        (changed("actions", np.zeros((STEPS, 16), np.complex64)), "of type complex64"),
        (changed("states", np.zeros((STEPS, 55), np.float32)), "states has the shape (4, 55)"),
        (changed("names", np.array(["a/0/1"] * 3)), "names has the shape (3,)"),
        (changed("instruction", np.array(["go", "stay"])), "instruction has the shape (2,), not"),
        (changed("instruction", np.array("x" * 501)), "instruction is of type str"),
        (changed("instruction", np.array(7)), "instruction is of type int64"),
        (
            changed("names", np.array(["[red]x"] * STEPS)),
            "the name of step 0, '[red]x', is no match",
        ),
        (changed("names", np.array(["a/0/1"] * STEPS)), "its ticks do not ascend at step 1"),
        (changed("names", np.array([f"{i}/0/{i}" for i in range(STEPS)])), "are of 4 matches"),
        (spoiled("actions", (2, 13), np.nan), "actions of step 2 is not finite"),
        (spoiled("states", (3, 0), np.inf), "states of step 3 is not finite"),
        (changed("states", np.full((STEPS, 56), 1e300)), "states of step 0 is not finite"),
        (spoiled("actions", (1, 4), 0.5), "a button of step 1 is neither 0 nor 1"),
        (spoiled("actions", (1, 14), 11), "its sticks run from 5 to 11"),
        (spoiled("actions", (1, 14), 6.5), "neither bucket indices (0 to 10) nor values"),
        (changed("actions", np.array([Fires()], object)), "holds Python objects, which are never"),
        (
            changed("images", np.array(Fires(), object)),
            "holds Python objects, which are never read",
        ),
        (
            changed("names", np.array([Fires()], object)),
            "holds Python objects, which are never read",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    change: Callable[[Arrays], Any], why: str, tmp_path: Path
) -> None:
    content = arrays()
    change(content)
    np.savez_compressed(tmp_path / "m.npz", **content)
    (skipped,) = imported(tmp_path).skipped
    assert skipped.source == "m.npz"
    assert why in skipped.why
    assert "\n" not in skipped.why
    with pytest.raises(CaptureError, match=r"^m\.npz: "):
        imported(tmp_path, strict=True)
    assert not list((tmp_path / "out").glob("*"))


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return content.getvalue()


@pytest.mark.parametrize(
    ("images", "why"),
    [
        (header((10**15, 180, 300, 3)), "bytes and has 0"),
        (header((-1, 180, 300, 3)), "has the shape (-1"),
        (header((10**1500, 10**1500)), "images has more than 4 axes, or one of over 2^60 values"),
        (header((0,) * 900), "images has more than 4 axes, or one of over 2^60 values"),
        (header((3,), "|O"), "Python objects"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "no array that numpy wrote"),
        (b"\x93NUMPY\x01\x00\xff\x0f" + b"[" * 4095, "no array that numpy wrote"),
        (pickle.dumps(Fires()), "no array that numpy wrote"),
        (
            b"\x93NUMPY\x01\x00\x20\x00{'descr': '|u1',0escr': '|u1',0es\n",
            "no array that numpy wrote",
        ),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr':1if 1:2}", "no array that numpy wrote"),
        (b"", "no array that numpy wrote"),
    ],
)
def test_a_header_is_believed_no_further_than_the_file(
    images: bytes, why: str, tmp_path: Path
) -> None:
    zipped(tmp_path / "m.npz", {"images.npy": images})
    (skipped,) = imported(tmp_path).skipped
    assert why in skipped.why
    assert len(skipped.why) < 200


def test_a_zip_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    path = zipped(tmp_path / "m.npz", {"images.npy": header((6_000, 180, 300, 3))})
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24
    content[at : at + 4] = (972_000_128).to_bytes(4, "little")  # what it says to unpack to
    path.write_bytes(content)
    (skipped,) = imported(tmp_path).skipped
    assert "images would unpack from" in skipped.why
    assert "to 972,000,128" in skipped.why


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_LZMA) as file:
        file.writestr("images.npy", header((1, 180, 300, 3)))
    (skipped,) = imported(tmp_path).skipped
    assert "images is compressed in another way" in skipped.why


def test_a_directory_of_many_members_is_refused_before_it_is_read(tmp_path: Path) -> None:
    zipped(tmp_path / "m.npz", {f"{i:040}": b"" for i in range(1000)})
    (skipped,) = imported(tmp_path).skipped
    assert "its directory has" in skipped.why


def test_a_zip64_directory_does_not_pass_behind_a_small_one(tmp_path: Path) -> None:
    content = write(tmp_path / "m.npz", arrays()).read_bytes()
    end = content.rindex(b"PK\x05\x06")
    begin = int.from_bytes(content[end + 16 : end + 20], "little")
    first = content.index(b"PK\x01\x02", begin + 4)
    directory = content[begin:first] * 5000
    sizes = (5000, 5000, len(directory), begin)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, *sizes)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, begin + len(directory), 1)
    (tmp_path / "m.npz").write_bytes(content[:begin] + directory + record + locator + content[end:])
    (skipped,) = imported(tmp_path).skipped
    assert skipped.why == "its directory is of the zip64 form, which no such file needs"


def test_a_file_that_is_no_file_or_torn_is_skipped_and_the_rest_imported(tmp_path: Path) -> None:
    whole = write(tmp_path / "b.npz", arrays()).read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c.npz").write_bytes(b"no zip")
    report = imported(tmp_path)
    assert report.added == 1
    assert [each.source for each in report.skipped] == ["a.npz", "c.npz"]
    assert all("no directory, and may be cut off" in each.why for each in report.skipped)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damaged_bytes_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(write(tmp_path / "m.npz", arrays()).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "m.npz").write_bytes(content[: data.draw(st.integers(1, len(content)))])
    why = ""
    try:
        with archive(tmp_path / "m.npz") as opened:
            assert len(list(read_match(opened).frames())) == STEPS
    except CaptureError as error:
        why = str(error)
    assert "\n" not in why
