"""Evaluation plan: which episodes are played under which conditions; checked before any model is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from games import Game, UnplayableError, did_you_mean
from games.registry import load
from games.team import TeamGame
from recorder import CaptureError, open_readable

HELD_OUT = 1_000_000_000
"""Worlds from this seed on are for evaluation; recording stays below 1,000,000."""

MATCH_SEED = 900_000_000
"""Of the first match of teams, behind the first seed."""
EPISODES = 200
"""Per condition, where nothing else is said."""
CONDITIONS = ("agent", "agent_no_instruction", "agent_swapped", "expert", "random")
BASELINE = "cnn_gru"
"""The further condition of an evaluation with a baseline."""
COLUMNS = ("agent", BASELINE, *CONDITIONS[1:])
"""The order in which a report shows conditions."""
_EXCLUSIVE_TASKS = {"agent_no_instruction": 1, "agent_swapped": 2}
"""How many tasks that exclude each other a game must have for a condition."""


@dataclass(frozen=True)
class EpisodeSpec:
    """One episode to play."""

    task: str
    condition: str
    seed: int


AGENT, EXPERT = "agent", "expert"


@dataclass(frozen=True)
class MatchSpec:
    """One match: who plays our seats (agent, expert or a grade of bots), against bots of which grade."""

    player: str
    grade: str
    seed: int


@dataclass(frozen=True)
class Evaluation:
    """What to measure; `episodes` are spread evenly over the tasks, for every condition."""

    checkpoint: Path | None = None
    """Folder; the shipped checkpoint of the game where None."""
    episodes: int = EPISODES
    tasks: tuple[str, ...] = ()
    """All of the game's where none is named."""
    conditions: tuple[str, ...] = CONDITIONS
    first_seed: int = HELD_OUT
    workers: int = 2
    temperature: float = 1.0
    condition_on_actions: bool = False
    action_latency_steps: int = 0
    """Steps that pass in closed loop until an answer is there (`closed_loop.Setup`)."""
    next_action_episodes: int = 28
    data: Path | None = None
    """Recorded episodes for the next-action figures; fresh expert play in held-out worlds where None."""
    game: str = "voxel"
    baseline: Path | None = None
    """Folder of a CNN+GRU (`iafm train --baseline`) that is measured beside the checkpoint."""
    matches: int = 0
    """Matches of a team of agents against each grade of bots, where the game has teams."""
    grades: tuple[str, ...] = ()
    """All of the game's where none is named."""
    rival_matches: int = 0
    """Matches of the scripted expert's team, and of a team of bots of the middle grade, against each grade."""
    words: tuple[str, ...] = ()
    """What the players of the team are told, in turn; sentences for winning the match where none is given."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The conditions, with the baseline's where there is one."""
        further = () if self.baseline is None else (BASELINE,)
        return tuple(dict.fromkeys((*self.conditions, *further)))

    @property
    def episode_specs(self) -> list[EpisodeSpec]:
        """Every condition meets the same seeds; swapped and missing instructions are for tasks that exclude each other,
        and for missions.

        Raises `UnplayableError` as `check` does.
        """
        game = self._checked_game()
        tasks = game.select_tasks(self.tasks)
        each = math.ceil(self.episodes / len(tasks))
        return [
            EpisodeSpec(task, condition, self.first_seed + 10_000 * i + n)
            for condition in self.columns
            for i, task in enumerate(tasks)
            for n in range(each)
            if applies(condition, task, game)
        ]

    @property
    def reference_specs(self) -> list[EpisodeSpec]:
        """The expert in the same worlds, where the game has one that is no condition: its steps measure the others'."""
        if "expert" in self.columns or load(self.game).make_expert is None:
            return []
        worlds = dict.fromkeys((spec.task, spec.seed) for spec in self.episode_specs)
        return [EpisodeSpec(task, "expert", seed) for task, seed in worlds]

    @property
    def match_specs(self) -> list[MatchSpec]:
        """The matches of teams: every team meets the same seeds. Raises `UnplayableError` as `check` does."""
        if not self.matches:
            return []
        teams = teams_of(self.game)
        for grade in self.grades:
            if grade not in teams.grades:
                hint = did_you_mean(grade, teams.grades) or f"; there are {', '.join(teams.grades)}"
                raise UnplayableError(f"no bots of grade {grade!r}{hint}")
        middle = teams.grades[len(teams.grades) // 2]
        counts = {AGENT: self.matches, EXPERT: self.rival_matches, middle: self.rival_matches}
        return [
            MatchSpec(player, grade, self.first_seed + MATCH_SEED + n)
            for player, count in counts.items()
            for grade in self.grades or teams.grades
            for n in range(count)
        ]

    def check(self) -> None:
        """Raise for what would fail only after minutes of play; loads no model.

        `UnplayableError`: an unknown condition, a task that the game does not have, no tasks or no expert where they
        are needed, nothing to play, a latency below 0. `recorder.CaptureError`: no episode in `data` that can be read.
        """
        game = self._checked_game()
        if not self.episode_specs and not self.match_specs:
            raise UnplayableError(
                f"nothing to play: {', '.join(self.columns)} needs tasks that exclude each other "
                f"(Game.exclusive_instructions), not {', '.join(self.tasks or game.tasks)}"
            )
        if self.next_action_episodes and self.data is not None:
            if not len(readable := open_readable(self.data)):
                first = readable.skipped[0]
                raise CaptureError(
                    f"no episode in {self.data} can be read; {first.source}: {first.why}"
                )
        elif self.next_action_episodes:
            _require_expert(
                game, "the next-action figures (or --data, or --next-action-episodes 0)"
            )

    def _checked_game(self) -> Game:
        if self.action_latency_steps < 0:
            raise UnplayableError(
                f"an answer takes 0 steps or more, not {self.action_latency_steps}"
            )
        known = CONDITIONS if self.baseline is None else COLUMNS
        for condition in self.columns:
            if condition not in known:
                hint = did_you_mean(condition, known) or f"; there are {', '.join(known)}"
                raise UnplayableError(f"no condition called {condition!r}{hint}")
        game = load(self.game)
        if not game.select_tasks(self.tasks):
            raise UnplayableError(f"{self.game} has no tasks to be judged by (Game.tasks)")
        if "expert" in self.conditions:
            game.expert()
        return game


def teams_of(game: str) -> TeamGame:
    """How a game's matches of teams begin; raises `UnplayableError` where it has none."""
    if (teams := load(game).teams) is None:
        raise UnplayableError(f"{game} has no matches of teams (Game.teams); leave --matches out")
    return teams


def default_conditions(game: Game) -> tuple[str, ...]:
    """All conditions, without the expert where the game has none."""
    return tuple(c for c in CONDITIONS if c != "expert" or game.make_expert is not None)


def applies(condition: str, task: str, game: Game) -> bool:
    """Whether a task can be played under a condition.

    Other words than its own need tasks that exclude each other, or missions.
    """
    if condition not in _EXCLUSIVE_TASKS or game.has_missions:
        return True
    exclusive = game.exclusive_instructions
    return len(exclusive) >= _EXCLUSIVE_TASKS[condition] and task in exclusive


def _require_expert(game: Game, purpose: str) -> None:
    try:
        game.expert()
    except UnplayableError as error:
        raise UnplayableError(f"{error}, needed for {purpose}") from None
