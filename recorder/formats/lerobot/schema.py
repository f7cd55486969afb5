"""LeRobotDataset v3.0 schema: paths, features, and our additions under `meta/iafm`.

After the public format of huggingface/lerobot (`src/lerobot/datasets`, codebase version v3.0); written by our own
code, since that package cannot be installed beside our torch.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from games import GameSpec
from recorder.format.manifest import Manifest, TextSpan
from recorder.format.video import frame_rate
from recorder.formats.lerobot.vectors import column_names

VERSION = "v3.0"
CAMERA = "observation.images.main"
FILES_PER_CHUNK = 1000
DATA_FILE_MB, VIDEO_FILE_MB = 100, 200
"""Size at which the next file is begun."""

INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
OWN_SPEC, OWN_EPISODES = "meta/iafm/spec.json", "meta/iafm/episodes.jsonl"

SCALARS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""The columns every LeRobot dataset has beside its own."""


class Extras(BaseModel):
    """What one episode has beyond LeRobot's columns: a line of `meta/iafm/episodes.jsonl`.

    `executed`, `agent_actions`, `words`, `rewards` and `by` hold only the steps that have such a value, by step number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: Manifest
    texts: tuple[TextSpan, ...] = ()
    executed: dict[int, dict[str, Any]] = {}
    agent_actions: dict[int, dict[str, Any]] = {}
    words: dict[int, dict[str, str]] = {}
    rewards: dict[int, float] = {}
    by: dict[int, str] = {}
    """Who acted, where that is not the header's actor."""
    unobserved: tuple[int, ...] = ()
    """Steps whose action was guessed afterwards."""
    dropped_before: dict[int, int] = {}

    @model_validator(mode="before")
    @classmethod
    def _as_format_2(cls, raw: Any) -> Any:
        """Datasets of captures of format 1 have `unknown`."""
        names = {"unknown": "unobserved"}
        return {names.get(k, k): v for k, v in raw.items()} if isinstance(raw, dict) else raw


def data_file(number: int) -> str:
    return DATA_PATH.format(**place(number))


def video_file(number: int) -> str:
    return VIDEO_PATH.format(video_key=CAMERA, **place(number))


def place(number: int) -> dict[str, int]:
    """A running file number as chunk and file index."""
    return {"chunk_index": number // FILES_PER_CHUNK, "file_index": number % FILES_PER_CHUNK}


def info(
    spec: GameSpec, pixel_format: str, episodes: int, frames: int, tasks: int
) -> dict[str, Any]:
    """`meta/info.json`."""
    names = column_names(spec)
    rate = frame_rate(spec)
    video = {
        "video.height": spec.frame.height,
        "video.width": spec.frame.width,
        "video.codec": "h264",
        "video.pix_fmt": pixel_format,
        "video.is_depth_map": False,
        "video.fps": rate,
        "video.channels": 3,
        "has_audio": False,
    }
    features: dict[str, Any] = {
        CAMERA: {
            "dtype": "video",
            "shape": list(spec.frame.shape),
            "names": ["height", "width", "channels"],
            "info": video,
        },
        "action": {"dtype": "float32", "shape": [len(names)], "names": names},
    }
    features |= {
        name: {"dtype": kind, "shape": [1], "names": None} for name, kind in SCALARS.items()
    }
    return {
        "codebase_version": VERSION,
        "robot_type": spec.id,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": rate,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": features,
    }
