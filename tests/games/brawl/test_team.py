"""Matches of a team against bots."""

import pytest

from games.brawl import GAME, SPEC
from games.brawl.team import TEAMS, BrawlTeamMatch


@pytest.mark.parametrize(("seed", "seats"), [(4, (0, 1, 2, 3)), (5, (4, 5, 6, 7))])
def test_sides_change_with_the_seed(seed: int, seats: tuple[int, ...]) -> None:
    match = BrawlTeamMatch(seed, "rookie")
    assert match.seats == seats
    enemies = [bot for seat, bot in enumerate(match.bout.bots) if seat not in seats]
    assert {bot.skill.name for bot in enemies} == {"rookie"}
    assert [frame.shape for frame in match.frames()] == [SPEC.frame.shape] * TEAMS.size


@pytest.mark.parametrize("seed", [0, 1])
def test_the_better_bots_win_on_either_side(seed: int) -> None:
    match = BrawlTeamMatch(seed, "rookie", "veteran")
    while not match.is_over:
        match.play_bots()
    assert match.result == 1
    lost = BrawlTeamMatch(seed, "veteran", "rookie")
    while not lost.is_over:
        lost.play_bots()
    assert lost.result == 0


def test_players_act_by_their_seats_and_experts_by_frames() -> None:
    match = BrawlTeamMatch(1, "regular")
    actions = match.expert_actions(match.frames())
    match.step(actions)
    played = [match.bout.commands[-1][seat].action for seat in match.seats]
    assert played == [SPEC.normalize(action) for action in actions]
    assert GAME.teams is TEAMS
