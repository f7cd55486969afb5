"""Recovery: abandoned captures are cut to what is intact and marked, without a traceback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from games import Button, FrameSize, GameSpec
from recorder import CaptureInfo, CaptureWriter, open_episodes, recover, validate
from recorder.capture.spool import SPOOL, Spool
from recorder.format.fragments import fragment_ends
from recorder.format.manifest import read_lines, read_manifest, write_manifest
from recorder.format.process import process_state

SPEC = GameSpec(
    id="toy-v0",
    title="Toy",
    frame=FrameSize(height=32, width=48),
    step_hz=20,
    controls=(Button(name="jump"),),
)


@pytest.fixture
def abandoned(tmp_path: Path) -> Path:
    """A capture of 45 steps as a killed writer leaves it."""
    root = tmp_path / "captures"
    capture = CaptureWriter.create(root, SPEC, CaptureInfo(seed=1))
    for i in range(45):
        capture.step(np.full(SPEC.frame.shape, 5 * i, np.uint8), {"jump": i % 2})
    capture.text(style="thought", text="hop", source="teacher")
    folder = root / capture.folder.name
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    capture.close()
    shutil.rmtree(root)
    copy.rename(root)
    manifest = read_manifest(folder).model_copy(update={"writer": 0})
    write_manifest(folder, manifest)
    return folder


def test_recovery_is_whole_and_happens_once(abandoned: Path) -> None:
    (report,) = recover(abandoned.parent)
    assert (report.outcome, report.steps) == ("recovered", 45)
    before = {p: p.read_bytes() for p in abandoned.rglob("*") if p.is_file()}
    assert recover(abandoned.parent) == []
    assert {p: p.read_bytes() for p in abandoned.rglob("*") if p.is_file()} == before
    assert validate(abandoned) == []
    (episode,) = open_episodes(abandoned.parent)
    assert [t.text for t in episode.texts] == ["hop"]


@pytest.mark.parametrize("share", [0.97, 0.6, 0.3])
def test_a_video_cut_off_anywhere_is_kept_up_to_there(abandoned: Path, share: float) -> None:
    video = abandoned / "video/main.mp4"
    content = video.read_bytes()
    video.write_bytes(content[: int(len(content) * share)])
    (report,) = recover(abandoned.parent)
    assert report.outcome == "recovered"
    assert 0 < report.steps < 45
    assert validate(abandoned) == []
    (episode,) = open_episodes(abandoned.parent)
    means = [int(frame.mean()) for frame in episode.frames()]
    assert means == pytest.approx([5 * i for i in range(report.steps)], abs=3)
    assert [a["jump"] for a in episode.actions] == [i % 2 for i in range(report.steps)]


def test_the_shortest_track_decides(abandoned: Path) -> None:
    actions = abandoned / "actions.jsonl"
    lines = actions.read_bytes().split(b"\n")
    actions.write_bytes(b"\n".join(lines[:20]) + b"\n" + lines[20][:9])
    with (abandoned / "text.jsonl").open("ab") as file:
        file.write(b'{"id": 1, "te')
    (report,) = recover(abandoned.parent)
    assert report.steps == 20
    assert validate(abandoned) == []
    assert [t.i0 for t in open_episodes(abandoned)[0].texts] == [20]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("video/main.mp4", b""),
        ("video/main.mp4", b"garbage" * 99),
        ("actions.jsonl", b"\x00\xff"),
        ("actions.jsonl", None),
        ("frames.jsonl", b"[]\n7\n"),
        ("manifest.json", b"\xff\xfe"),
        ("manifest.json", b"[]"),
        ("manifest.json", b'{"format": 99}'),
    ],
)
def test_garbage_gets_one_line(abandoned: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (abandoned / name).unlink()
    else:
        (abandoned / name).write_bytes(content)
    (report,) = recover(abandoned.parent)
    assert report.outcome not in {"recovered", "still recording"}
    assert "\n" not in report.outcome
    assert len(validate(abandoned)) == 1


@pytest.mark.skipif(process_state(os.getpid()) is None, reason="needs /proc")
def test_only_the_writer_itself_counts_as_alive(abandoned: Path) -> None:
    manifest = read_manifest(abandoned)

    def outcome(**writer: float) -> str:
        write_manifest(abandoned, manifest.model_copy(update=writer))
        return recover(abandoned.parent)[0].outcome

    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        state = process_state(other.pid)
        assert state is not None
        started = state[1]
        assert outcome(writer=other.pid, writer_started=started) == "still recording"
        assert outcome(writer=other.pid, writer_started=started - 9) == "recovered"
    finally:
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, not yet fetched
    assert outcome(writer=other.pid, writer_started=started) == "recovered"
    other.wait()


def test_the_rest_of_a_spool_is_written_up_to_a_damaged_step(
    abandoned: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool.create(abandoned, SPEC.frame.shape, 16)
    for i in range(50):
        values = {
            "action": {"jump": i % 2}, "executed": None, "agent_action": None, "by": "agent", "reward": 0.5,
            "t_ns": 10**18 + i, "wall_ns": i, "observed": False, "dropped": 3 if i == 46 else 0,
        }  # fmt: skip
        spool.put(np.full(SPEC.frame.shape, 5 * i, np.uint8), values if i != 48 else {})
    spool.close()
    (report,) = recover(abandoned.parent)
    assert (report.outcome, report.steps) == ("recovered", 48)
    assert "step 48 is damaged" in caplog.messages[0]
    assert "the 1 after it are left out" in caplog.messages[0]
    (episode,) = open_episodes(abandoned.parent)
    means = [int(frame.mean()) for frame in episode.frames()]
    assert means == pytest.approx([5 * i for i in range(48)], abs=3)
    assert [a["jump"] for a in episode.actions] == [0, 1] * 24
    assert (episode.by[44:], episode.observed[44:]) == (
        ["human", "agent", "agent", "agent"],
        [True, False, False, False],
    )
    assert episode.dropped_before == {46: 3}
    times = read_lines(abandoned / "frames.jsonl")[45:]
    assert [(row["wall_ns"], row["game_tick"]) for row in times] == [(45, 45), (46, 49), (47, 50)]
    assert validate(abandoned) == []
    assert not (abandoned / SPOOL).exists()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.83])
def test_every_byte_of_the_last_fragment_may_be_the_last(abandoned: Path, share: float) -> None:
    video = abandoned / "video/main.mp4"
    *_, before, end = fragment_ends(video)
    os.truncate(video, before + round(share * (end - before)))
    (report,) = recover(abandoned.parent)
    assert (report.outcome, report.steps) == ("recovered", 44)
    assert validate(abandoned) == []


def test_a_damaged_line_costs_itself_where_lines_are_not_numbered(abandoned: Path) -> None:
    texts = abandoned / "text.jsonl"
    line = texts.read_text()
    texts.write_text('{"id": 1, "te\n' + line)
    (abandoned / "events.jsonl").write_text('{"kind": "a"}\n[]\n{"kind": "b"}\n{"kind"')
    assert recover(abandoned.parent)[0].outcome == "recovered"
    assert texts.read_text() == line
    assert [e["kind"] for e in read_lines(abandoned / "events.jsonl")] == ["a", "b"]
    assert validate(abandoned) == []


def test_what_was_killed_before_its_first_step_can_be_deleted(tmp_path: Path) -> None:
    with CaptureWriter.create(tmp_path, SPEC, CaptureInfo()) as capture:
        capture.text(style="thought", text="hop")
        shutil.copytree(capture.folder, tmp_path / "copy")
    shutil.rmtree(capture.folder)
    folder = (tmp_path / "copy").rename(capture.folder)
    write_manifest(folder, read_manifest(folder).model_copy(update={"writer": 0}))
    (report,) = recover(tmp_path)
    assert report.outcome == f"no complete step was written, 1 texts; delete it: rm -r {folder}"
    begun = tmp_path / "20260101T000000_toy_01234567"
    (begun / "video").mkdir(parents=True)
    (begun / "manifest.json.draft").write_text("{")
    foreign = tmp_path / "20260101T000000_toy_89abcdef"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("")
    outcomes = {report.folder: report.outcome for report in recover(tmp_path)}
    assert outcomes[begun].endswith(f"delete it: rm -r {begun}")
    assert "rm" not in outcomes[foreign]


def test_what_no_kill_leaves_is_not_deleted_or_cut(abandoned: Path) -> None:
    (abandoned / "actions.jsonl").write_text("")
    before = (abandoned / "video/main.mp4").read_bytes()
    (report,) = recover(abandoned.parent)
    assert report.outcome == "no step is whole: 45 frames, 0 actions, 45 times"
    assert (abandoned / "video/main.mp4").read_bytes() == before


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import numpy as np
from games import GameSpec
from recorder import CaptureInfo, CaptureWriter, recover, validate
from recorder.capture.spool import Spool
from recorder.format.manifest import read_manifest

spec, root = GameSpec.model_validate_json(sys.argv[1]), Path(sys.argv[2])
CHANGES = {"os.rename", "os.truncate", "os.remove", "os.mkdir"}

def frame(i):
    return np.full(spec.frame.shape, 20 * i, np.uint8)

def write(place):
    with CaptureWriter.create(place, spec, CaptureInfo()) as capture:
        for i in range(6):
            capture.step(frame(i), {"jump": i % 2})
        capture.text(style="thought", text="hop", i0=3)

def abandon(place):
    capture = CaptureWriter.create(place, spec, CaptureInfo())
    spool = Spool.create(capture.folder, spec.frame.shape, 4)
    for i in range(6):
        values = dict(action={"jump": i % 2}, executed=None, agent_action=None, by=None, reward=0.0)
        values |= dict(t_ns=i, wall_ns=i, observed=True, dropped=0)
        spool.put(frame(i), values)
        if i < 3:
            capture.write_spooled(*spool.read(i))
    capture.text(style="thought", text="hop", i0=3)
    (capture.folder / "actions.jsonl").open("a").write('{"i": 3')

def child(work, kill_at):
    count = 0
    def hook(event, args):
        nonlocal count
        if event in CHANGES or (event == "open" and "w" in str(args[1])):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
    process = os.fork()
    if process == 0:
        if kill_at:
            sys.addaudithook(hook)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(process, 0)[1])

def check(name, kill_at, place):
    recover(place)
    for folder in place.iterdir():
        outcomes = [r.outcome for r in recover(place)]
        is_there = (folder / "manifest.json").exists() and read_manifest(folder).steps
        steps = read_manifest(folder).steps if is_there else 0
        left = [p.name for p in folder.rglob("*") if p.suffix in (".draft", ".bin")]
        problems = validate(folder) if steps else []
        print(name, kill_at, steps, outcomes, problems, left if steps else [], sep="|", flush=True)

def rounds(name, prepare, work):
    # This process only forks: what it did itself might leave threads, and locks that a child waits for.
    for kill_at in range(1, 99):
        place = root / f"{name}-{kill_at}"
        prepare(place)
        was_killed = child(lambda: work(place), kill_at)
        if child(lambda: check(name, kill_at, place), 0):
            sys.exit("a check was killed")
        if not was_killed:
            return

rounds("write", lambda place: place.mkdir(), write)
rounds("recover", lambda place: child(lambda: abandon(place), 0), recover)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX processes")
def test_a_kill_between_any_two_changes_of_files_costs_nothing(tmp_path: Path) -> None:
    """The writer loses what it had not written; recovery, killed and repeated, nothing."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, SPEC.model_dump_json(), str(tmp_path)],
        capture_output=True, text=True, check=False, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines()]
    assert len(rows) >= 15
    for name, _, steps, outcomes, problems, left in rows:
        assert (problems, left) == ("[]", "[]")
        if steps == "6":
            assert outcomes == "[]"
        else:
            assert name == "write"
            assert steps == "0"
            assert "delete it: rm -r" in outcomes
    assert {name for name, _, steps, *_ in rows if steps == "6"} == {"write", "recover"}
