"""Tallies: success within three times the expert's steps, and warnings where words make no difference."""

from agent_core.evaluation.closed_loop import Outcome
from agent_core.evaluation.plan import EpisodeSpec
from agent_core.evaluation.tally import play_warning, step_limits, tally


def play(condition: str, steps: list[int], failures: tuple[int, ...] = ()) -> list[Outcome]:
    """An outcome by seed."""
    return [
        Outcome(EpisodeSpec("go", condition, seed), seed not in failures, count)
        for seed, count in enumerate(steps)
    ]


EXPERT = play("expert", [5, 6, 7, 64], failures=(3,))


def test_wandering_is_no_success_within_three_times_the_experts_steps() -> None:
    limits = step_limits(EXPERT)
    assert limits == {("go", 0): 15, ("go", 1): 18, ("go", 2): 21}
    agent = play("agent", [15, 19, 4, 9], failures=(2,))
    row = tally([*EXPERT, *agent], limits)["go"]["agent"]
    assert (row["success"], row["episodes"]) == (0.75, 4)
    # in time; too late; failed; and the expert fails there, too
    assert (row["success_within_3x"], row["episodes_within_3x"]) == (0.3333, 3)
    assert (row["low_within_3x"], row["high_within_3x"]) == (0.0615, 0.7923)
    assert tally(EXPERT, limits)["go"]["expert"]["success_within_3x"] == 1.0


def test_play_that_is_as_good_with_other_words_is_warned_of() -> None:
    limits = step_limits(play("expert", [5] * 40))
    agent = play("agent", [10] * 40)
    slow, quick = play("agent_swapped", [60] * 40), play("agent_swapped", [10] * 40)
    assert play_warning([*agent, *slow], limits) is None
    line = play_warning([*agent, *quick], limits)
    assert line is not None
    assert "success within 3 x the steps of the expert is 100.0%" in line
    assert "(of 40;" in line
    without_expert = play_warning([*agent, *slow], {})
    assert without_expert is not None
    assert (
        "difference: success is 100.0%, with another episode's instruction 100.0%" in without_expert
    )
    assert play_warning(agent, limits) is None
