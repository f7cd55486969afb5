"""Episodes as matches: every step has the instruction that was in force at it."""

from pathlib import Path

from agent_core.evaluation.replay import match_of, recorded_match
from tests.agent_core.data.test_instructions import FIRST, SECOND, record


def test_steps_have_the_instruction_in_force(tmp_path: Path) -> None:
    episode = record(tmp_path)
    in_order = [step.instruction for step in match_of(episode).steps]
    at_any_place = [step.instruction for step in recorded_match(episode).steps]
    assert in_order == at_any_place == [FIRST] * 3 + [SECOND] * 4 + [FIRST] * 2
