"""Interrupted imports: kill -9 or Ctrl-C in mid-import, repeated, and compared with an import that was left alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from agent_core.bench.crash.kills import wait_for
from recorder import Episode, open_episodes
from recorder.capture.staging import STAGING
from recorder.format.manifest import MANIFEST

EPISODES, STEPS, FPS = 24, 20, 20
"""Episodes of a made source and their steps; every picture and every action tells both numbers."""
TRIES = 10
"""A signal may come when an import has just ended; then it is tried again."""
CAMERA = "observation.images.main"


def import_cases(seed: int) -> dict[str, Callable[[], list[str]]]:
    """A case for each format and signal; the seed decides after how many episodes it comes."""
    return {
        f"{name}, {number.name}": partial(_interrupted, name, number, seed)
        for name in SOURCES
        for number in (signal.SIGKILL, signal.SIGINT)
    }


def _interrupted(name: str, number: signal.Signals, seed: int) -> list[str]:
    make, options = SOURCES[name]
    episodes = int(np.random.default_rng([seed, number]).integers(1, EPISODES // 4))
    with tempfile.TemporaryDirectory(prefix="iafm-crash-") as folder:
        source = Path(folder) / "source"
        source.mkdir()
        make(source)
        whole, out = Path(folder) / "whole", Path(folder) / "out"
        problems = _finish(_import(source, whole, options))
        if not any(_interrupt(source, out, options, number, episodes) for _ in range(TRIES)):
            problems.append(f"the import was not interrupted in its middle, in {TRIES} tries")
        problems += _finish(_import(source, out, options))
        return problems + _differences(_contents(whole), _contents(out), out)


def _interrupt(
    source: Path, out: Path, options: list[str], number: signal.Signals, episodes: int
) -> bool:
    """Import anew and send a signal after so many episodes; whether it came before the last."""
    shutil.rmtree(out, ignore_errors=True)
    process = _import(source, out, options)
    wait_for(lambda: _captures(out) >= episodes or process.poll() is not None)
    process.send_signal(number)
    process.communicate()
    return episodes <= _captures(out) < EPISODES


def _captures(out: Path) -> int:
    return len(list(out.glob(f"*/{MANIFEST}")))


def _import(source: Path, out: Path, options: list[str]) -> subprocess.Popen[str]:
    command = ["episodes", "import", str(source), "--out", str(out), "--json", *options]
    return subprocess.Popen(
        [sys.executable, "-m", "agent_core", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _finish(process: subprocess.Popen[str]) -> list[str]:
    """Wait for an import; what its report says is wrong."""
    printed, errors = process.communicate()
    if process.returncode:
        return [f"exit {process.returncode}: {errors.strip()[-300:]}"]
    episodes = json.loads(printed.splitlines()[-1])["episodes"]
    return [] if episodes == EPISODES else [f"{episodes} of {EPISODES} episodes reported"]


def _contents(out: Path) -> Counter[str]:
    """A hash of the pictures, actions and texts of every episode."""
    return Counter(map(_content, open_episodes(out)))


def _content(episode: Episode) -> str:
    words = [episode.actions, [span.text for span in episode.texts], episode.header.instruction]
    digest = hashlib.sha256(json.dumps(words).encode())
    digest.update(episode.frames().tobytes())
    return digest.hexdigest()


def _differences(whole: Counter[str], repeated: Counter[str], out: Path) -> list[str]:
    counts = {
        "doubled or made anew": (repeated - whole).total(),
        "lost": (whole - repeated).total(),
        "left in the staging folder": len(list((out / STAGING).glob("*/*"))),
    }
    if len(whole) != EPISODES:
        counts["alike"] = EPISODES - len(whole)
    return [f"{count} episodes {what}" for what, count in counts.items() if count]


def _grey(episode: int, step: int) -> int:
    return 20 + 8 * episode + step


def _film(path: Path, greys: list[int]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for t, grey in enumerate(greys):
            picture = np.full((48, 64, 3), grey, np.uint8)
            video_frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            video_frame.pts, video_frame.time_base = t, Fraction(1, FPS)
            container.mux(stream.encode(video_frame))
        container.mux(stream.encode(None))


def _make_clips(folder: Path) -> None:
    lines = []
    for episode in range(EPISODES):
        _film(folder / f"{episode}.mp4", [_grey(episode, t) for t in range(STEPS)])
        lines.append({"video": f"{episode}.mp4", "text": f"clip {episode}"})
    (folder / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _make_vpt(folder: Path) -> None:
    for episode in range(EPISODES):
        name = f"cave-{episode:04x}-20220421-092639"
        _film(folder / f"{name}.mp4", [_grey(episode, t) for t in range(STEPS)])
        lines = [_vpt_tick(episode, t) for t in range(STEPS)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _vpt_tick(episode: int, step: int) -> dict[str, Any]:
    keys = [f"key.keyboard.{key}" for k, key in enumerate("wasd") if (episode + step) >> k & 1]
    mouse = {
        "x": 640.0, "y": 360.0, "dx": 8.0 * episode, "dy": 2.0 * step, "scaledX": 0.0, "scaledY": 0.0,
        "dwheel": 0.0, "buttons": [], "newButtons": [],
    }  # fmt: skip
    keyboard = {"keys": keys, "newKeys": [], "chars": ""}
    times = {"tick": step, "milli": 1_649_575_088_000 + 1000 * step // FPS, "hotbar": 0}
    return {
        "mouse": mouse,
        "keyboard": keyboard,
        "isGuiOpen": False,
        "yaw": 0.0,
        "stats": {},
        **times,
    }


def _make_lerobot(folder: Path) -> None:
    """A LeRobotDataset v3.0 of CALVIN's actions, all episodes in one file and one video."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    video = Path("videos", CAMERA, "chunk-000")
    for name in (Path("meta/episodes/chunk-000"), Path("data/chunk-000"), video):
        (folder / name).mkdir(parents=True)
    features = {
        CAMERA: {"dtype": "video", "shape": [48, 64, 3], "names": None},
        "action": {"dtype": "float32", "shape": [7], "names": None},
    }
    info = {"codebase_version": "v3.0", "fps": FPS, "robot_type": "arm", "features": features,
            "total_episodes": EPISODES, "total_frames": EPISODES * STEPS,
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"}  # fmt: skip
    (folder / "meta/info.json").write_text(json.dumps(info))
    tasks = {"task_index": [0], "__index_level_0__": ["open the drawer"]}
    pq.write_table(pa.table(tasks), folder / "meta/tasks.parquet")
    rows = [_lerobot_episode(episode) for episode in range(EPISODES)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "meta/episodes/chunk-000/file-000.parquet")
    numbers = [(episode, t) for episode in range(EPISODES) for t in range(STEPS)]
    steps = [_lerobot_step(index, *number) for index, number in enumerate(numbers)]
    pq.write_table(pa.Table.from_pylist(steps), folder / "data/chunk-000/file-000.parquet")
    _film(folder / video / "file-000.mp4", [_grey(*number) for number in numbers])


def _lerobot_episode(episode: int) -> dict[str, Any]:
    return {
        "episode_index": episode, "length": STEPS, "tasks": ["open the drawer"],
        "dataset_from_index": episode * STEPS, "dataset_to_index": (episode + 1) * STEPS,
        "data/chunk_index": 0, "data/file_index": 0,
        f"videos/{CAMERA}/chunk_index": 0, f"videos/{CAMERA}/file_index": 0,
        f"videos/{CAMERA}/from_timestamp": episode * STEPS / FPS,
        f"videos/{CAMERA}/to_timestamp": (episode + 1) * STEPS / FPS,
    }  # fmt: skip


def _lerobot_step(index: int, episode: int, step: int) -> dict[str, Any]:
    return {
        "index": index, "episode_index": episode, "frame_index": step, "task_index": 0,
        "timestamp": step / FPS, "action": [0.1 * episode, 0.05 * step, 0.0, 0.0, 0.0, 0.0, 1.0],
    }  # fmt: skip


SOURCES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "captions": (_make_clips, []),
    "lerobot": (_make_lerobot, ["--game", "calvin"]),
    "vpt": (_make_vpt, ["--game", "minecraft"]),
}
"""How a source of each format is made, and the options of its import."""
