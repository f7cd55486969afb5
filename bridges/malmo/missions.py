"""Missions of a process: which one is being played, by which agents, and whether another may begin.

A process has one world, as Minecraft has. Agents of the same episode may share it, each over a connection of its own:
they dig in the same blocks and do not see each other. While one of them plays, another episode is told to wait.
"""

from __future__ import annotations

import hashlib
import logging
import threading

from bridges.malmo.mission import read_mission
from bridges.malmo.wire import Command, Token
from bridges.malmo.world import DETAIL, AgentWorld, Outcome

_log = logging.getLogger("iafm.malmo")


class Missions:
    """The running mission; a lock lets its agents take their steps one after the other."""

    def __init__(self, first_seed: int | None = None, detail: int = DETAIL) -> None:
        self._next_seed, self._detail = first_seed, detail
        self._episode = ""
        self._seed = 0
        self._agents = 0
        self._worlds: dict[int, AgentWorld] = {}
        self._logged: set[str] = set()
        self._lock = threading.Lock()

    def start(self, xml: bytes, token: Token, old: AgentWorld | None) -> AgentWorld | None:
        """The world of an agent that begins (`old` is its last one); None where it must wait.

        Raises `MissionError` for a mission that cannot be played.
        """
        mission = read_mission(xml)
        with self._lock:
            if old is not None:
                self._leave(old)
            if self._worlds and (self._episode != token.episode or mission.role in self._worlds):
                return None
            if self._episode != token.episode:
                self._episode, self._agents = token.episode, token.agents
                self._seed = self._draw_seed(token)
            blocks = next(iter(self._worlds.values())).blocks if self._worlds else None
            world = AgentWorld(mission, self._seed, self._detail, blocks)
            self._worlds[mission.role] = world
        self._announce(world)
        return world

    def step(self, world: AgentWorld, commands: tuple[Command, ...]) -> Outcome:
        """A step of an agent; nothing happens any more where its mission is over."""
        with self._lock:
            if world.done:
                return Outcome(0.0, True, ())
            outcome = world.step(commands)
            if outcome.done and world.mission.ends_with_any_agent:
                for other in self._worlds.values():
                    other.done = True
        for what in outcome.unknown:
            self._log_once(f"this world does not know {what[:80]!r}; it is ignored")
        return outcome

    def has(self, token: Token) -> bool:
        """Whether the episode of a token that only looks for it is being played here."""
        with self._lock:
            return bool(self._worlds) and self._episode == token.episode

    def leave(self, world: AgentWorld) -> None:
        """An agent plays no longer."""
        with self._lock:
            self._leave(world)

    def _leave(self, world: AgentWorld) -> None:
        role = world.mission.role
        if self._worlds.get(role) is world:
            del self._worlds[role]
            if not self._worlds:
                self._episode = ""
            _log.info(
                "agent %d of %r ends after %d steps with a reward of %g",
                role, world.mission.name, world.steps, world.total,
            )  # fmt: skip

    def _draw_seed(self, token: Token) -> int:
        """The client's seed, else the next of this process, else one that all agents of the episode would draw."""
        if token.seed is not None:
            return token.seed
        if self._next_seed is not None:
            seed, self._next_seed = self._next_seed, self._next_seed + 1
            return seed
        digest = hashlib.sha256(token.episode.encode()).digest()
        return int.from_bytes(digest[:7], "big")

    def _announce(self, world: AgentWorld) -> None:
        video = world.agent.video
        _log.info(
            "agent %d of %d begins %r, seed %d, %d x %d",
            world.mission.role, self._agents, world.mission.name, self._seed, video.width, video.height,
        )  # fmt: skip
        for name in world.mission.ignored:
            self._log_once(f"this world does not know the mission's {name[:80]!r}; it is ignored")

    def _log_once(self, line: str) -> None:
        if line not in self._logged and len(self._logged) < 1000:
            self._logged.add(line)
            _log.info("%s", line)
