"""Matches of teams: which are played, who is asked, what they come to."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_core.evaluation import team
from agent_core.evaluation.closed_loop import Setup
from agent_core.evaluation.plan import Evaluation, MatchSpec
from agent_core.evaluation.report import team_table
from agent_core.evaluation.team import MatchOutcome, play_matches, tally_matches
from bridges.serving.random_policy import RandomPolicy
from games import UnplayableError
from games.brawl.team import BrawlTeamMatch
from games.registry import load

PLAN = Evaluation(episodes=0, game="brawl", matches=2, next_action_episodes=0)


class ShortMatch(BrawlTeamMatch):
    """Over after as many steps as its seed says, with the seed as the lead."""

    @property
    def is_over(self) -> bool:
        return len(self.bout.commands) >= self.bout.match.seed


class Recorder(RandomPolicy):
    """Random play that notes its batches and what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []

    def act(self, requests: Any) -> Any:
        self.batches.append([request.instruction for request in requests])
        return super().act(requests)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Short matches, and a policy that notes what it is asked."""
    policy, game = Recorder(), load("brawl")
    assert game.teams is not None
    short = replace(game, teams=replace(game.teams, make=ShortMatch))
    monkeypatch.setattr(team, "load_policy", lambda *_: policy)
    monkeypatch.setattr(team, "teams_of", lambda name: short.teams)
    return policy


def test_every_team_meets_the_same_matches() -> None:
    PLAN.check()
    specs = replace(PLAN, rival_matches=2, grades=("rookie", "veteran")).match_specs
    by_player = {
        player: [(s.grade, s.seed) for s in specs if s.player == player]
        for player in ("agent", "expert", "regular")
    }
    assert len(by_player["agent"]) == 4
    assert by_player["agent"] == by_player["expert"] == by_player["regular"]
    assert Evaluation(game="voxel").match_specs == []


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (replace(PLAN, game="voxel"), "voxel has no matches of teams"),
        (replace(PLAN, grades=("vetran",)), "did you mean 'veteran'"),
        (replace(PLAN, matches=0), "nothing to play"),
    ],
)
def test_what_cannot_be_played_is_refused(plan: Evaluation, message: str) -> None:
    with pytest.raises(UnplayableError, match=message):
        plan.check()


def test_agents_of_all_matches_are_asked_in_one_batch(recorder: Recorder) -> None:
    specs = [MatchSpec("agent", "rookie", seed) for seed in (1, 3)]
    words = ("win the match", "defend point B")
    outcomes = list(play_matches(specs, Setup(Path("none"), game="brawl"), words))
    assert [outcome.steps for outcome in outcomes] == [1, 3]
    assert [len(batch) for batch in recorder.batches] == [8, 4, 4]
    assert recorder.batches[1] == [*words, *words]


@pytest.mark.parametrize("player", ["expert", "veteran"])
def test_other_teams_play_without_a_policy(recorder: Recorder, player: str) -> None:
    specs = [MatchSpec(player, "rookie", 2)]
    (outcome,) = play_matches(specs, Setup(Path("none"), game="brawl"))
    assert (outcome.result, outcome.steps) == (0.5, 2)
    assert recorder.batches == []


def test_a_draw_is_half_a_win() -> None:
    results = {"agent": (1.0, 0.5, 0.0, 1.0), "expert": (1.0,)}
    outcomes = [
        MatchOutcome(MatchSpec(player, "rookie", seed), result, 10 + seed)
        for player, of_player in results.items()
        for seed, result in enumerate(of_player)
    ]
    by_player = tally_matches(outcomes)
    standing = by_player["agent"]["rookie"]
    assert (standing["wins"], standing["matches"], standing["steps"]) == (2.5, 4, 11.5)
    assert standing["low"] < 0.625 < standing["high"]
    report = {"team": by_player.pop("agent"), "rivals": by_player}
    head, rows = team_table(report)
    assert head == ("against bots", "four agents", "four scripted experts")
    assert rows[0][0] == "rookie"
    assert rows[0][1].startswith("62%")
