"""MalmoEnv client in memory: missions and messages as MineRL writes them."""

import json
import struct
from typing import Any

from bridges.malmo.session import Session

MISSION = """<MissionInit xmlns="http://ProjectMalmo.microsoft.com" PlatformVersion="0.37.0">
  <Mission>
    <About><Summary>Treechop</Summary></About>
    <ModSettings><MsPerTick>50</MsPerTick></ModSettings>
    <ServerSection>
      <ServerInitialConditions><Weather>clear</Weather></ServerInitialConditions>
      <ServerHandlers>
        <DefaultWorldGenerator forceReset="true" generatorOptions="{{}}"/>
        {server}
        <ServerQuitFromTimeUp timeLimitMs="400000" description="out_of_time"/>
        <ServerQuitWhenAnyAgentFinishes/>
      </ServerHandlers>
    </ServerSection>
    {agents}
  </Mission>
  <ExperimentUID>an-episode</ExperimentUID><ClientRole>{role}</ClientRole>
</MissionInit>"""
AGENT = """<AgentSection mode="Survival">
  <Name>MineRLAgent{number}</Name>
  <AgentStart>{start}</AgentStart>
  <AgentHandlers>
    <ObservationFromDamage/>
    <VideoProducer want_depth="false"><Width>{width} </Width><Height>{height}</Height></VideoProducer>
    {handlers}
    <HumanLevelCommands/><CameraCommands/>
  </AgentHandlers>
</AgentSection>"""
LOGS = """<RewardForPossessingItem sparse="false" excludeLoops="true">
  <Item amount="1" reward="1.0" type="log"/>
</RewardForPossessingItem>
<AgentQuitFromPossessingItem><Item type="log" amount="64"/></AgentQuitFromPossessingItem>"""


def mission_xml(
    handlers: str = LOGS,
    start: str = "",
    server: str = "",
    size: tuple[int, int] = (64, 64),
    agents: int = 1,
    role: int = 0,
) -> bytes:
    """A mission of so many equal agents, one of which is the client; `size` is width and height."""
    sections = [
        AGENT.format(number=i, start=start, handlers=handlers, width=size[0], height=size[1])
        for i in range(agents)
    ]
    return MISSION.format(server=server, agents="".join(sections), role=role).encode()


def message(payload: str | bytes) -> bytes:
    """A payload with its length."""
    data = payload.encode() if isinstance(payload, str) else payload
    return struct.pack("!I", len(data)) + data


HELLO = message("<MalmoEnv0.37.0/>")


def begin(xml: bytes | None = None, token: str = "an-episode:0:0:1:true:3") -> bytes:
    """A mission and its token."""
    return message(mission_xml() if xml is None else xml) + message(token)


def step(*commands: str) -> bytes:
    """A tick of an agent."""
    return message("<StepClient0>" + "\n".join(commands) + "</StepClient0 >")


def parts(reply: bytes) -> list[bytes]:
    """The payloads of a reply."""
    payloads = []
    while reply:
        (length,) = struct.unpack_from("!I", reply)
        payloads.append(reply[4 : 4 + length])
        assert len(payloads[-1]) == length
        reply = reply[4 + length :]
    return payloads


class Client:
    """A client of a session in memory."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.send(HELLO)

    def send(self, data: bytes) -> list[bytes]:
        """The payloads of all replies to `data`."""
        self.session.receive(data)
        replies = []
        while (reply := self.session.next_reply()) is not None:
            replies += parts(reply)
        return replies

    def begin(self, xml: bytes | None = None, token: str = "an-episode:0:0:1:true:3") -> int:
        """Begin a mission; 1, or 0 for busy."""
        (answer,) = self.send(begin(xml, token))
        return int(struct.unpack("!I", answer)[0])

    def peek(self) -> tuple[bytes, dict[str, Any], bool]:
        """Pixels, information and whether the mission is over."""
        pixels, info, done = self.send(message("<Peek/>"))
        return pixels, json.loads(info), done == b"\x01"

    def step(self, *commands: str) -> tuple[bytes, float, bool, dict[str, Any]]:
        """Pixels, reward, whether the mission is over, and information."""
        pixels, outcome, info = self.send(step(*commands))
        reward, done, sent = struct.unpack("!dbb", outcome)
        assert sent
        return pixels, reward, bool(done), json.loads(info)
