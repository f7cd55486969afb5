"""The `replay` command: scores, what is skipped, and the user's mistakes in one line."""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent_core.__main__ import main
from agent_core.evaluation.replay import BASELINES, PLAYERS
from bridges.errors import BridgeError, PolicyError
from bridges.policy import Decision, PolicyRequest
from bridges.replay import Match, ReplayClient
from bridges.serving.random_policy import RandomPlayer, RandomPolicy
from bridges.testing.background_server import background_server
from games import GameSpec
from games.brawl import BrawlEnv
from games.brawl.replay import write_replay
from games.registry import load
from games.voxel import SPEC
from recorder import CaptureInfo, CaptureWriter
from recorder.format.manifest import VIDEO

WALK, DIG = {"forward": 1}, {"attack": 1}


def record(root: Path, steps: int = 6, spec: GameSpec = SPEC, gap_at: int = -1) -> Path:
    with CaptureWriter.create(
        root, spec, CaptureInfo(instruction="walk"), disk_needed=0
    ) as capture:
        for i in range(steps):
            if i == gap_at:
                capture.count_dropped(4)
            action = (WALK if i < steps // 2 else DIG) if spec is SPEC else {}
            capture.step(np.full(spec.frame.shape, i, np.uint8), action)
    return capture.folder


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    code = main(["replay", *map(str, args)])
    return code, *capsys.readouterr()


def test_a_report_has_each_player_beside_the_baselines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(2):
        record(tmp_path / "data", gap_at=3 if n else -1)
    code, out, err = run(capsys, tmp_path / "data", "--policy", "random", "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["matches"], report["steps"], report["missing"]) == (2, 12, 4)
    for player in (*PLAYERS, *BASELINES):
        assert {"bleu4", "exact", "button_f1", "stick_deg", "change_f1"} <= set(report[player])
        assert len(report[player]["intervals"]["exact"]) == 2
    # of 6 steps 1 to 2 and 4 to 5 repeat what was before
    assert report["repeat_last"]["exact"] == pytest.approx(4 / 6, abs=1e-4)
    assert report["noop"]["exact"] == 0
    assert [match["steps"] for match in report["by_match"]] == [6, 6]
    assert "4 steps are missing, before step 3" in err
    assert err.count("missing") == 1


def test_the_table_names_both_tokenisations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "both.mp4"
    record(tmp_path / "data")
    code, out, _ = run(capsys, tmp_path / "data", "--policy", "random", "--video", video)
    assert code == 0
    assert "BLEU-4, sacrebleu 13a" in out
    assert "repeat the last" in out
    assert "F1 of attack" in out
    assert video.stat().st_size > 1000


def test_a_corrupt_match_is_skipped_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "data")
    torn = record(tmp_path / "data")
    (torn / "actions.jsonl").write_text("{")
    code, out, err = run(capsys, tmp_path / "data", "--policy", "random", "--json")
    report = json.loads(out)
    assert code == 1
    assert report["matches"] == 1
    assert [each["source"] for each in report["skipped"]] == [torn.name]
    assert f"skipped {torn.name}: " in err
    code, out, err = run(capsys, tmp_path / "data", "--policy", "random", "--strict")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_match_whose_pictures_do_not_decode_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "data")
    torn = record(tmp_path / "data", steps=30)
    video = torn / VIDEO
    content = bytearray(video.read_bytes())
    for begin in (place.end() for place in re.finditer(b"mdat", content)):
        content[begin : begin + 40] = bytes(40)
    video.write_bytes(content)
    code, out, err = run(capsys, tmp_path / "data", "--policy", "random", "--json")
    report = json.loads(out)
    assert (code, report["matches"], len(report["by_match"])) == (1, 1, 1)
    assert [each["source"] for each in report["skipped"]] == [torn.name]
    assert f"skipped {torn.name}: " in err
    code, out, err = run(capsys, tmp_path / "data", "--policy", "random", "--strict")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert torn.name in err


def npz(path: Path, **changes: Any) -> Path:
    """A match of Bleeding Edge, of one step."""
    arrays = {"images": np.zeros((1, 180, 300, 3), np.uint8), "actions": np.zeros((1, 16))}
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **{**arrays, **changes})
    return path


def test_a_match_of_others_is_replayed_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, npz(tmp_path / "m.npz"), "--policy", "random", "--json")
    report = json.loads(out)
    assert (code, report["game"], report["steps"]) == (0, "bleeding-edge-v0", 1)


def test_replay_files_of_the_arena_are_matches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = BrawlEnv()
    for seed in (1, 2):
        env.reset(seed=seed, options={"task": "win_match"})
        for _ in range(3):
            env.step({"left_stick": (0.0, 1.0)})
        write_replay(env.replay(), tmp_path / f"{seed}.npz")
    (tmp_path / "torn.npz").write_bytes(b"PK")
    code, out, err = run(capsys, tmp_path, "--policy", "random", "--json")
    report = json.loads(out)
    assert (code, report["game"], report["matches"], report["steps"]) == (1, "brawl-v0", 2, 6)
    assert [each["source"] for each in report["skipped"]] == ["torn.npz"]
    assert "skipped torn.npz: no replay of brawl" in err


def test_matches_of_others_that_cannot_be_read_are_one_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    npz(tmp_path / "bad" / "a.npz", actions=np.full((1, 16), np.nan))
    npz(tmp_path / "bad" / "b.npz").write_bytes(b"PK")
    code, out, err = run(capsys, tmp_path / "bad", "--policy", "random")
    assert (code, out) == (2, "")
    assert err.splitlines()[-3:] == [
        "skipped a.npz: actions of step 0 is not finite",
        "skipped b.npz: it is no whole .npz: it has no directory, and may be cut off",
        "iafm: replay: none of 2 matches can be read",
    ]
    good = npz(tmp_path / "good.npz")
    for game, why in (("blorb", "no game called 'blorb'"), ("voxel", "no two sticks")):
        code, out, err = run(capsys, good, "--game", game, "--policy", "random")
        assert (code, out) == (2, "")
        assert why in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("end", "code", "name", "value"),
    [
        (KeyboardInterrupt(), 130, "interrupted", True),
        (BridgeError("the server is gone"), 1, "stopped", "the server is gone"),
    ],
)
def test_a_replay_that_ends_early_reports_the_matches_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    end: BaseException, code: int, name: str, value: object,
) -> None:  # fmt: skip
    def replay(client: ReplayClient, match: Match, on_step: Any) -> None:
        replayed.append(match.name)
        if len(replayed) == last:
            raise end
        whole(client, match, on_step)

    for _ in range(3):
        record(tmp_path / "data")
    whole, replayed, last = ReplayClient.replay, list[str](), 2
    monkeypatch.setattr(ReplayClient, "replay", replay)
    done, out, err = run(capsys, tmp_path / "data", "--policy", "random", "--json")
    report = json.loads(out)
    assert (done, report["matches"], report[name]) == (code, 1, value)
    assert "the report is of what had ended" in err
    last = 3  # the first of the next replay
    done, out, _ = run(capsys, tmp_path / "data", "--policy", "random", "--json")
    assert (done, out) == (130 if code == 130 else 2, "")


class Deaf(RandomPolicy):
    """Has an answer to nothing."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        raise ValueError("no answer")


def test_steps_without_an_answer_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "data", steps=4)
    with background_server(Deaf()) as server:
        code, out, _ = run(capsys, tmp_path / "data", "--url", server.url, "--json")
    report = json.loads(out)
    assert (code, report["failed"]) == (0, 2 * 4)  # both ways of asking
    assert report["agent"]["exact"] == report["noop"]["exact"] == 0


def test_it_runs_flat_out_or_at_the_games_pace_and_the_player_takes_the_likeliest_action(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paces: list[float | None] = []
    temperatures: list[float] = []

    def serve(args: argparse.Namespace, game: str) -> RandomPolicy:
        assert game == SPEC.name
        temperatures.append(args.temperature)
        return RandomPolicy()

    def connect(*args: Any, pace_hz: float | None, **options: Any) -> ReplayClient:
        paces.append(pace_hz)
        return ReplayClient(*args, **options)

    monkeypatch.setattr("agent_core.cli.replay.build_policy", serve)
    monkeypatch.setattr("bridges.replay.ReplayClient", connect)
    record(tmp_path, steps=2)
    for options in ((), ("--realtime",), ("--temperature", "0.5")):
        assert run(capsys, tmp_path, *options)[0] == 0
    assert paces == [None, SPEC.step_hz, None]
    assert temperatures == [0.0, 0.0, 0.5]


class Stranger(RandomPolicy):
    """Knows no game."""

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> RandomPlayer:
        raise PolicyError(f"knows none of the controls of {spec.id}")


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voxel, pong = tmp_path / "voxel", tmp_path / "pong"
    record(voxel)
    record(pong, spec=load("pong").spec)
    (tmp_path / "empty").mkdir()
    with background_server(Stranger()) as server:
        url = server.url
        mistakes = {
            "knows none of the controls of voxel-v0": (voxel, "--url", url),
            "replay one game at a time": (voxel, pong, "--policy", "random"),
            "there is no": (tmp_path / "nowhere",),
            "no episodes in": (tmp_path / "empty",),
            "leave it or --url out": (voxel, "--url", url, "--checkpoint", tmp_path),
        }
        for line, args in mistakes.items():
            code, out, err = run(capsys, *args)
            assert (code, out) == (2, "")
            assert line in err
            assert err.count("\n") == 1
    code, _, err = run(capsys, voxel, "--url", url)
    assert code == 2
    assert err.startswith(f"iafm: no server at {url}")
    assert err.count("\n") == 1
