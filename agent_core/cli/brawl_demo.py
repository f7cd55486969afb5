"""The arena of the demo: four fighters of one match over one connection, the other team is bots."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bridges.client import BridgeClient, connect
from bridges.protocol.messages import Act
from games.brawl import SPEC, TASKS
from games.brawl.bout import Bout
from games.brawl.classes import LINE_UP
from games.brawl.command import REST, Command, command_of
from games.brawl.fighter import TEAM_SIZE
from games.brawl.goals import goal_of
from games.brawl.picture import draw
from games.brawl.skill import GRADES
from games.brawl.tasks import MATCH_LIMIT, Goal, Judge

ENEMIES = "regular"
"""Grade of the bots on the other side, and of those that stand in for nobody."""
WIN = "win_match"
_WARM_UP = 60
"""Steps of bots before the fighters take over, so that there is something to do from the start."""


def examples() -> tuple[str, ...]:
    """One sentence for every task and variant, for the console's chips."""
    return tuple(s[0] for task in TASKS.values() for s in task.paraphrases.values())


def goals_of_seat(seat: int) -> list[Goal]:
    """The goals that a seat of a team gets in turn: its roles, or to win; every seat begins with another."""
    goals = [
        Goal(task.name, sentences[0], order)
        for task in TASKS.values()
        for order, sentences in task.paraphrases.items()
        if seat in task.seats
    ]
    roles = [goal for goal in goals if goal.task != WIN] or goals
    first = (0, 0, 1, 4)[seat] % len(roles)
    return roles[first:] + roles[:first]


@dataclass
class Tally:
    """Figures of a demo so far."""

    episodes: int = 0
    """Goals that ended: reached, or missed as their time ran out."""
    successes: int = 0
    unjudged: int = 0
    """Goals that the game cannot judge, or that the end of a match cut short."""
    matches: int = 0
    wins: float = 0.0
    steps: int = 0
    begun: float = field(default_factory=time.monotonic)
    first_action_s: float | None = None

    @property
    def hz(self) -> float:
        """Steps of the match a second; each has an action of every fighter."""
        return self.steps / max(1e-9, time.monotonic() - self.begun)

    def figures(self) -> dict[str, Any]:
        """The figures as plain values."""
        first = self.first_action_s
        return {
            "episodes": self.episodes,
            "successes": self.successes,
            "unjudged": self.unjudged,
            "matches": self.matches,
            "wins": self.wins,
            "hz": round(self.hz, 1),
            "first_action_s": None if first is None else round(first, 2),
        }


class _Fighter:
    """One of the four: its goal, a typed one or its own, and the judge of it."""

    def __init__(self, seat: int, bout: Bout) -> None:
        self.seat, self.title = seat, LINE_UP[seat].title
        self.own = goals_of_seat(seat)
        self.typed: str | None = None
        self.number = 0
        self.begin(bout)

    @property
    def goal(self) -> Goal:
        """What counts now."""
        return self.own[0] if self.typed is None else goal_of(self.typed)

    def begin(self, bout: Bout) -> None:
        """Count from now."""
        self.judge, self.elapsed = Judge(self.goal, bout.match, self.seat), 0

    def follow(self, text: str | None, bout: Bout) -> None:
        """Take up a typed goal, or its own again (None)."""
        if text != self.typed:
            self.typed = text
            self.begin(bout)

    def verdict(self) -> bool | None:
        """After a step: whether the goal was reached or its time is over; None while it is open."""
        self.elapsed += 1
        reached = self.judge.update().success
        task = TASKS.get(self.goal.task)
        limit = MATCH_LIMIT if task is None else task.limit
        return reached if reached or self.elapsed >= limit else None


class ArenaDemo:
    """Plays matches over a connection of four agents; `note` gets a line as goals end."""

    def __init__(
        self, client: BridgeClient, seed: int, note: Callable[[str], None], tally: Tally
    ) -> None:
        self.client, self.note, self.tally = client, note, tally
        self.seed = seed
        self._begin_match()
        self.fighters = [_Fighter(seat, self.bout) for seat in range(TEAM_SIZE)]
        for fighter in self.fighters:
            client.instruct(fighter.own[0].instruction, agent=fighter.seat)

    def _begin_match(self) -> None:
        self.bout = Bout(self.seed, (GRADES[ENEMIES], GRADES[ENEMIES]))
        self.seed += 1
        for _ in range(_WARM_UP):
            self.bout.step({})

    def step(self) -> None:
        """One step of the match: four pictures at once, four actions."""
        match = self.bout.match
        frames = {f.seat: draw(match, f.seat) for f in self.fighters}
        acts = self.client.act_all(frames)
        if self.tally.first_action_s is None:
            self.tally.first_action_s = time.monotonic() - self.tally.begun
        self._follow_console()
        self.bout.step({seat: _command(act) for seat, act in acts.items()})
        self.tally.steps += 1
        for fighter in self.fighters:
            success = fighter.verdict()
            if match.is_over and fighter.goal.task == WIN:
                success = bool(success)
            if match.is_over or success is not None:
                self._end_goal(fighter, success)
        if match.is_over:
            self._end_match()

    def _follow_console(self) -> None:
        for fighter in self.fighters:
            fighter.follow(self.client.agents[fighter.seat].console_instruction, self.bout)

    def _end_goal(self, fighter: _Fighter, success: bool | None) -> None:
        goal, tally = fighter.goal, self.tally
        if goal.task not in TASKS:
            success = None
        tally.episodes += 1
        tally.successes += success is True
        tally.unjudged += success is None
        self.client.event(
            agent=fighter.seat, terminated=True, success=success, task=goal.task,
            episode=fighter.number,
        )  # fmt: skip
        mark = {True: "reached", False: "missed", None: "not judged"}[success]
        judged = tally.episodes - tally.unjudged
        self.note(
            f"{fighter.title} {mark}: {goal.instruction!r}  ({tally.successes} of {judged}, {tally.hz:.0f} Hz)"
        )
        fighter.number += 1
        if fighter.typed is None:
            fighter.own = [*fighter.own[1:], fighter.own[0]]
            self.client.instruct(fighter.own[0].instruction, agent=fighter.seat)
        fighter.begin(self.bout)

    def _end_match(self) -> None:
        match, tally = self.bout.match, self.tally
        tally.matches += 1
        tally.wins += 0.5 if match.winner is None else float(match.winner == 0)
        one, other = match.score
        self.note(f"match over: {one} to {other} against {ENEMIES} bots")
        self._begin_match()
        for fighter in self.fighters:
            fighter.begin(self.bout)


def _command(act: Act | None) -> Command:
    """What a fighter does; it rests where its picture has no answer."""
    return REST if act is None else command_of(act.action)


def play_arena(
    url: str,
    seed: int,
    episodes: int | None,
    pace_hz: float | None,
    send: Callable[[dict[str, Any]], None],
    stop: Callable[[], bool],
) -> None:
    """Play until so many goals ended or `stop`; `send` gets the figures, with a note where a goal ended."""
    tally, period_s = Tally(), 1 / pace_hz if pace_hz else 0.0
    with connect(url, SPEC, tasks=examples(), agents=TEAM_SIZE) as client:
        demo = ArenaDemo(client, seed, lambda note: send({**tally.figures(), "note": note}), tally)
        due = time.monotonic()
        while (episodes is None or tally.episodes < episodes) and not stop():
            demo.step()
            if tally.steps == 1:
                send({"started": True})
            due = max(due + period_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
    send(tally.figures())
