"""Team matches: four of our agents against bots of each grade, beside the scripted expert's team and bots.

The agents of all matches that a process plays are asked in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agent_core.evaluation.closed_loop import Setup, load_policy
from agent_core.evaluation.metrics import wilson_interval
from agent_core.evaluation.plan import AGENT, EXPERT, MatchSpec, teams_of
from agent_core.process_pool import run_jobs
from bridges.policy import Policy, PolicyRequest, PolicySession
from games.registry import load
from games.team import TeamGame, TeamMatch

MATCHES_PER_PROCESS = 4
"""Matches that one process plays side by side."""


@dataclass(frozen=True)
class MatchOutcome:
    """How a match ended: 1 for a win, 0.5 for a draw."""

    spec: MatchSpec
    result: float
    steps: int


def run_matches(
    specs: Sequence[MatchSpec],
    setup: Setup,
    words: Sequence[str],
    workers: int,
    on_outcome: Callable[[MatchOutcome], None] | None = None,
) -> list[MatchOutcome]:
    """Play all matches in `workers` processes; `words` are what our players are told, in turn."""
    jobs = [(job, setup, tuple(words)) for job in _jobs(specs)]
    outcomes = run_jobs(_play_job, jobs, workers, on_outcome)
    if len(outcomes) < len(specs):
        raise KeyboardInterrupt  # a worker alone was interrupted
    return outcomes


def _play_job(specs: Sequence[MatchSpec], setup: Setup, words: Sequence[str]) -> list[MatchOutcome]:
    """`play_matches` in a worker: what has ended until Ctrl-C."""
    outcomes: list[MatchOutcome] = []
    with suppress(KeyboardInterrupt):
        outcomes.extend(play_matches(specs, setup, words))
    return outcomes


def play_matches(
    specs: Sequence[MatchSpec], setup: Setup, words: Sequence[str] = ()
) -> Iterator[MatchOutcome]:
    """Play matches of one kind of player side by side in this process; each as it ends.

    Raises `UnplayableError` as `teams_of` does.
    """
    teams, player = teams_of(setup.game), specs[0].player
    if player == AGENT:
        policy = load_policy(setup.checkpoint, setup.temperature, setup.condition_on_actions)
        yield from _play_agents(specs, policy, teams, setup.game, words)
    else:
        yield from (_play_scripted(spec, teams) for spec in specs)


def _play_scripted(spec: MatchSpec, teams: TeamGame) -> MatchOutcome:
    """A match of the scripted expert's team, or of bots."""
    is_expert, steps = spec.player == EXPERT, 0
    match = teams.make(spec.seed, spec.grade, spec.grade if is_expert else spec.player)
    while not match.is_over:
        if is_expert:
            match.step(match.expert_actions(match.frames()))
        else:
            match.play_bots()
        steps += 1
    return MatchOutcome(spec, match.result, steps)


def _play_agents(
    specs: Sequence[MatchSpec], policy: Policy, teams: TeamGame, game: str, words: Sequence[str]
) -> Iterator[MatchOutcome]:
    """Matches of agents, every step of all of them in one batch."""
    running = [_AgentMatch(spec, policy, teams, game, words) for spec in specs]
    while running:
        requests = [request for match in running for request in match.requests()]
        decisions = iter(policy.act(requests))
        for match in running:
            match.step([next(decisions).action for _ in match.players])
        yield from (match.outcome for match in running if match.outcome is not None)
        running = [match for match in running if match.outcome is None]


class _AgentMatch:
    """A match in progress whose players are sessions of a policy."""

    def __init__(
        self, spec: MatchSpec, policy: Policy, teams: TeamGame, game: str, words: Sequence[str]
    ) -> None:
        self.spec, self.steps = spec, 0
        self.match: TeamMatch = teams.make(spec.seed, spec.grade, spec.grade)
        self.players: list[PolicySession] = [
            policy.attach(load(game).spec, seed=spec.seed * teams.size + n)
            for n in range(teams.size)
        ]
        first = (
            0 if words else spec.seed
        )  # without words of the caller's, another paraphrase for each
        sentences = words or teams.instructions
        self.words = [sentences[(first + n) % len(sentences)] for n in range(teams.size)]
        self.outcome: MatchOutcome | None = None

    def requests(self) -> list[PolicyRequest]:
        triples = zip(self.players, self.match.frames(), self.words, strict=True)
        return [PolicyRequest(*triple) for triple in triples]

    def step(self, actions: Sequence[Any]) -> None:
        self.match.step(actions)
        self.steps += 1
        if self.match.is_over:
            self.outcome = MatchOutcome(self.spec, self.match.result, self.steps)
            for player in self.players:
                player.close()


def tally_matches(outcomes: Iterable[MatchOutcome]) -> dict[str, dict[str, dict[str, float]]]:
    """By player and grade: wins (a draw is half a one) with Wilson's 95 % interval of their share, matches, steps."""
    groups: dict[str, dict[str, list[MatchOutcome]]] = {}
    for outcome in outcomes:
        by_grade = groups.setdefault(outcome.spec.player, {})
        by_grade.setdefault(outcome.spec.grade, []).append(outcome)
    return {
        player: {grade: _standing(group) for grade, group in by_grade.items()}
        for player, by_grade in groups.items()
    }


def _standing(group: Sequence[MatchOutcome]) -> dict[str, float]:
    wins = sum(outcome.result for outcome in group)
    low, high = wilson_interval(wins, len(group))
    return {
        "wins": wins,
        "low": round(low, 4),
        "high": round(high, 4),
        "matches": len(group),
        "steps": round(sum(outcome.steps for outcome in group) / len(group), 1),
    }


def _jobs(specs: Sequence[MatchSpec]) -> list[list[MatchSpec]]:
    """Groups of one kind of player, `MATCHES_PER_PROCESS` each."""
    groups: dict[str, list[MatchSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.player, []).append(spec)
    return [
        group[i : i + MATCHES_PER_PROCESS]
        for group in groups.values()
        for i in range(0, len(group), MATCHES_PER_PROCESS)
    ]
