"""LeRobotDataset export: what is exported comes back bit by bit, in the layout of LeRobot v3.0."""

import errno
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from games import Action, Axis, Button, Camera, Choice, FrameSize, GameSpec, Stick, Text
from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    DiskFullError,
    Episode,
    EpisodeSet,
    decode_cache,
    export_lerobot,
    merge_stats,
    open_episodes,
)
from recorder.formats.lerobot.statistics import column_stats

SPEC = GameSpec(
    id="toy-v0",
    title="Toy",
    frame=FrameSize(height=16, width=32),
    step_hz=20,
    controls=(
        Button(name="jump"),
        Camera(name="camera", pitch_bins=(-1.61, 0, 1.61), yaw_bins=(-0.1, 0, 0.1)),
        Stick(name="stick", rotation_bins=7, magnitude_bins=3),
        Axis(name="throttle", bins=11),
        Choice(name="tool", options=("none", "axe", "pick")),
        Text(name="chat"),
    ),
)
FEATURES = "action observation.images.main timestamp frame_index episode_index index task_index"


def random_action(rng: np.random.Generator) -> Action:
    return {
        "jump": int(rng.integers(2)),
        "camera": tuple(rng.choice([-1.61, 0, 1.61], 1)) + tuple(rng.choice([-0.1, 0, 0.1], 1)),
        "stick": (float(rng.integers(360)), float(rng.random())),
        "throttle": float(rng.uniform(-1, 1)),
        "tool": int(rng.integers(3)),
        "chat": "hello" if rng.random() < 0.1 else "",
    }


def record(root: Path, seed: int, steps: int, spec: GameSpec = SPEC, **options: Any) -> None:
    rng = np.random.default_rng(seed)
    info = CaptureInfo(instruction=f"task {seed % 2}", task="toy", seed=seed)
    with CaptureWriter.create(root, spec, info, **options) as capture:
        first = capture.text(style="instruction", text="go", source="teacher")
        capture.text(style="instruction", text="stop", source="human_post", supersedes=first)
        for i in range(steps):
            frame = rng.integers(0, 256, spec.frame.shape, np.uint8)
            other = random_action(rng) if i % 5 == 1 else None
            if i == 3:
                capture.count_dropped()
            capture.step(frame, random_action(rng), executed=other, reward=i / 10, observed=i != 4)
        capture.close(success=True)


def same(captures: Sequence[Episode], others: Sequence[Episode]) -> None:
    assert [e.id for e in captures] == [e.id for e in others]
    for one, other in zip(captures, others, strict=True):
        assert len(one) == len(other)
        assert one.actions == other.actions
        assert one.executed == other.executed
        assert one.rewards == other.rewards
        assert one.observed == other.observed
        assert one.texts == other.texts
        assert one.all_texts == other.all_texts
        assert one.dropped_before == other.dropped_before == {3: 1}
        assert one.manifest == other.manifest
        assert (one.frames() == other.frames()).all()
        assert (one.frames(7, 30, 11) == other.frames(7, 30, 11)).all()


def test_a_dataset_gives_back_what_was_exported(tmp_path: Path) -> None:
    for seed, steps in enumerate((30, 47, 12)):
        record(tmp_path / "captures", seed, steps)
    captures = open_episodes(tmp_path / "captures")
    calls = []
    out = tmp_path / "dataset"
    assert export_lerobot(captures, out, progress=lambda *done: calls.append(done)).added == 3
    assert calls == [(1, 3), (2, 3), (3, 3)]
    same(captures, open_episodes(out))
    cache = decode_cache(open_episodes(out), tmp_path / "frames.u8", workers=1)
    assert (cache == np.concatenate([e.frames() for e in captures])).all()
    assert not list(tmp_path.glob("*.draft"))


def test_the_layout_is_lerobot_v3(tmp_path: Path) -> None:
    for seed, steps in enumerate((30, 47)):
        record(tmp_path / "captures", seed, steps)
    out = tmp_path / "dataset"
    captures = open_episodes(tmp_path / "captures")
    lengths = [len(e) for e in captures]
    export_lerobot(captures, out)
    info = json.loads((out / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (2, 77, 2)
    assert info["fps"] == 20
    assert set(info["features"]) == set(FEATURES.split())
    assert info["features"]["action"]["names"][:3] == ["jump", "camera.pitch_deg", "camera.yaw_deg"]
    assert info["splits"] == {"train": "0:2"}

    data = pq.read_table(out / "data/chunk-000/file-000.parquet")
    assert data.num_rows == 77
    assert data["action"].type.list_size == 7
    assert data["index"].to_pylist() == list(range(77))
    assert data["frame_index"].to_pylist() == [i for length in lengths for i in range(length)]
    assert data["timestamp"].to_pylist()[lengths[0] + 1] == pytest.approx(1 / 20)

    episodes = pq.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    video = "videos/observation.images.main"
    assert [e["dataset_from_index"] for e in episodes] == [0, lengths[0]]
    assert [e[f"{video}/to_timestamp"] for e in episodes] == pytest.approx([lengths[0] / 20, 3.85])
    assert [e["tasks"] for e in episodes] == [[e.header.instruction] for e in captures]
    with av.open(str(out / video / "chunk-000/file-000.mp4")) as container:
        times = [
            float(video_frame.time) for video_frame in container.decode(container.streams.video[0])
        ]
    assert times == pytest.approx(list(np.arange(77) / 20))

    stats = json.loads((out / "meta/stats.json").read_text())
    actions = np.array(data["action"].to_pylist())
    assert stats["action"]["mean"] == pytest.approx(actions.mean(0).tolist())
    assert stats["action"]["std"] == pytest.approx(actions.std(0).tolist())
    assert np.shape(stats["observation.images.main"]["mean"]) == (3, 1, 1)
    tasks = pq.read_table(out / "meta/tasks.parquet")
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]


def test_a_dataset_is_extended_by_what_it_lacks(tmp_path: Path) -> None:
    record(tmp_path / "captures", 0, 20)
    out = tmp_path / "dataset"
    export_lerobot(open_episodes(tmp_path / "captures"), out)
    record(tmp_path / "captures", 1, 25)
    captures = open_episodes(tmp_path / "captures")
    assert export_lerobot(captures, out).added == 1
    assert export_lerobot(captures, out).added == 0
    together = open_episodes(out)
    assert {e.id for e in together} == {e.id for e in captures}
    same(sorted(together, key=lambda e: e.id), list(captures))
    stats = json.loads((out / "meta/stats.json").read_text())
    assert stats["index"]["count"] == [45]
    assert stats["index"]["std"] == pytest.approx([np.arange(45).std()])
    again = tmp_path / "again"
    assert export_lerobot(together, again).added == 2
    same(open_episodes(again), together)


def test_a_replacement_cut_off_half_way_is_undone(tmp_path: Path) -> None:
    record(tmp_path / "captures", 0, 20)
    captures = open_episodes(tmp_path / "captures")
    out = tmp_path / "dataset"
    export_lerobot(captures, out)
    out.rename(tmp_path / "dataset.old")
    (tmp_path / "dataset.draft").mkdir()
    assert export_lerobot(captures, out).added == 0
    same(open_episodes(out), captures)


def test_other_headers_begin_another_file(tmp_path: Path) -> None:
    record(tmp_path / "captures", 0, 20)
    record(tmp_path / "captures", 1, 21)
    broken = sorted((tmp_path / "captures").iterdir())[0]
    with av.open(str(broken / "video/main.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        stream.options = {"bf": "0"}
        for i in range(30):
            video_frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), 8 * i, np.uint8))
            video_frame.pts = i
            container.mux(stream.encode(video_frame))
        container.mux(stream.encode(None))
    captures = open_episodes(tmp_path / "captures")
    export_lerobot(captures, tmp_path / "dataset")
    same(open_episodes(tmp_path / "dataset"), captures)
    assert len(list((tmp_path / "dataset").rglob("*.mp4"))) == 2


def test_what_cannot_be_exported_or_read_is_said(tmp_path: Path) -> None:
    record(tmp_path / "captures", 0, 20)
    captures = open_episodes(tmp_path / "captures")
    (tmp_path / "occupied").mkdir()
    with pytest.raises(CaptureError, match="choose another folder"):
        export_lerobot(captures, tmp_path / "occupied")
    out = tmp_path / "dataset"
    (out / "meta").mkdir(parents=True)
    (out / "meta/info.json").write_text('{"codebase_version": "v2.1"}')
    with pytest.raises(CaptureError, match=r"v2\.1"):
        open_episodes(out)
    (out / "meta/info.json").write_text("{")
    with pytest.raises(CaptureError, match=r"info\.json cannot be read"):
        open_episodes(out)
    (out / "meta/info.json").write_text('{"codebase_version": "v3.0"}')
    with pytest.raises(CaptureError, match="iafm episodes export"):
        open_episodes(out)


def lose_video(folder: Path) -> None:
    (folder / "video/main.mp4").unlink()


def cut_video(folder: Path) -> None:
    path = folder / "video/main.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_actions(folder: Path) -> None:
    path = folder / "actions.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:9]))


def spoil_action(folder: Path) -> None:
    path = folder / "actions.jsonl"
    lines = path.read_text().splitlines()
    row = json.loads(lines[5])
    lines[5] = json.dumps({**row, "action": {"throttle": float("nan")}})
    path.write_text("\n".join(lines) + "\n")


def spoil_reward(folder: Path) -> None:
    path = folder / "actions.jsonl"
    lines = path.read_text().splitlines()
    lines[5] = json.dumps({**json.loads(lines[5]), "reward": float("inf")})
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "damage", [lose_video, cut_video, lose_actions, spoil_action, spoil_reward]
)
def test_what_cannot_be_read_is_skipped(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    for seed, steps in enumerate((20, 41, 12)):
        record(tmp_path / "captures", seed, steps)
    captures = sorted(open_episodes(tmp_path / "captures"), key=len)
    damage(captures[1].folder)
    captures = sorted(open_episodes(tmp_path / "captures"), key=len)
    out = tmp_path / "dataset"
    report = export_lerobot(EpisodeSet(captures), out)
    assert report.added == 2
    assert [part.source for part in report.skipped] == [captures[1].id]
    assert "\n" not in report.skipped[0].why
    same([captures[0], captures[2]], open_episodes(out))
    table = pq.read_table(out / "data/chunk-000/file-000.parquet")
    assert table["index"].to_pylist() == list(range(12 + 41))
    with pytest.raises(CaptureError):
        export_lerobot(EpisodeSet(captures), tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()
    alone = export_lerobot(EpisodeSet([captures[1]]), tmp_path / "alone")
    assert (alone.added, len(alone.skipped)) == (0, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captures", "dataset"]


@pytest.mark.parametrize("place", ["pyarrow.parquet.ParquetWriter.write_table", "json.dumps"])
def test_a_full_disk_leaves_the_dataset_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    record(tmp_path / "captures", 0, 20)
    out = tmp_path / "dataset"
    export_lerobot(open_episodes(tmp_path / "captures"), out)
    first = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    record(tmp_path / "captures", 1, 20)
    captures = open_episodes(tmp_path / "captures")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(place, full)
    with pytest.raises(DiskFullError, match="make room first"):
        export_lerobot(captures, out)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captures", "dataset"]
    assert export_lerobot(captures, out).added == 1


def test_any_text_survives_an_extension(tmp_path: Path) -> None:
    """Some characters end a line for `str.splitlines`, not for JSON lines."""
    words = "one\u2028two\x85three\x0cfour"
    for seed in range(2):
        info = CaptureInfo(instruction=words, seed=seed)
        with CaptureWriter.create(tmp_path / "captures", SPEC, info) as capture:
            capture.text(style="thought", text=words)
            capture.step(np.zeros(SPEC.frame.shape, np.uint8), {"chat": words})
            capture.close()
        captures = open_episodes(tmp_path / "captures")
        assert export_lerobot(captures, tmp_path / "dataset").added == 1
    for episode in open_episodes(tmp_path / "dataset"):
        assert [span.text for span in episode.texts] == [words]
        assert [action["chat"] for action in episode.actions] == [words]
        assert episode.header.instruction == words


def test_a_damaged_dataset_is_not_extended(tmp_path: Path) -> None:
    record(tmp_path / "captures", 0, 20)
    record(tmp_path / "captures", 1, 20)
    captures = open_episodes(tmp_path / "captures")
    out = tmp_path / "dataset"
    export_lerobot(captures, out)
    lines = (out / "meta/iafm/episodes.jsonl").read_text().splitlines()
    (out / "meta/iafm/episodes.jsonl").write_text(f"{lines[0]}\n{lines[1][:50]}\n")
    with pytest.raises(CaptureError, match=r"dataset, episode 1: .*export to another folder"):
        export_lerobot(captures, out)


def test_merged_statistics_equal_those_of_the_whole() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3))
    merged = merge_stats(
        [column_stats(rows[:7]), column_stats(rows[7:30]), column_stats(rows[30:])]
    )
    all_rows = column_stats(rows)
    assert merged["count"] == [50]
    for key in ("min", "max", "mean", "std"):
        assert merged[key] == pytest.approx(all_rows[key])
