"""Evaluation reports: tallies of outcomes, tables and a chart of them."""

from pathlib import Path

import pytest

from agent_core.evaluation.closed_loop import Outcome
from agent_core.evaluation.plan import EpisodeSpec, Evaluation
from agent_core.evaluation.report import Report, evaluate, next_action_table, plot, success_table
from agent_core.evaluation.tally import tally


def test_tally_groups_by_task_and_condition() -> None:
    outcomes = [Outcome(EpisodeSpec("dig_down", "agent", n), n < 3, 10) for n in range(4)]
    row = tally(outcomes)["dig_down"]["agent"]
    assert (row["success"], row["episodes"]) == (0.75, 4)
    assert (row["low"], row["high"]) == (0.3006, 0.9544)
    assert (row["success_within_3x"], row["episodes_within_3x"]) == (None, 0)  # without an expert
    paid = [
        Outcome(EpisodeSpec("win_point", "random", n), False, 10 + n, n - 1.0) for n in range(2)
    ]
    row = tally(paid)["win_point"]["random"]
    assert (row["reward"], row["steps"]) == (-0.5, 10.5)


@pytest.mark.parametrize(
    ("game", "conditions", "checkpoint", "is_named"),
    [
        ("frozen-lake", ("agent",), None, True),
        ("frozen-lake", ("random",), None, False),
        ("frozen-lake", ("agent",), Path("runs/lake"), False),
        ("voxel", ("agent",), None, False),
    ],
)
def test_a_checkpoint_that_is_of_another_game_is_named(
    monkeypatch: pytest.MonkeyPatch,
    game: str,
    conditions: tuple[str, ...],
    checkpoint: Path | None,
    is_named: bool,
) -> None:
    monkeypatch.setattr("agent_core.evaluation.report.run_episodes", lambda *_: [])
    plan = Evaluation(checkpoint, 1, conditions=conditions, next_action_episodes=0, game=game)
    lines = evaluate(plan)["warnings"]
    assert any("no checkpoint of frozen-lake comes" in line for line in lines) == is_named


def report() -> Report:
    outcomes = [
        Outcome(EpisodeSpec("dig_down", condition, n), n < 3, 10)
        for condition in ("random", "agent")
        for n in range(4)
    ]
    outcomes.append(Outcome(EpisodeSpec("hunt_cow", "cnn_gru", 0), True, 5))
    figures = {"model": {"exact": 0.51234}, "cnn_gru": {"exact": None}}
    return {"tasks": tally(outcomes), "next_action": figures}


def test_success_is_a_table_of_tasks_and_conditions() -> None:
    head, rows = success_table(report())
    assert head == ("task", "agent", "CNN+GRU", "random")
    assert rows[0] == ("dig_down", "75%  [30%–95%] n=4", "–", "75%  [30%–95%] n=4")
    assert rows[1][1:] == ("–", "100%  [21%–100%] n=1", "–")


def test_next_action_figures_are_a_table_of_metrics_and_policies() -> None:
    assert next_action_table(report()) == (
        ("metric", "model", "CNN+GRU"),
        [("exact", "0.5123", "undefined")],
    )
    assert next_action_table({"tasks": {}}) == (("metric",), [])


def test_a_chart_goes_into_a_new_folder(tmp_path: Path) -> None:
    plot(report(), tmp_path / "figures" / "report.png")
    assert (tmp_path / "figures" / "report.png").read_bytes().startswith(b"\x89PNG")
