"""Session: what the process answers to one client, without I/O.

A client says hello, begins a mission, peeks, steps, and begins the next one. Whatever breaks this order, or the wire,
ends the session: `next_reply` raises `WireError` or `MissionError`, and the connection is to be closed.
"""

from __future__ import annotations

from bridges.malmo import wire
from bridges.malmo.missions import Missions
from bridges.malmo.wire import MalmoConnection, WireError
from bridges.malmo.world import AgentWorld


class Session:
    """One client's session; `port` is what it is told where it looks for the world of its episode."""

    def __init__(self, missions: Missions, port: int) -> None:
        self._missions, self._port = missions, port
        self._connection = MalmoConnection()
        self._world: AgentWorld | None = None
        self.over = False
        """Whether the client wants no more."""
        self.exit = False
        """Whether it wants the process to end."""

    @property
    def greeted(self) -> bool:
        """Whether the client has named its version."""
        return self._connection.greeted

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun that is not complete."""
        return self._connection.unfinished

    def receive(self, data: bytes) -> None:
        """Bytes from the client."""
        self._connection.receive(data)

    def next_reply(self) -> bytes | None:
        """The reply to the next request, perhaps empty; None where there is no complete request."""
        if self.over or (request := self._connection.next_request()) is None:
            return None
        match request:
            case wire.Step():
                return self._step(request)
            case wire.Peek():
                world = self._playing()
                return wire.peeked(world.pixels(), world.info(), world.done)
            case wire.Mission():
                self._world = self._missions.start(request.xml, request.token, self._world)
                return wire.number(self._world is not None)
            case wire.Find():
                return wire.number(self._port if self._missions.has(request.token) else 0)
            case wire.Quit():
                self.close()
                return wire.number(1)
            case wire.Acknowledge():
                return wire.number(1)
            case wire.Echo():
                return wire.packed(request.payload)
            case wire.Disconnect() | wire.Exit():
                self.over, self.exit = True, isinstance(request, wire.Exit)
                self.close()
                return wire.number(1) if self.exit else b""

    def close(self) -> None:
        """Leave the mission, if one is being played."""
        if self._world is not None:
            self._missions.leave(self._world)
            self._world = None

    def _step(self, request: wire.Step) -> bytes:
        world = self._playing()
        outcome = self._missions.step(world, request.commands)
        info = world.info() if request.with_info else None
        return wire.stepped(world.pixels(), outcome.reward, outcome.done, info)

    def _playing(self) -> AgentWorld:
        if self._world is None:
            raise WireError("a peek or a step without a mission")
        return self._world
