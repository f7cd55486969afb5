"""Downloads of an index: both files of a recording or none, up to the limit, and on where they were stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder import CaptureError, DiskFullError, Skipped, read_index
from recorder.formats.vpt.download import DownloadPlan, plan_download, run_download
from recorder.formats.vpt.folder import recordings
from recorder.formats.web_file import WebClient
from tests.recorder.formats.faulty_server import Fault, FaultyServer, Served, faulty_server

NAMES = [f"data/6.{version}/play-{k}" for version in (9, 13) for k in range(2)]
LINES, VIDEO = b"{}\n" * 10, b"mp4 " * 500
PAIR = len(LINES) + len(VIDEO)


@pytest.fixture(scope="module")
def running() -> Iterator[FaultyServer]:
    with faulty_server() as server:
        yield server


@pytest.fixture
def server(running: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> FaultyServer:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("recorder.formats.web_file.BACKOFF_S", 0)
    running.files.clear()
    running.faults.clear()
    running.requests.clear()
    for name in NAMES:
        running.files[f"/{name}.jsonl"] = Served(LINES)
        running.files[f"/{name}.mp4"] = Served(VIDEO)
    index = {"basedir": running.url, "relpaths": [f"{name}.mp4" for name in NAMES]}
    running.files["/all.json"] = Served(json.dumps(index).encode())
    return running


def plan(server: FaultyServer, out: Path, limit: float = 1e9, match: str = "") -> DownloadPlan:
    client = WebClient(5, lambda _: None)
    index = read_index(server.url + "/all.json", client).matching(match)
    return plan_download(index, out, limit, client)


def run(server: FaultyServer, out: Path, **options: Any) -> tuple[int, tuple[Skipped, ...]]:
    report = run_download(plan(server, out, **options), WebClient(5, lambda _: None))
    return report.added, report.skipped


def files(out: Path) -> list[str]:
    """Files of a folder, without the lock."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("[!.]*") if path.is_file())


def pairs(*names: str) -> list[str]:
    return sorted(f"{name}{end}" for name in names for end in (".jsonl", ".mp4"))


def test_all_of_an_index(server: FaultyServer, tmp_path: Path) -> None:
    assert run(server, tmp_path) == (4, ())
    assert files(tmp_path) == pairs("6.9/play-0", "6.9/play-1", "6.13/play-0", "6.13/play-1")
    assert (tmp_path / "6.9/play-0.mp4").read_bytes() == VIDEO
    assert [r.version for r in recordings(tmp_path)] == ["6.13", "6.13", "6.9", "6.9"]
    server.requests.clear()
    assert run(server, tmp_path) == (0, ())
    assert [method for method, *_ in server.requests] == ["GET"]  # the index


def test_the_limit_counts_what_is_there(server: FaultyServer, tmp_path: Path) -> None:
    for _ in range(2):
        planned = plan(server, tmp_path, limit=2.5 * PAIR)
        assert (planned.held + len(planned.recordings), planned.left_out) == (2, 2)
        run(server, tmp_path, limit=2.5 * PAIR)
        assert files(tmp_path) == pairs("6.9/play-0", "6.9/play-1")
    assert plan(server, tmp_path, limit=2 * PAIR).left_out == 2
    assert len(plan(server, tmp_path, limit=3 * PAIR).recordings) == 1


def test_a_recording_that_lacks_a_file(server: FaultyServer, tmp_path: Path) -> None:
    del server.files["/data/6.9/play-0.jsonl"], server.files["/data/6.13/play-0.mp4"]
    added, skipped = run(server, tmp_path)
    assert (added, [each.source for each in skipped]) == (2, ["6.9/play-0", "6.13/play-0"])
    assert all("answers 404" in each.why for each in skipped)
    assert files(tmp_path) == pairs("6.9/play-1", "6.13/play-1")


def test_a_file_that_goes_away_leaves_no_half(server: FaultyServer, tmp_path: Path) -> None:
    server.faults["/data/6.9/play-0.mp4"] = [Fault(on="HEAD"), Fault(status=404)]
    added, skipped = run(server, tmp_path, match="6.9/")
    assert (added, len(skipped)) == (1, 1)
    assert [r.name for r in recordings(tmp_path)] == ["6.9/play-1"]
    assert run(server, tmp_path, match="6.9/") == (1, ())
    assert files(tmp_path) == pairs("6.9/play-0", "6.9/play-1")


def test_after_a_kill_between_the_two_names(server: FaultyServer, tmp_path: Path) -> None:
    run(server, tmp_path)
    lines = tmp_path / "6.9/play-0.jsonl"
    lines.unlink()
    assert plan(server, tmp_path).missing == len(LINES)
    assert run(server, tmp_path) == (1, ())
    assert lines.read_bytes() == LINES


def test_ctrl_c_and_again(server: FaultyServer, tmp_path: Path) -> None:
    def stop(done: float, total: float, _: str) -> None:
        assert total == 4 * PAIR
        if done >= 2 * PAIR + len(LINES) + 100:
            raise KeyboardInterrupt

    server.faults["/data/6.13/play-0.mp4"] = [Fault(on="HEAD"), Fault(cut=100)]
    with pytest.raises(KeyboardInterrupt):
        run_download(plan(server, tmp_path), WebClient(5, lambda _: None), stop)
    assert recordings(tmp_path)[0].name == "6.9/play-0"
    server.requests.clear()
    assert run(server, tmp_path) == (2, ())
    assert ("GET", "/data/6.13/play-0.mp4", "bytes=100-") in server.requests
    received = {path for method, path, _ in server.requests if method == "GET"}
    assert received == {"/all.json", *(f"/data/6.13/{file}" for file in ("play-0.mp4", *pairs("play-1")))}  # fmt: skip


def test_two_at_once_are_not_mixed(server: FaultyServer, tmp_path: Path) -> None:
    def second(*_: object) -> None:
        with pytest.raises(CaptureError, match="another process downloads to"):
            run(server, tmp_path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_download(plan(server, tmp_path), WebClient(5, lambda _: None), second)
    assert run(server, tmp_path) == (4, ())


def test_a_dead_server_ends_it(server: FaultyServer, tmp_path: Path) -> None:
    for name in NAMES:
        server.faults[f"/{name}.jsonl"] = [Fault(on="HEAD", status=503)] * 6
    with pytest.raises(CaptureError, match="answers 503, 6 times; the same command goes on later"):
        run(server, tmp_path)


def test_no_room_is_said_before_anything_is_received(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = PAIR

    monkeypatch.setattr("recorder.capture.disk_guard.shutil.disk_usage", lambda _: Usage)
    with pytest.raises(DiskFullError, match="make room first"):
        run(server, tmp_path)
    assert files(tmp_path) == []
