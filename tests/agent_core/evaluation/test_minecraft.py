"""Evaluation on the embedded Minecraft server: the same worlds for all, and players' processes that fail.

A shell script stands for Node: it says what a player's process would, and fails where a test wants it to.
"""

from pathlib import Path

import pytest

from agent_core.evaluation.minecraft import (
    ConditionPlay,
    LiveEvaluation,
    Report,
    evaluate_live,
    real_time_table,
)
from agent_core.evaluation.minecraft import _options as options_of
from agent_core.evaluation.plan import HELD_OUT, EpisodeSpec
from agent_core.evaluation.report import success_table
from agent_core.recording.expert import SEED_LIMIT
from bridges.minecraft.packages import Requirements
from bridges.minecraft.process import MinecraftError
from bridges.minecraft.tasks import TASKS, live_spec
from games import UnplayableError

SPEC = live_spec("128x72")
BEGINS = """echo '{"event": "begins"}'"""
EPISODE = (
    """echo '{"event": "episode", "steps": 40, "seconds": 2.0, "answered": 30, "success": true}'"""
)
DONE = """echo '{"event": "done"}'"""
CRASH = """echo '{"event": "failed", "message": "Chromium ended"}'; exit 1"""


def needed(folder: Path, *lives: str) -> Requirements:
    """A Node whose n-th life is the n-th of the scripts, and then the last."""
    cases = "".join(f"{n}) {script} ;;\n" for n, script in enumerate(lives[:-1]))
    node = folder / "node"
    node.write_text(
        f"#!/bin/sh\nread options\necho life >> {folder}/lives\n"
        f"case $(($(wc -l < {folder}/lives) - 1)) in\n{cases}*) {lives[-1]} ;;\nesac\n"
    )
    node.chmod(0o755)
    return Requirements(node, Path("chromium"), folder)


def evaluate(folder: Path, *lives: str, conditions: tuple[str, ...] = ("expert",)) -> Report:
    plan = LiveEvaluation(folder, SPEC, 2, ("chop_tree",), conditions)
    return evaluate_live(plan, needed(folder, *lives), lambda done, total: None)


def test_all_conditions_meet_the_same_worlds_that_were_never_recorded() -> None:
    plan = LiveEvaluation(Path(), SPEC)
    assert plan.played == ["agent", "agent_no_instruction", "agent_swapped", "expert", "random"]
    assert len(plan.worlds) == len(set(plan.worlds)) == 80
    assert all(seed >= HELD_OUT > SEED_LIMIT for _, seed in plan.worlds)
    one = LiveEvaluation(Path(), SPEC, 20, ("dig_down",))
    assert set(one.worlds) < set(plan.worlds)
    specs = [EpisodeSpec(task, "", seed) for task, seed in plan.worlds]
    for condition, words in {"agent": "own", "agent_swapped": "swapped", "random": "own"}.items():
        worlds = options_of(specs, "ws://x", SPEC, condition).worlds
        assert [(world.task, world.seed) for world in worlds] == plan.worlds
        assert {world.words for world in worlds} == {words}


def test_a_report_has_success_with_intervals_and_how_near_it_came_to_real_time(
    tmp_path: Path,
) -> None:
    life = f"{BEGINS}; {EPISODE}; {BEGINS}; {EPISODE}; {DONE}"
    report = evaluate(tmp_path, life, conditions=("random",))
    assert set(report["tasks"]["chop_tree"]) == {"random"}
    figures = report["tasks"]["chop_tree"]["random"]
    assert (figures["success"], figures["low"], figures["episodes"]) == (1.0, 0.3424, 2)
    assert figures["success_within_3x"] == 1.0
    assert report["failures"] == report["warnings"] == []
    assert report["real_time"]["random"] == {"steps_per_s": 20.0, "answered": 0.75}
    assert report["real_time"]["expert"]["answered"] is None
    assert success_table(report)[1] == [("chop_tree", "100%  [34%–100%] n=2")]
    assert [row[0] for row in real_time_table(report)[1]] == ["random", "expert"]


def test_an_episode_whose_process_fails_is_played_again_and_named(tmp_path: Path) -> None:
    first = f"{BEGINS}; {EPISODE}; {BEGINS}; {CRASH}"
    report = evaluate(tmp_path, first, f"{BEGINS}; {EPISODE}; {DONE}")
    assert report["tasks"]["chop_tree"]["expert"]["success"] == 1.0
    seed = HELD_OUT + 1
    failure = {"task": "chop_tree", "condition": "expert", "seed": seed, "why": "Chromium ended"}
    assert report["failures"] == [{**failure, "what": "played again"}]


def test_an_episode_whose_process_fails_twice_counts_as_failed(tmp_path: Path) -> None:
    crash = f"{BEGINS}; {CRASH}"
    report = evaluate(tmp_path, crash, crash, f"{BEGINS}; {EPISODE}; {DONE}")
    figures = report["tasks"]["chop_tree"]["expert"]
    assert (figures["success"], figures["episodes"]) == (0.5, 2)
    assert [each["what"] for each in report["failures"]] == ["played again", "counted as failed"]


def test_a_process_that_cannot_begin_ends_the_evaluation(tmp_path: Path) -> None:
    with pytest.raises(MinecraftError, match="Chromium ended"):
        evaluate(tmp_path, CRASH)
    assert (tmp_path / "lives").read_text().count("life") == 2


def test_a_process_that_begins_no_more_loses_no_episode_that_has_ended(tmp_path: Path) -> None:
    report = evaluate(tmp_path, f"{BEGINS}; {EPISODE}; {CRASH}", CRASH)
    assert report["stopped"] == "Chromium ended"
    assert report["tasks"]["chop_tree"]["expert"]["episodes"] == 1


def test_an_evaluation_that_is_interrupted_reports_what_was_played(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    plan = LiveEvaluation(tmp_path, SPEC, 2, ("chop_tree",), ("random",))
    report = evaluate_live(plan, needed(tmp_path, f"{BEGINS}; {EPISODE}; read end"), interrupt)
    assert report["interrupted"]
    assert report["tasks"]["chop_tree"]["random"]["episodes"] == 1
    assert report["tasks"]["chop_tree"]["random"]["success_within_3x"] is None


def test_what_there_is_not_is_named() -> None:
    with pytest.raises(UnplayableError, match="no task called 'dig_don'; did you mean 'dig_down'"):
        LiveEvaluation(Path(), SPEC, tasks=("dig_don",)).check()
    with pytest.raises(UnplayableError, match="no condition called 'human'"):
        LiveEvaluation(Path(), SPEC, conditions=("human",)).check()
    assert ConditionPlay("random").rates == {"steps_per_s": None, "answered": None}
    assert LiveEvaluation(Path(), SPEC).tasks == TASKS
