"""Import job: what is held, skipped and clipped, and what a killed import leaves behind."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from games.registry import load
from recorder import CaptureError, CaptureInfo, DiskFullError, ImportJob, Skipped, open_episodes
from recorder.capture.staging import STAGING
from recorder.format.manifest import ImportSource
from recorder.formats.import_job import content_hash, file_hash

SPEC = load("clips").spec
PICTURE = np.zeros(SPEC.frame.shape, np.uint8)


def source(content: str, options: str = "") -> ImportSource:
    return ImportSource(name=f"{content}.mp4", sha256=content_hash(content), options=options)


def add(job: ImportJob, content: str, options: str = "", steps: int = 2) -> None:
    with job.reading(f"{content}.mp4"):
        if not job.holds(source(content, options)):
            with job.capture(SPEC, CaptureInfo(), source(content, options)) as capture:
                for _ in range(steps):
                    capture.step(PICTURE, {})


def test_an_episode_is_added_once(tmp_path: Path) -> None:
    first = ImportJob(tmp_path)
    for content in ("a", "b", "a"):
        add(first, content)
    assert (first.report().added, first.report().held) == (2, 1)
    second = ImportJob(tmp_path)
    for content in ("b", "c"):
        add(second, content)
    assert (second.report().added, second.report().held) == (1, 1)
    episodes = open_episodes(tmp_path)
    assert [len(episode) for episode in episodes] == [2, 2, 2]
    assert {e.header.source for e in episodes} == {source(content) for content in "abc"}


def test_the_same_content_with_other_options_is_named_and_not_added(tmp_path: Path) -> None:
    add(ImportJob(tmp_path), "a", "numbers 0 1")
    job = ImportJob(tmp_path)
    add(job, "a", "numbers 1 0")
    (skipped,) = job.report().skipped
    assert skipped.source == "a.mp4"
    assert "with other options (numbers 0 1)" in skipped.why
    assert job.report().added == 0


def test_what_cannot_be_read_is_skipped_or_stops_a_strict_import(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = ImportJob(tmp_path)
    with job.reading("a.mp4"):
        raise CaptureError("it has no video")
    add(job, "b", steps=0)
    add(job, "c")
    reasons = (Skipped("a.mp4", "it has no video"), Skipped("b.mp4", "no step of it can be read"))
    assert job.report().skipped == reasons
    assert job.report().added == len(open_episodes(tmp_path)) == 1
    assert "skipped a.mp4: it has no video" in caplog.text
    strict = ImportJob(tmp_path, strict=True)
    with pytest.raises(CaptureError, match=r"a\.mp4: it has no video"), strict.reading("a.mp4"):
        raise CaptureError("it has no video")


def test_a_full_disk_is_not_skipped(tmp_path: Path) -> None:
    job = ImportJob(tmp_path, disk_needed=1 << 60)
    with pytest.raises(DiskFullError):
        add(job, "a")
    assert list(tmp_path.iterdir()) == []


def test_the_first_values_beyond_the_range_are_warned_of_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = ImportJob(tmp_path)
    add(job, "a", steps=8)
    with caplog.at_level(logging.WARNING, "iafm.import"):
        for steps in (0, 3, 1):
            job.clip(steps, f"{steps} steps lie beyond the range")
    assert [record.getMessage() for record in caplog.records] == ["3 steps lie beyond the range"]
    assert job.report().clipped == 0.5


def test_a_damaged_capture_is_named_since_it_may_be_doubled(tmp_path: Path) -> None:
    add(ImportJob(tmp_path), "a")
    (episode,) = open_episodes(tmp_path)
    (episode.folder / "manifest.json").write_text("")
    (skipped,) = ImportJob(tmp_path).report().skipped
    assert skipped.source == episode.id
    assert skipped.why.endswith("what it holds may be imported again")


@pytest.mark.parametrize("when", ["raise KeyboardInterrupt", "os.kill(os.getpid(), 9)"])
def test_an_import_that_ends_in_the_middle_leaves_no_capture(tmp_path: Path, when: str) -> None:
    script = f"""
import os, sys
from pathlib import Path
import numpy as np
from games.registry import load
from recorder import CaptureInfo, ImportJob
from recorder.format.manifest import ImportSource
SPEC = load("clips").spec
job, source = ImportJob(Path(sys.argv[1])), ImportSource(name="a", sha256="0")
with job.capture(SPEC, CaptureInfo(), source) as capture:
    capture.step(np.zeros(SPEC.frame.shape, np.uint8), {{}})
    {when}
"""
    subprocess.run([sys.executable, "-c", script, tmp_path], stderr=subprocess.DEVNULL, check=False)
    job = ImportJob(tmp_path)
    assert not (tmp_path / STAGING).exists()
    add(job, "a")
    assert len(open_episodes(tmp_path)) == 1


def test_a_hash_tells_where_a_part_ends(tmp_path: Path) -> None:
    assert content_hash("ab", "c") != content_hash("a", "bc")
    assert content_hash(b"a") == content_hash("a")
    path = tmp_path / "file"
    path.write_bytes(b"one")
    before = file_hash(path)
    path.write_bytes(b"other")
    assert file_hash(path) != before
    with pytest.raises(CaptureError, match="No such file"):
        file_hash(tmp_path / "none")
