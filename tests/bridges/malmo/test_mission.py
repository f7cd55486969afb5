"""Missions: what is read of a client's XML, and what is refused."""

import pytest

from bridges.malmo.mission import (
    Agent,
    BlockReward,
    ItemAmount,
    ItemReward,
    MissionError,
    StartItem,
    Video,
    read_mission,
)
from tests.bridges.malmo.malmo_client import LOGS, mission_xml


def agent_of(handlers: str = "", start: str = "", server: str = "") -> Agent:
    return read_mission(mission_xml(handlers, start, server)).agents[0]


def test_a_mission_is_read() -> None:
    mission = read_mission(mission_xml(size=(640, 360)))
    assert (mission.name, mission.max_steps, mission.version) == ("Treechop", 8000, 0)
    assert mission.ends_with_any_agent
    assert mission.target_block is None
    assert mission.ignored == ("Weather",)
    (agent,) = mission.agents
    assert agent.video == Video(width=640, height=360)
    assert agent.item_rewards.items == (ItemReward(type="log", amount=1, reward=1),)
    assert agent.item_rewards.exclude_loops
    assert not agent.item_rewards.sparse
    assert agent.quits_with_items == (ItemAmount(type="log", amount=64),)
    assert not any((agent.sees_inventory, agent.sees_equipment, agent.sees_compass))


def test_the_start_inventory_is_read() -> None:
    agent = agent_of(
        start='<Inventory><InventoryObject slot="0" type="minecraft:iron_axe" quantity="1"/>'
        '<InventoryObject slot="28" type="planks" metadata="4" quantity="64" colour="RED"/>'
        "</Inventory>"
    )
    assert agent.inventory == (
        StartItem(slot=0, type="iron_axe", metadata=0, quantity=1),
        StartItem(slot=28, type="planks", metadata=4, quantity=64),
    )


def test_a_navigation_is_read() -> None:
    handlers = """<ObservationFromCompass/><ObservationFromFullInventory flat="false"/>
      <RewardForTouchingBlockType>
        <Block reward="100.0" type="diamond_block" behaviour="onceOnly"/>
      </RewardForTouchingBlockType>
      <RewardForDistanceTraveledToCompassTarget rewardPerBlock="1.5" density="PER_TICK"/>
      <AgentQuitFromTouchingBlockType><Block type="diamond_block"/></AgentQuitFromTouchingBlockType>
    """
    server = """<NavigationDecorator><randomPlacementProperties><block>emerald_block</block>
      </randomPlacementProperties></NavigationDecorator>"""
    mission = read_mission(mission_xml(handlers, server=server))
    (agent,) = mission.agents
    assert mission.target_block == "emerald_block"
    assert agent.sees_compass
    assert agent.sees_inventory
    assert agent.reward_per_block == 1.5
    assert agent.quits_at_blocks == ("diamond_block",)
    assert agent.block_rewards == (
        BlockReward(type="diamond_block", reward=100, behaviour="onceOnly"),
    )


def test_a_mission_of_minerl_1_0_is_told_by_its_settings() -> None:
    start = "<LowLevelInputs>true</LowLevelInputs><GuiScale>1.0</GuiScale>"
    assert read_mission(mission_xml(start=start)).version == 1


def test_what_the_world_has_not_is_named() -> None:
    mission = read_mission(mission_xml("<SimpleCraftCommands/><SimpleCraftCommands/>"))
    assert mission.ignored == ("Weather", "SimpleCraftCommands")


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        pytest.param(b"<MissionInit", "no XML", id="torn"),
        pytest.param(b"<MissionInit/>", "has no <Mission>", id="empty"),
        pytest.param(b"\xff\xfe", "no XML", id="no text"),
        pytest.param(
            b'<!DOCTYPE x [<!ENTITY a "aaaa">]><MissionInit><Mission>&a;</Mission></MissionInit>',
            "document type",
            id="an entity",
        ),
        pytest.param(
            b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><MissionInit/>', "document type", id="a file"
        ),
        pytest.param(b"<MissionInit>&undefined;</MissionInit>", "no XML", id="no entity"),
        pytest.param(b"<a>" * 40 + b"</a>" * 40, "within each other", id="deep"),
        pytest.param(b"<a>" + b"<b/>" * 10_001 + b"</a>", "10,000 elements", id="many"),
        pytest.param(mission_xml(agents=0), "agents: ", id="no agent"),
        pytest.param(mission_xml(agents=17), "agents: ", id="many agents"),
        pytest.param(mission_xml(size=(0, 64)), "width: ", id="no width"),
        pytest.param(mission_xml(size=(4096, 64)), "width: ", id="too wide"),
        pytest.param(mission_xml(size=(2048, 2048)), "2048 x 2048", id="too large"),
        pytest.param(mission_xml().replace(b"false", b"true", 3), "depth", id="depth"),
        pytest.param(mission_xml().replace(b"64 <", b"wide <"), "width: ", id="no number"),
        pytest.param(mission_xml().replace(b"400000", b"0"), "max_steps: ", id="no time"),
        pytest.param(mission_xml().replace(b"400000", b"9" * 5000), "digits", id="much time"),
        pytest.param(mission_xml().replace(b">50<", b">0<"), "tick of 0", id="no tick"),
        pytest.param(
            mission_xml(LOGS.replace('reward="1.0"', 'reward="inf"')), "reward", id="infinite"
        ),
        pytest.param(mission_xml(LOGS.replace('"log"', '"l g"', 1)), "type: ", id="no name"),
        pytest.param(
            mission_xml(
                start='<Inventory><InventoryObject slot="41" type="dirt" quantity="1"/></Inventory>'
            ),
            "slot: ",
            id="no slot",
        ),
        pytest.param(
            mission_xml(
                '<RewardForDistanceTraveledToCompassTarget rewardPerBlock="1" density="END"/>'
            ),
            "every tick",
            id="another density",
        ),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(xml: bytes, why: str) -> None:
    with pytest.raises(MissionError, match=why) as error:
        read_mission(xml)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
