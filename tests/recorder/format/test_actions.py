"""Action rows: who wanted what, what was executed and by whom, and captures of format 1."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from games.voxel import SPEC
from recorder import (
    CaptureError,
    CaptureInfo,
    CaptureWriter,
    Episode,
    LiveRecorder,
    export_lerobot,
    open_episodes,
    recover,
    validate,
)
from recorder.format.manifest import read_lines, read_manifest

FRAME = np.full(SPEC.frame.shape, 90, np.uint8)


def record(root: Path, recorder: type[CaptureWriter | LiveRecorder] = CaptureWriter) -> Path:
    """Four steps: as wanted, executed otherwise, by another actor, and not observed."""
    with recorder.create(root, SPEC, CaptureInfo(actor="agent", seed=3)) as capture:
        capture.step(FRAME, {"forward": 1})
        capture.step(FRAME, {"forward": 1}, executed={"jump": 1, "camera": (0, 9)})
        capture.step(FRAME, {"attack": 1}, executed={"attack": 1}, by="human", reward=1.0)
        capture.step(FRAME, {}, observed=False)
        capture.close(success=True)
    return capture.folder


def as_format_1(folder: Path, **manifest: object) -> None:
    """Rewrite a capture as it was written before `action`, `executed` and `by`."""
    raw = json.loads((folder / "manifest.json").read_text())
    raw["info"]["player"] = raw["info"].pop("actor")
    (folder / "manifest.json").write_text(json.dumps({**raw, "format": 1, **manifest}))
    lines = []
    for row in read_lines(folder / "actions.jsonl"):
        other = row["executed"]
        old = {"i": row["i"], "human": row["action"], "agent": other, "known": row["observed"]}
        old |= {"executed": "human" if other is None else "agent", "reward": row["reward"]}
        lines.append(json.dumps(old) + "\n")
    (folder / "actions.jsonl").write_text("".join(lines))


def check(episode: Episode, by: list[str]) -> None:
    """The four steps of `record`."""
    assert episode.header.actor == "agent"
    jump = SPEC.normalize({"jump": 1, "camera": (0, 9)})
    wanted = [SPEC.normalize(a) for a in ({"forward": 1}, {"forward": 1}, {"attack": 1}, {})]
    assert episode.actions == wanted
    assert episode.executed == [wanted[0], jump, *wanted[2:]]
    assert episode.observed == [True, True, True, False]
    assert episode.rewards == [0, 0, 1, 0]
    assert episode.by == by
    assert validate(episode) == []


BY = ["agent", "agent", "human", "agent"]


@pytest.mark.parametrize("recorder", [CaptureWriter, LiveRecorder])
def test_rows_say_action_executed_and_by(
    tmp_path: Path, recorder: type[CaptureWriter | LiveRecorder]
) -> None:
    folder = record(tmp_path, recorder)
    assert read_lines(folder / "actions.jsonl")[:3] == [
        {"i": 0, "action": {"forward": 1}, "executed": None, "by": "agent", "observed": True,
         "reward": 0.0},
        {"i": 1, "action": {"forward": 1}, "executed": {"jump": 1, "camera": [0.0, 9.0]},
         "by": "agent", "observed": True, "reward": 0.0},
        {"i": 2, "action": {"attack": 1}, "executed": None, "by": "human", "observed": True,
         "reward": 1.0},
    ]  # fmt: skip
    assert json.loads((folder / "manifest.json").read_text())["format"] == 2
    check(Episode.open(folder), BY)


def test_format_1_is_read_validated_and_exported(tmp_path: Path) -> None:
    as_format_1(record(tmp_path / "captures"))
    (episode,) = captures = open_episodes(tmp_path / "captures")
    check(episode, ["agent"] * 4)  # format 1 does not say who acted at a step
    assert export_lerobot(captures, tmp_path / "dataset").added == 1
    check(open_episodes(tmp_path / "dataset")[0], ["agent"] * 4)


def test_format_1_is_recovered_as_format_2(tmp_path: Path) -> None:
    folder = record(tmp_path)
    as_format_1(folder, status="recording", steps=None)
    (report,) = recover(tmp_path)
    assert (report.outcome, report.steps) == ("recovered", 4)
    assert json.loads((folder / "manifest.json").read_text())["format"] == 2
    assert read_lines(folder / "actions.jsonl")[2]["by"] == "agent"
    check(Episode.open(folder), ["agent"] * 4)


def test_who_acted_survives_the_export(tmp_path: Path) -> None:
    record(tmp_path / "captures")
    export_lerobot(open_episodes(tmp_path / "captures"), tmp_path / "dataset")
    check(open_episodes(tmp_path / "dataset")[0], BY)


def test_a_dataset_of_format_1_is_read(tmp_path: Path) -> None:
    record(tmp_path / "captures")
    export_lerobot(open_episodes(tmp_path / "captures"), tmp_path / "dataset")
    extras = tmp_path / "dataset/meta/iafm/episodes.jsonl"
    line = json.loads(extras.read_text())
    line["manifest"] |= {"format": 1}
    line["manifest"]["info"]["player"] = line["manifest"]["info"].pop("actor")
    line["unknown"] = line.pop("unobserved")
    del line["by"]
    extras.write_text(json.dumps(line) + "\n")
    check(open_episodes(tmp_path / "dataset")[0], ["agent"] * 4)


@pytest.mark.parametrize("change", [{"action": 7}, {"executed": [1]}, {"by": None}])
def test_a_row_of_another_form_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = record(tmp_path)
    rows = read_lines(folder / "actions.jsonl")
    rows[2] |= change
    (folder / "actions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(CaptureError, match="line 3: "):
        _ = Episode.open(folder).actions


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    folder = record(tmp_path)
    raw = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**raw, "format": 3}))
    with pytest.raises(CaptureError, match="format 3, this version reads 1 and 2"):
        read_manifest(folder)
