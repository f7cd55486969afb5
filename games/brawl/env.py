"""Brawl environment: one fighter of a match, the other seven are bots."""

from __future__ import annotations

from typing import Any

import gymnasium

from games.brawl.bout import Bout
from games.brawl.command import command_of
from games.brawl.fighter import SEATS, TEAM_SIZE
from games.brawl.figures import fill_sprites
from games.brawl.in_between import draw_between, snapshot
from games.brawl.match import Match
from games.brawl.order import Order
from games.brawl.picture import draw
from games.brawl.replay import Actor, Replay, replay_of
from games.brawl.skill import GRADES
from games.brawl.spec import SPEC
from games.brawl.tasks import (
    MATCH_LIMIT,
    ORDERS,
    TASKS,
    Goal,
    Judge,
    Task,
    can_begin,
    has_time,
)
from games.env import Frame, Observation, action_space, observation_space
from games.spec import Action, did_you_mean

FREE = "free"
"""The task without success: the match runs to its end."""
_WARM_UP = (30, 200)
"""Steps that bots play before a role begins."""
_MATCHES = 12
"""Matches in which a start for a role is looked for."""


class BrawlEnv(gymnasium.Env[Observation, Action]):
    """One fighter of a match (Gymnasium API).

    `reset(options=)` takes `task` (a name of `TASKS` or "free"; drawn from the seed otherwise), `about` (a point's
    letter where the task has several), `instruction` (another sentence; of the judge it changes the point alone, and
    only to one that it names), `seat` (0 to 7; 0 to 3 are team 0: tank, support, damage, damage) and `allies` and
    `enemies` (grades of the bots: "rookie", "regular" or "veteran"). Reward is 1 on the step that reaches the goal,
    else 0. A role begins some time into a match, and a seed begins all roles alike: in the same match, on one seat.
    """

    game = SPEC

    def __init__(self) -> None:
        self.observation_space: Any = observation_space(SPEC)
        self.action_space: Any = action_space(SPEC)
        self.goal = Goal(FREE, "", Order("wait"))
        self.seat = 0
        self.bout: Bout
        self.judge: Judge
        self.frame: Frame
        """The last observation's picture."""
        self.picture_detail = 1
        """Pixels of `native_frame` for each of a frame's, along either side."""

    @property
    def match(self) -> Match:
        """The match under way."""
        return self.bout.match

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a match, or a role within one; the same seed and options give the same episode."""
        super().reset(seed=seed)
        fill_sprites()
        rng, options = self.np_random, dict(options or {})
        random_task = list(TASKS)[int(rng.integers(len(TASKS)))]
        draws = rng.integers(1 << 30, size=5)
        name = options.get("task") or random_task
        if name != FREE and name not in TASKS:
            raise ValueError(f"no task called {name!r}{did_you_mean(name, (*TASKS, FREE))}")
        task = TASKS.get(name)
        self.goal = _goal(task, options, int(draws[0]), int(draws[1]))
        seats = _seats(task, options, int(draws[2]))
        self.seat = seats[0]
        team = self.seat // TEAM_SIZE
        grades = [_grade(options, key) for key in ("allies", "enemies")]
        self.bout = Bout(int(draws[3]), grades if team == 0 else grades[::-1])
        if task is not None and task.limit != MATCH_LIMIT:
            self._warm_up(seats, _WARM_UP[0] + int(draws[4]) % (_WARM_UP[1] - _WARM_UP[0]))
        self.set_goal(self.goal)
        return self._observe(), self._info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """A tenth of a second; `action` may be partial. Raises `ActionError` for an illegal one."""
        was_success = self.judge.verdict.success
        self._before = snapshot(self.match)
        self.bout.step({self.seat: command_of(action)})
        self.elapsed += 1
        verdict = self.judge.update()
        reached = verdict.success and not was_success
        limit = TASKS[self.goal.task].limit if self.goal.task in TASKS else MATCH_LIMIT
        ended = verdict.success or self.match.is_over
        late = self.elapsed >= limit and not ended
        return self._observe(), float(reached), ended, late, self._info()

    def set_goal(self, goal: Goal) -> None:
        """Set a new goal within an episode: progress counts from now."""
        self.goal, self.elapsed, self._before = goal, 0, snapshot(self.match)
        self.judge = Judge(goal, self.match, self.seat)

    @property
    def native_frame(self) -> Frame:
        """The picture for people, uint8, `picture_detail` times as high and wide as a frame."""
        if self.picture_detail == 1:
            return self.frame
        return draw(self.match, self.seat, self.picture_detail)

    def frame_between(self, share: float) -> Frame:
        """The picture for people at a share (0 to 1) of the way to `native_frame` from the one before."""
        if share >= 1:
            return self.native_frame
        return draw_between(self._before, self.match, self.seat, share, self.picture_detail)

    def replay(self, actor: Actor = "human") -> Replay:
        """The match so far, played by `actor`, from which the episode's pictures are drawn again exactly."""
        commands, goal = self.bout.commands, self.goal
        first = len(commands) - self.elapsed
        return replay_of(
            self.match, commands, actor=actor, seat=self.seat, first=first,
            instruction=goal.instruction, task=goal.task,
        )  # fmt: skip

    def close(self) -> None:
        """Nothing to close."""

    def _warm_up(self, seats: list[int], steps: int) -> None:
        """Let bots play until a role may begin on one of the seats, in the next match where it never comes to it."""
        seed, skills = self.match.seed, self.bout.skills
        for number in range(_MATCHES):
            self.bout, step = Bout(seed + number, skills), 0
            while has_time(self.match):
                if step >= steps and (ready := [s for s in seats if can_begin(self.match, s)]):
                    self.seat = ready[0]
                    return
                self.bout.step({})
                step += 1
        while not self.match.fighters[self.seat].alive:
            self.bout.step({})

    def _observe(self) -> Observation:
        self.frame = draw(self.match, self.seat)
        return {"frame": self.frame, "instruction": self.goal.instruction}

    def _info(self) -> dict[str, Any]:
        f, verdict = self.match.fighters[self.seat], self.judge.verdict
        score = self.match.score
        return {
            "task": self.goal.task,
            "success": verdict.success,
            "progress": verdict.progress,
            "score": (score[f.team], score[1 - f.team]),
            "class": f.kind.name,
            "elapsed": self.elapsed,
        }


def _goal(task: Task | None, options: dict[str, Any], variant: int, sentence: int) -> Goal:
    """The goal of a task, its variant and words by two drawn numbers; the options go before."""
    if task is None:
        return Goal(FREE, str(options.get("instruction", "")), Order("wait"))
    orders = list(task.paraphrases)
    order = orders[variant % len(orders)]
    if about := options.get("about"):
        matching = [o for o in orders if o.about == about]
        if not matching:
            names = [o.about for o in orders]
            raise ValueError(f"{task.name} is about one of {names}, not {about!r}")
        order = matching[0]
    elif (named := ORDERS.get(str(options.get("instruction")))) in orders:
        order = named
    sentences = task.paraphrases[order]
    words = str(options.get("instruction", sentences[sentence % len(sentences)]))
    return Goal(task.name, words, order)


def _seats(task: Task | None, options: dict[str, Any], drawn: int) -> list[int]:
    """The seats of a team that may be played, by a drawn number; the first of them where a role may begin is."""
    if "seat" in options:
        seat = int(options["seat"])
        if not 0 <= seat < SEATS:
            raise ValueError(f"seats are 0 to {SEATS - 1}, not {seat}")
        return [seat]
    seats = task.seats if task is not None else tuple(range(TEAM_SIZE))
    first = drawn // 2 % len(seats)
    return [drawn % 2 * TEAM_SIZE + seat for seat in seats[first:] + seats[:first]]


def _grade(options: dict[str, Any], key: str) -> Any:
    name = str(options.get(key, "regular"))
    if name not in GRADES:
        raise ValueError(f"no bots of grade {name!r}{did_you_mean(name, GRADES)}")
    return GRADES[name]
