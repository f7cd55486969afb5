"""Captures of small pictures, and ways to damage one: each with what the reason must say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from games import Axis, Button, Camera, FrameSize, GameSpec
from recorder import CaptureInfo, CaptureWriter

STEPS = 6
SPEC = GameSpec(
    id="small-v0",
    title="Small",
    frame=FrameSize(height=16, width=24),
    step_hz=10,
    controls=(
        Button(name="jump"),
        Button(name="attack"),
        Camera(name="look", pitch_bins=(-9.0, 0.0, 9.0), yaw_bins=(-9.0, 0.0, 9.0)),
        Axis(name="gas", low=0, high=1, bins=5),
    ),
    exclusive=(("jump", "attack"),),
)
TEXT_LINE: dict[str, Any] = {
    "id": 1, "kind": "state", "t0_ns": 0, "t1_ns": None, "i0": 2, "i1": None, "text": "go",
    "style": "thought", "source": "teacher", "author": "", "supersedes": None,
}  # fmt: skip


def record(root: Path, seed: int, steps: int = STEPS, **info: Any) -> Path:
    """A closed capture whose picture i is a grey of 20 i (modulo 250), and in which step i turns on even i."""
    about = CaptureInfo(**{"instruction": "go on", "task": "go", "seed": seed, **info})
    with CaptureWriter.create(root, SPEC, about, disk_needed=0) as capture:
        capture.text(style="thought", text="walks", source="teacher")
        for i in range(steps):
            turn = {"look": (0.0, 9.0)} if i % 2 == 0 else {}
            shade = np.full(SPEC.frame.shape, 20 * i % 250, np.uint8)
            capture.step(shade, {"jump": i % 2, **turn}, reward=0.5)
        capture.close(success=True)
    return capture.folder


def change(folder: Path, name: str, line: int, **values: Any) -> None:
    """Change values of one line, counted from 0."""
    rows = [json.loads(text) for text in (folder / name).read_text().splitlines()]
    rows[line] |= values
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def replace_line(folder: Path, name: str, line: int, content: bytes) -> None:
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    lines[line] = content
    (folder / name).write_bytes(b"".join(lines))


def tear_video(folder: Path) -> None:
    """Cut the file off in the middle of picture 3."""
    path, (begin, _) = folder / "video/main.mp4", picture(folder, 3)
    path.write_bytes(path.read_bytes()[: begin + 2])


def picture(folder: Path, number: int) -> tuple[int, int]:
    """Where a compressed picture begins and ends in the file."""
    with av.open(str(folder / "video/main.mp4")) as container:
        entry = container.streams.video[0].index_entries[number]
        return entry.pos, entry.pos + entry.size


def spoil_picture(folder: Path, number: int = 3) -> None:
    """Overwrite a compressed picture: the file demuxes as before, but does not decode."""
    path, (begin, end) = folder / "video/main.mp4", picture(folder, number)
    content = bytearray(path.read_bytes())
    content[begin:end] = bytes(end - begin)
    path.write_bytes(content)


def other_size(folder: Path) -> None:
    """Pictures of another size than the manifest says."""
    raw = json.loads((folder / "manifest.json").read_text())
    raw["spec"]["frame"] = {"height": 32, "width": 24}
    (folder / "manifest.json").write_text(json.dumps(raw))


def rows_as_folder(folder: Path) -> None:
    (folder / "actions.jsonl").unlink()
    (folder / "actions.jsonl").mkdir()


def empty(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "manifest of 0 bytes": (empty("manifest.json", ""), "manifest.json is damaged"),
    "manifest {}": (empty("manifest.json", "{}"), "manifest.json is damaged"),
    "manifest null": (empty("manifest.json", "null"), "manifest.json is damaged"),
    "manifest nested": (empty("manifest.json", "[" * 100_000), "manifest.json is damaged"),
    "null row": (
        lambda f: replace_line(f, "actions.jsonl", 2, b"null\n"),
        "actions.jsonl: line 3 is no JSON object",
    ),
    "torn row": (
        lambda f: replace_line(f, "actions.jsonl", 2, b'{"i":2,"act\n'),
        "actions.jsonl: line 3 is no JSON",
    ),
    "row of other bytes": (
        lambda f: replace_line(f, "actions.jsonl", 2, b"\xff\xfe\n"),
        "actions.jsonl: line 3 is no JSON",
    ),
    "nested row": (
        lambda f: replace_line(f, "actions.jsonl", 2, b"[" * 100_000 + b"\n"),
        "actions.jsonl: line 3",
    ),
    "missing row": (
        lambda f: replace_line(f, "actions.jsonl", 2, b""),
        "actions.jsonl: line 3 is about step 3, not 2",
    ),
    "missing last row": (
        lambda f: replace_line(f, "actions.jsonl", 5, b""),
        "actions.jsonl",
    ),
    "no rows": (lambda f: (f / "actions.jsonl").unlink(), "actions.jsonl"),
    "rows are a folder": (
        rows_as_folder,
        "actions.jsonl cannot be read",
    ),
    "NaN reward": (
        lambda f: change(f, "actions.jsonl", 2, reward=float("nan")),
        "actions.jsonl: line 3 is no JSON: NaN",
    ),
    "infinite reward": (
        lambda f: replace_line(
            f, "actions.jsonl", 0,
            b'{"i":0,"action":{},"executed":null,"by":"human","reward":1e999}\n',
        ),
        "actions.jsonl: line 1: reward inf",
    ),
    "reward in words": (
        lambda f: change(f, "actions.jsonl", 2, reward="much"),
        "actions.jsonl: line 3: reward 'much'",
    ),
    "NaN action": (
        lambda f: change(f, "actions.jsonl", 2, action={"gas": float("nan")}),
        "actions.jsonl: line 3",
    ),
    "number beyond floats": (
        lambda f: change(f, "actions.jsonl", 2, action={"look": [10**400, 0]}),
        "actions.jsonl: line 3",
    ),
    "unknown control": (
        lambda f: change(f, "actions.jsonl", 2, action={"fly": 1}),
        "actions.jsonl: line 3: action: no control called 'fly'",
    ),
    "illegal value": (
        lambda f: change(f, "actions.jsonl", 2, action={"jump": 7}),
        "actions.jsonl: line 3: action: jump: a button is 0 or 1",
    ),
    "value between levels": (
        lambda f: change(f, "actions.jsonl", 2, executed={"look": [0, 1]}),
        "actions.jsonl: line 3: executed action",
    ),
    "exclusive buttons": (
        lambda f: change(f, "actions.jsonl", 2, action={"jump": 1, "attack": 1}),
        "exclude each other",
    ),
    "action is a list": (
        lambda f: change(f, "actions.jsonl", 2, action=[1]),
        "actions.jsonl: line 3: action is [1]",
    ),
    "by nobody known": (
        lambda f: change(f, "actions.jsonl", 2, by=None),
        "actions.jsonl: line 3: by is None",
    ),
    "text of another form": (
        lambda f: change(f, "text.jsonl", 0, style="shout"),
        "text.jsonl: line 1",
    ),
    "text that is null": (
        lambda f: replace_line(f, "text.jsonl", 0, b"null\n"),
        "text.jsonl: line 1 is no JSON object",
    ),
    "half a surrogate pair": (
        lambda f: change(f, "text.jsonl", 0, text="\ud800"),
        "text.jsonl: line 1",
    ),
    "frame row without a gap's length": (
        lambda f: change(f, "frames.jsonl", 2, dropped_before=None),
        "frames.jsonl: line 3",
    ),
    "missing frame row": (
        lambda f: replace_line(f, "frames.jsonl", 2, b""),
        "frames.jsonl: line 3 is about step 3, not 2",
    ),
    "no video": (lambda f: (f / "video/main.mp4").unlink(), "main.mp4 cannot be read"),
    "video of 0 bytes": (lambda f: (f / "video/main.mp4").write_bytes(b""), "main.mp4"),
    "video cut off": (tear_video, "main.mp4 has 3 pictures for 6 steps"),
    "pictures of another size": (other_size, "main.mp4 has pictures of 24x16, the game 24x32"),
}  # fmt: skip
"""By name: what damages a capture, and part of the reason that is named."""


def damaged(root: Path, template: Path, name: str) -> Path:
    """A copy of a capture, damaged."""
    folder = root / f"20200101T000000_small_{len(list(root.iterdir())):08x}"
    shutil.copytree(template, folder)
    DAMAGES[name][0](folder)
    return folder
