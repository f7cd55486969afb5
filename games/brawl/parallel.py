"""Brawl for several agents: a PettingZoo `ParallelEnv` of one shared match (extra `pettingzoo`).

Its agents are "team_0_tank", "team_0_support", "team_0_damage_1", … in the order of the seats; bots play the seats that
have none. Observations and actions are those of the single environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from games.brawl.bout import Bout
from games.brawl.classes import LINE_UP
from games.brawl.command import Command, command_of
from games.brawl.fighter import SEATS, TEAM_SIZE
from games.brawl.picture import draw
from games.brawl.replay import Actor, Replay, replay_of
from games.brawl.skill import GRADES
from games.brawl.spec import SPEC
from games.env import Observation, action_space, observation_space
from games.spec import Action

_NUMBERED = ("tank", "support", "damage_1", "damage_2")
AGENTS = tuple(f"team_{seat // TEAM_SIZE}_{_NUMBERED[seat % TEAM_SIZE]}" for seat in range(SEATS))
"""All agents, by seat."""


class BrawlParallelEnv(ParallelEnv):  # type: ignore[misc]
    """Up to eight fighters of one match. Reward is the team's lead gained in a step, in points."""

    metadata: ClassVar[dict[str, Any]] = {
        "name": "brawl_v0",
        "render_modes": ["rgb_array"],
        "render_fps": int(SPEC.step_hz),
    }
    game = SPEC

    def __init__(
        self, seats: Sequence[int] = range(SEATS), bots: str = "regular", instruction: str = ""
    ) -> None:
        """`seats` are played by agents, `bots` of this grade play the others."""
        if not seats or not all(0 <= seat < SEATS for seat in seats):
            raise ValueError(f"seats are 0 to {SEATS - 1}, at least one, not {list(seats)}")
        self.seats = {AGENTS[seat]: seat for seat in sorted(set(seats))}
        self.possible_agents = list(self.seats)
        self.agents: list[str] = []
        self.render_mode = "rgb_array"
        self._skill, self._instruction = GRADES[bots], instruction
        self._rng = np.random.default_rng()
        self._observation_space, self._action_space = observation_space(SPEC), action_space(SPEC)
        self.bout: Bout

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Frame and instruction."""
        return self._observation_space

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """One space per control."""
        return self._action_space

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Begin a match; without a seed it is another one each time."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.bout = Bout(int(self._rng.integers(1 << 30)), (self._skill, self._skill))
        self.agents = list(self.possible_agents)
        return self._observe(), self._infos()

    def step(
        self, actions: dict[str, Action]
    ) -> tuple[
        dict[str, Observation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """A tenth of a second; an agent without an action rests."""
        match, before = self.bout.match, list(self.bout.match.score)
        commands = {self.seats[agent]: _command(actions.get(agent, {})) for agent in self.agents}
        self.bout.step(commands)
        lead = (match.score[0] - before[0]) - (match.score[1] - before[1])
        rewards = {a: float(lead if self.seats[a] < TEAM_SIZE else -lead) for a in self.agents}
        ended = dict.fromkeys(self.agents, match.is_over)
        results = self._observe(), rewards, ended, dict.fromkeys(self.agents, False), self._infos()
        if match.is_over:
            self.agents = []
        return results

    def render(self) -> Any:
        """The picture of the first agent."""
        return draw(self.bout.match, self.seats[self.possible_agents[0]])

    def replay(self, actor: Actor = "human") -> Replay:
        """The match so far, played by `actor`."""
        seat = self.seats[self.possible_agents[0]]
        return replay_of(
            self.bout.match, self.bout.commands, actor=actor, seat=seat,
            instruction=self._instruction, task="win_match",
        )  # fmt: skip

    def close(self) -> None:
        """Nothing to close."""

    def _observe(self) -> dict[str, Observation]:
        return {
            agent: {
                "frame": draw(self.bout.match, self.seats[agent]),
                "instruction": self._instruction,
            }
            for agent in self.agents
        }

    def _infos(self) -> dict[str, dict[str, Any]]:
        match = self.bout.match
        infos = {}
        for agent in self.agents:
            team = self.seats[agent] // TEAM_SIZE
            success = match.is_over and match.winner == team
            infos[agent] = {
                "task": "win_match",
                "success": success,
                "score": (match.score[team], match.score[1 - team]),
                "class": LINE_UP[self.seats[agent] % TEAM_SIZE].name,
            }
        return infos


def _command(action: Mapping[str, Any]) -> Command:
    """The command of an action, whose values may be numpy's, as those that spaces draw."""
    return command_of({name: np.asarray(value).tolist() for name, value in action.items()})
