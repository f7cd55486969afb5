"""VPT import: contractors' recordings become captures, tick for tick."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from games import FrameSize
from games.registry import load
from recorder import CaptureError, CaptureInfo, CaptureWriter, import_vpt, open_episodes, validate
from recorder.format.manifest import read_manifest, write_manifest

MINECRAFT = load("minecraft").spec
SMALL = MINECRAFT.model_copy(update={"frame": FrameSize(height=90, width=160)})
KEYS = {
    "forward": "w", "back": "s", "left": "a", "right": "d", "jump": "space", "sneak": "left.shift",
    "sprint": "left.control", "inventory": "e", "drop": "q", "swapHands": "f", "ESC": "escape",
    **{f"hotbar.{n}": str(n) for n in range(1, 10)},
}  # fmt: skip
MOUSE = ("attack", "use", "pickItem")


def line(**values: Any) -> dict[str, Any]:
    """One tick as a contractor's recorder writes it, at rest where no value is given."""
    mouse = {
        "x": 640.0, "y": 360.0, "dx": 0.0, "dy": 0.0, "scaledX": 0.0, "scaledY": 0.0, "dwheel": 0.0,
        "buttons": values.pop("buttons", []), "newButtons": values.pop("new", []),
    }  # fmt: skip
    mouse |= {name: values.pop(name) for name in ("x", "y", "dx", "dy") if name in values}
    keys = [f"key.keyboard.{key}" for key in values.pop("keys", [])]
    rest = {"isGuiOpen": False, "hotbar": 0, "tick": 0, "milli": 1649575088006, "yaw": -90.5}
    stats = {"minecraft.custom:minecraft.jump": 3}
    keyboard = {"keys": keys, "newKeys": [], "chars": ""}
    return {"mouse": mouse, "keyboard": keyboard, **rest, "stats": stats, **values}


def film(path: Path, count: int, size: tuple[int, int] = (64, 36)) -> None:
    """Frame t is a grey of 10 t."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        for t in range(count):
            grey = np.full((size[1], size[0], 3), 10 * t % 250, np.uint8)
            video_frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            video_frame.pts, video_frame.time_base = t, Fraction(1, 20)
            container.mux(stream.encode(video_frame))
        container.mux(stream.encode(None))


def play(
    folder: Path, name: str, lines: Sequence[dict[str, Any]], frame_count: int | None = None
) -> Path:
    """The two files of one recording."""
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in lines)
    (folder / f"{name}.jsonl").write_text(text)
    film(folder / f"{name}.mp4", len(lines) if frame_count is None else frame_count)
    return folder


def test_every_tick_is_what_was_done(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    lines: list[dict[str, Any]] = []
    wanted, slot = [], 4
    for _ in range(80):
        names = [n for n in KEYS if rng.random() < 0.1]
        buttons = [b for b in range(3) if rng.random() < 0.2]
        dx, dy = (int(rng.integers(-300, 300)) if rng.random() < 0.5 else 0 for _ in range(2))
        changed = bool(lines) and rng.random() < 0.2
        slot = (slot + 1) % 9 if changed else slot
        keys = [KEYS[n] for n in names] + ["f3", "tab"]
        lines.append(line(keys=keys, buttons=[*buttons, 7], dx=dx, dy=dy, hotbar=slot))
        down = {*names, *(MOUSE[b] for b in buttons), *([f"hotbar.{slot + 1}"] if changed else [])}
        turned = (dy * 360 / 2400, dx * 360 / 2400)
        wanted.append(MINECRAFT.normalize({**dict.fromkeys(down, 1), "camera": turned}))
    source = play(tmp_path / "in", "cave-1a2b-20220421-092639", lines)
    report = import_vpt(source, tmp_path / "out", MINECRAFT)
    assert (report.recordings, report.dropped, report.clipped, report.refused) == (1, 0, 0, ())
    (episode,) = open_episodes(tmp_path / "out")
    assert episode.actions == wanted
    assert validate(episode) == []
    assert (episode.header.task, episode.header.actor) == ("minecraft", "human")
    assert [MINECRAFT.decode(MINECRAFT.encode(action)) for action in wanted] == wanted
    assert episode.frames(1, 4).mean((1, 2, 3)) == pytest.approx([10, 20, 30], abs=3)


@pytest.mark.parametrize(
    ("mouse", "attack"),
    [
        ([([0], [0]), ([0], []), ([0], []), ([], []), ([0], [0])], [0, 0, 0, 0, 1]),
        ([([0], [0]), ([0], []), ([0], [0]), ([0], [])], [0, 0, 1, 1]),
        ([([0, 1], [0, 1]), ([], []), ([0], [])], [0, 0, 1]),
        ([([0], []), ([0], []), ([], [])], [1, 1, 0]),
        ([([], []), ([0], [0]), ([0], [])], [0, 1, 1]),
    ],
    ids=["let go", "pressed again", "both buttons", "goes on from an earlier part", "not stuck"],
)
def test_an_attack_stuck_from_the_start_is_nobodys(
    tmp_path: Path, mouse: list[tuple[list[int], list[int]]], attack: list[int]
) -> None:
    lines = [line(buttons=held, new=new) for held, new in mouse]
    import_vpt(play(tmp_path / "in", "a", lines), tmp_path / "out", SMALL)
    actions = open_episodes(tmp_path / "out")[0].actions
    assert [a["attack"] for a in actions] == attack
    assert [a["use"] for a in actions] == [int(1 in held) for held, _ in mouse]


def test_a_slot_chosen_with_the_wheel_is_a_key(tmp_path: Path) -> None:
    slots = [3, 3, 4, 8, 8, 0]
    lines = [line(hotbar=slot) for slot in slots]
    import_vpt(play(tmp_path / "in", "a", lines), tmp_path / "out", SMALL)
    actions = open_episodes(tmp_path / "out")[0].actions
    pressed = [[n for n in range(1, 10) if action[f"hotbar.{n}"]] for action in actions]
    assert pressed == [[], [], [5], [9], [], [1]]


def test_turns_beyond_the_camera_are_told(tmp_path: Path) -> None:
    lines = [line(dx=dx) for dx in (0, 400, 327, -1000)]
    report = import_vpt(play(tmp_path / "in", "a", lines), tmp_path / "out", SMALL)
    cameras = [a["camera"] for a in open_episodes(tmp_path / "out")[0].actions]
    assert cameras == [(0, 0), (0, 50), (0, 49), (0, -49)]
    assert report.clipped == 0.5


def test_the_pointer_is_drawn_while_a_menu_is_open(tmp_path: Path) -> None:
    positions = [(320, 180), (1e6, -1e6), (1279, 719)]
    lines = [line(isGuiOpen=True, x=x, y=y) for x, y in positions]
    lines.append(line(x=320, y=180))
    import_vpt(play(tmp_path / "in", "a", lines), tmp_path / "out", MINECRAFT)
    frames = open_episodes(tmp_path / "out")[0].frames().astype(int)
    greys = np.array([0, 10, 20, 30])[:, None, None, None]
    rows, columns = np.nonzero((abs(frames[0] - greys[0]) > 60).any(2))
    assert columns.min() == pytest.approx(160, abs=2)
    assert rows.min() == pytest.approx(90, abs=2)
    assert max(columns.max() - 160, rows.max() - 90) < 18
    assert abs(frames[[1, 3]] - greys[[1, 3]]).max() < 20


@pytest.mark.parametrize(("lines", "frame_count"), [(9, 6), (6, 9)])
def test_only_ticks_with_picture_and_line_are_kept(
    tmp_path: Path, lines: int, frame_count: int
) -> None:
    source = play(tmp_path / "in", "a", [line(dx=20 * t) for t in range(lines)], frame_count)
    report = import_vpt(source, tmp_path / "out", SMALL)
    assert (report.recordings, report.dropped) == (1, 3)
    (episode,) = open_episodes(tmp_path / "out")
    assert [a["camera"][1] for a in episode.actions] == [0, 3, 6, 9, 12, 15]
    assert episode.frames().mean((1, 2, 3)) == pytest.approx(10 * np.arange(6), abs=3)


def test_a_video_torn_behind_its_index_is_kept_up_to_there(tmp_path: Path) -> None:
    source = play(tmp_path / "in", "a", [line(dx=20 * (t % 9)) for t in range(60)])
    plain, quick = source / "a.mp4", source / "quick.mp4"
    with (
        av.open(str(plain)) as old,
        av.open(str(quick), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    content = quick.read_bytes()
    quick.unlink()
    tail = content.index(b"mdat")
    plain.write_bytes(content[: tail + (len(content) - tail) * 2 // 3])
    report = import_vpt(source, tmp_path / "out", SMALL)
    (episode,) = open_episodes(tmp_path / "out")
    assert 5 < len(episode) < 55
    assert report.dropped == 60 - len(episode)
    greys = 10 * np.arange(len(episode)) % 250
    assert episode.frames().mean((1, 2, 3)) == pytest.approx(greys, abs=3)


def test_a_full_disk_ends_the_import_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = play(tmp_path / "in", "a", [line()] * 2)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CaptureError, match="nearly full, make room and import again"):
        import_vpt(source, tmp_path / "out", SMALL, disk_needed=0)
    assert not list((tmp_path / "out").iterdir())


def test_a_torn_last_line_is_no_tick(tmp_path: Path) -> None:
    source = play(tmp_path / "in", "a", [line()] * 5)
    path = source / "a.jsonl"
    path.write_text(path.read_text()[:-40])
    report = import_vpt(source, tmp_path / "out", SMALL)
    assert (report.dropped, report.refused) == (1, ())
    assert len(open_episodes(tmp_path / "out")[0]) == 4


def without(name: str) -> str:
    row = line()
    del row[name]
    return json.dumps(row)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("{", "Invalid JSON"),
        ("[]", "Input should be an object"),
        (without("keyboard"), "Field required at keyboard"),
        (without("hotbar"), "Field required at hotbar"),
        (json.dumps(line(dx=float("nan"))), "finite number at mouse.dx"),
        (json.dumps(line(dy=float("inf"))), "finite number at mouse.dy"),
        (json.dumps(line(dx=1e300)), "less than or equal to 1000000 at mouse.dx"),
        (json.dumps(line(dx=1)).replace('"dx": 1', f'"dx": 1{"0" * 4000}'), "mouse.dx"),
        (json.dumps(line(x="left")), "valid number at mouse.x"),
        (json.dumps(line(hotbar=9)), "less than or equal to 8 at hotbar"),
        (json.dumps(line(hotbar=True)), "valid integer at hotbar"),
        (json.dumps(line(buttons=3)), "valid (array|tuple) at mouse.buttons"),
        (json.dumps(line(isGuiOpen=1)), "valid boolean at isGuiOpen"),
        ("[" * 100_000, "recursion"),
        ('"' + "x" * (2 << 20), "longer than 1048576 bytes"),
        ("\0\udcff", "Invalid JSON"),
    ],
)
def test_a_broken_line_is_told_and_hinders_no_other(tmp_path: Path, broken: str, why: str) -> None:
    source = play(tmp_path / "in", "good", [line()] * 3)
    play(source, "bad", [line()] * 3)
    rows = (source / "bad.jsonl").read_bytes().splitlines(keepends=True)
    rows[1] = broken.encode(errors="surrogateescape") + b"\n"
    (source / "bad.jsonl").write_bytes(b"".join(rows))
    report = import_vpt(source, tmp_path / "out", SMALL)
    assert report.recordings == 1
    (refusals,) = report.refused
    assert refusals.startswith(f"{source / 'bad.jsonl'}, line 2")
    assert "\n" not in refusals
    assert re.search(why, refusals)
    assert len(refusals) < 400 + len(str(source))
    assert [e.header.author for e in open_episodes(tmp_path / "out")] == ["good"]


def test_files_without_partner_or_picture_are_told(tmp_path: Path) -> None:
    source = play(tmp_path / "in", "good", [line()] * 2)
    for name in ("noise", "torn", "wide", "blind", "mute", "empty"):
        play(source, name, [line()] * 2)
    (source / "noise.mp4").write_bytes(b"no video at all" * 50)
    (source / "torn.mp4").write_bytes((source / "torn.mp4").read_bytes()[:300])
    film(source / "wide.mp4", 1, size=(4098, 8))
    (source / "blind.mp4").unlink()
    (source / "mute.jsonl").unlink()
    (source / "empty.jsonl").write_text("\n")
    report = import_vpt(source, tmp_path / "out", SMALL)
    assert report.recordings == 1
    refusals = dict(
        zip(("blind", "empty", "mute", "noise", "torn", "wide"), report.refused, strict=True)
    )
    assert f"no {source / 'blind.mp4'} beside" in refusals["blind"]
    assert f"no {source / 'mute.jsonl'} beside" in refusals["mute"]
    assert "empty.jsonl has no line" in refusals["empty"]
    assert "noise.mp4 cannot be read" in refusals["noise"]
    assert "torn.mp4 cannot be read" in refusals["torn"]
    assert "frames of 8 x 4098" in refusals["wide"]
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_what_is_no_such_folder_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"has no NAME\.mp4 with a NAME\.jsonl"):
        import_vpt(tmp_path, tmp_path / "out", SMALL)
    source = play(tmp_path / "in", "a", [line()])
    with pytest.raises(CaptureError, match="which calvin-v0 lacks controls for"):
        import_vpt(source, tmp_path / "out", load("calvin").spec)
    (source / "a.mp4").write_bytes(b"")
    with pytest.raises(CaptureError, match=r"none of 1 recordings can be read; .*a\.mp4"):
        import_vpt(source, tmp_path / "out", SMALL)
    with pytest.raises(CaptureError, match="make room first"):
        import_vpt(play(source, "b", [line()]), tmp_path / "out", SMALL, disk_needed=1 << 60)


def test_an_import_is_gone_on_with(tmp_path: Path) -> None:
    source, out = play(tmp_path / "in", "setter-02e4-20220421-092639", [line()] * 3), tmp_path / "o"
    assert import_vpt(source, out, SMALL).recordings == 1
    with CaptureWriter.create(out / ".importing", SMALL, CaptureInfo()) as killed:
        killed.step(np.zeros(SMALL.frame.shape, np.uint8), {})
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = {"status": "recording", "writer": gone.pid, "writer_started": 1}
    write_manifest(killed.folder, read_manifest(killed.folder).model_copy(update=dead))
    play(source, "setter-02e4-20220421-093126", [line()] * 3)
    play(source, "other-77aa-20220421-093126", [line()] * 3)
    assert import_vpt(source, out, SMALL).recordings == 2
    assert import_vpt(source, out, SMALL).recordings == 0
    assert not (out / ".importing").exists()
    seeds = {e.header.author[:6]: e.header.seed for e in open_episodes(out)}
    assert len(open_episodes(out)) == 3
    assert len({e.header.seed for e in open_episodes(out)}) == 2  # one sitting is on one side only
    assert seeds["setter"] != seeds["other-"]
