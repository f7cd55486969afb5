"""Sessions: missions played without a socket, by one client and by several."""

import logging
import struct
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.malmo.mission import MissionError, read_mission
from bridges.malmo.missions import Missions
from bridges.malmo.session import Session
from bridges.malmo.wire import WireError
from bridges.malmo.world import AgentWorld
from games.voxel import FREE, VoxelEnv
from tests.bridges.malmo.malmo_client import (
    HELLO,
    LOGS,
    Client,
    begin,
    message,
    mission_xml,
    step,
)
from tests.bridges.malmo.woodcutter import chop, lines

Connect = Callable[[], Client]
FORWARD = ("forward 1", "camera 0.0 0.0")


def test_a_mission_is_begun_seen_and_played(connect: Connect) -> None:
    client = connect()
    assert client.begin() == 1
    pixels, info, done = client.peek()
    assert len(pixels) == 64 * 64 * 3
    assert not done
    before = info["xpos"], info["zpos"]
    moved, reward, done, info = client.step(*FORWARD)
    assert (len(moved), reward, done) == (64 * 64 * 3, 0.0, False)
    assert moved != pixels
    assert (info["xpos"], info["zpos"]) != before


def test_the_world_is_the_games_own_of_the_same_seed(connect: Connect) -> None:
    client = connect()
    client.begin(mission_xml(size=(128, 72)), "e:0:0:1:true:7")
    env = VoxelEnv()
    observation, _ = env.reset(seed=7, options={"task": FREE})
    pixels, info, _ = client.peek()
    picture = np.frombuffer(pixels, np.uint8).reshape(72, 128, 3)[::-1]  # the lowest row first
    np.testing.assert_array_equal(picture, observation["frame"])
    assert (info["xpos"], info["zpos"]) == (env.player.x, env.player.z)
    action = {"forward": 1, "camera": (4.0, 9.0)}
    pixels, *_ = client.step("forward 1", "camera 4.0 9.0")
    frame = env.step(action)[0]["frame"]
    np.testing.assert_array_equal(np.frombuffer(pixels, np.uint8).reshape(72, 128, 3)[::-1], frame)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (200, 100), (640, 360)])
def test_pictures_have_the_missions_size(connect: Connect, width: int, height: int) -> None:
    client = connect()
    client.begin(mission_xml(size=(width, height)))
    pixels = np.frombuffer(client.peek()[0], np.uint8).reshape(height, width, 3)
    sky, ground = pixels[-height // 8 :].mean(axis=(0, 1)), pixels[: height // 8].mean(axis=(0, 1))
    assert sky[2] > ground[2]  # the last rows are the highest


@pytest.mark.parametrize(("detail", "drawn"), [(1, (72, 128)), (3, (216, 384)), (5, (360, 640))])
def test_detail_bounds_what_is_drawn(detail: int, drawn: tuple[int, int]) -> None:
    mission = read_mission(mission_xml(size=(640, 360)))
    world = AgentWorld(mission, seed=1, detail=detail)
    assert world._env.native_frame.shape == (*drawn, 3)
    assert len(world.pixels()) == 360 * 640 * 3


def test_wood_is_rewarded_and_enough_of_it_ends_the_mission(connect: Connect) -> None:
    client = connect()
    handlers = LOGS.replace('amount="64"', 'amount="2"')
    xml = mission_xml('<ObservationFromFullInventory flat="false"/>' + handlers)
    client.begin(xml, "e:0:0:1:true:1")
    steps = chop(seed=1, logs=2)
    outcomes = [client.step(*lines(action)) for action, _ in steps]
    assert [reward for _, reward, *_ in outcomes] == [logs for _, logs in steps]
    assert [done for *_, done, _ in outcomes] == [False] * (len(steps) - 1) + [True]
    info = outcomes[-1][3]
    (log,) = [stack for stack in info["inventory"] if stack["type"] == "log"]
    assert (log["quantity"], log["slot_id"]) == (2, 0)
    assert client.step(*FORWARD)[1:3] == (0.0, True)  # nothing happens any more


def test_a_mission_ends_at_its_time_limit(connect: Connect) -> None:
    client = connect()
    client.begin(mission_xml().replace(b"400000", b"150"))
    assert [client.step()[2] for _ in range(3)] == [False, False, True]


def test_another_episode_waits_for_the_one_that_is_played(connect: Connect) -> None:
    first, second = connect(), connect()
    assert first.begin() == 1
    assert second.begin(token="another:0:0:1:true") == 0
    assert second.begin(token="an-episode:0:0:1:true") == 0  # its role is taken
    assert first.send(message("<Quit/>")) == [struct.pack("!I", 1)]
    assert second.begin(token="another:0:0:1:true") == 1
    assert first.begin() == 0
    second.session.close()
    assert first.begin() == 1
    assert first.begin(token="a-third:0:0:1:true") == 1  # its own mission is over with that


def test_agents_of_an_episode_share_its_blocks(connect: Connect) -> None:
    xml = mission_xml(agents=2)
    first, second = connect(), connect()
    (port,) = first.send(message("<Find>an-episode:1:0</Find>"))
    assert port == struct.pack("!I", 0)  # nothing is played yet
    assert first.begin(xml, "an-episode:0:0:2:true:3") == 1
    (port,) = second.send(message("<Find>an-episode:1:0</Find>"))
    assert port == struct.pack("!I", 9000)
    assert second.begin(mission_xml(agents=2, role=1), "an-episode:2:0:2:true:3") == 1
    first_world, second_world = first.session._world, second.session._world
    assert first_world is not None
    assert second_world is not None
    assert first_world.blocks is second_world.blocks
    assert first.peek() == second.peek()


def test_the_end_of_one_agent_is_the_end_of_all(connect: Connect) -> None:
    first, second = connect(), connect()
    for role, client in enumerate((first, second)):
        xml = mission_xml(agents=2, role=role).replace(b"400000", b"100")
        client.begin(xml, f"an-episode:{role}:0:2:true:3")
    assert [first.step()[2], first.step()[2]] == [False, True]
    assert second.step()[2]


def test_an_episode_without_a_seed_is_the_same_for_all_its_agents() -> None:
    pictures = []
    for episode in ("one", "one", "two"):
        client = Client(Session(Missions(), 9000))
        client.begin(token=f"{episode}:0:0:1:true")
        pictures.append(client.peek()[0])
    assert pictures[0] == pictures[1]
    assert pictures[0] != pictures[2]


def test_the_first_seed_counts_on() -> None:
    missions = Missions(first_seed=3)
    client = Client(Session(missions, 9000))
    client.begin(token="a:0:0:1:true:4")
    of_four = client.peek()[0]
    client.begin(token="b:0:0:1:true")
    of_three = client.peek()[0]
    client.begin(token="c:0:0:1:true")
    assert client.peek()[0] == of_four != of_three


def test_a_negative_seed_is_a_world_too(connect: Connect) -> None:
    assert connect().begin(token="e:0:0:1:true:-9223372036854775808") == 1


def test_a_snowball_is_thrown_by_the_hand_that_holds_it(connect: Connect) -> None:
    start = (
        '<Inventory><InventoryObject slot="0" type="stone_shovel" quantity="1"/>'
        '<InventoryObject slot="4" type="snowball" quantity="1"/></Inventory>'
    )
    client = connect()
    seen = '<ObservationFromFullInventory flat="false"/><ObservationFromEquippedItem/>'
    client.begin(mission_xml(seen, start))
    info = client.step("use 1")[3]
    assert info["inventory"][4]["quantity"] == 1
    info = client.step("equip snowball", "use 0")[3]
    assert info["equipped_items"]["mainhand"]["type"] == "snowball"
    info = client.step("use 1")[3]
    assert "snowball" not in {stack["type"] for stack in info["inventory"]}
    assert info["equipped_items"]["mainhand"] == {}


def test_dirt_is_placed_from_the_hand_or_by_name(connect: Connect) -> None:
    start = '<Inventory><InventoryObject slot="2" type="dirt" quantity="9"/></Inventory>'
    client = connect()
    client.begin(mission_xml('<ObservationFromFullInventory flat="false"/>', start))
    for _ in range(5):
        client.step("camera 10.0 0.0")  # down to the ground ahead
    assert client.step("use 1")[3]["inventory"][2]["quantity"] == 9  # nothing is in the hand
    info = client.step("hotbar.3 1")[3]  # use is still held
    assert info["inventory"][2]["quantity"] == 8
    for _ in range(6):
        info = client.step("use 0", "hotbar.1 1", "place dirt", "camera 0.0 9.0")[3]
    assert info["inventory"][2]["quantity"] < 8


NAVIGATE = """<ObservationFromCompass/>
  <RewardForTouchingBlockType>
    <Block reward="100.0" type="diamond_block" behaviour="onceOnly"/>
  </RewardForTouchingBlockType>
  <RewardForDistanceTraveledToCompassTarget rewardPerBlock="1.0" density="PER_TICK"/>
  <AgentQuitFromTouchingBlockType><Block type="diamond_block"/></AgentQuitFromTouchingBlockType>"""
DECORATOR = """<NavigationDecorator><randomPlacementProperties><block>diamond_block</block>
  </randomPlacementProperties></NavigationDecorator>"""


def test_the_compass_leads_to_the_block_that_is_looked_for(connect: Connect) -> None:
    client = connect()
    client.begin(mission_xml(NAVIGATE, server=DECORATOR), "e:0:0:1:true:1")
    rewards: list[float] = []
    info, done = client.peek()[1], False
    start = info["distanceToCompassTarget"]
    while not done and len(rewards) < 100:
        camera = f"camera 0.0 {info['compassAngle']}"
        _, reward, done, info = client.step("forward 1", "jump 1", camera)
        rewards.append(reward)
    assert done
    assert rewards[-1] > 99
    assert sum(rewards) == pytest.approx(100 + start - info["distanceToCompassTarget"])


def test_minerl_1_0_gets_its_own_json(connect: Connect) -> None:
    start = (
        "<LowLevelInputs>true</LowLevelInputs><GuiScale>1.0</GuiScale><Inventory>"
        '<InventoryObject slot="0" type="oak_log" quantity="2"/></Inventory>'
    )
    client = connect()
    client.begin(mission_xml("<ObservationFromEquippedItem/>", start))
    _, info, _ = client.peek()
    assert '"type": "oak_log"' in info["equipped_items"]["mainhand"]
    assert info["equipped_items"]["offhand"] == "{}"
    assert (info["isGuiOpen"], info["life_stats"]["life"]) == (False, 20.0)


@pytest.mark.parametrize("data", [message("<Peek/>"), step()])
def test_nothing_can_be_played_before_a_mission(connect: Connect, data: bytes) -> None:
    with pytest.raises(WireError, match="without a mission"):
        connect().send(data)


def test_a_role_that_the_mission_has_not_is_refused(connect: Connect) -> None:
    with pytest.raises(MissionError, match="role 1"):
        connect().begin(mission_xml(role=1))


def test_a_refused_mission_leaves_the_world_free(connect: Connect) -> None:
    with pytest.raises(MissionError):
        connect().begin(b"<MissionInit/>")
    assert connect().begin() == 1


def test_a_client_may_leave_or_end_the_process(connect: Connect) -> None:
    client = connect()
    client.begin()
    assert client.send(message("<Disconnect/>") + message("<Peek/>")) == []
    assert client.session.over
    assert not client.session.exit
    other = connect()
    assert other.begin() == 1
    assert other.send(message("<Exit>NOW</Exit>")) == [struct.pack("!I", 1)]
    assert other.session.exit


def test_what_is_ignored_is_logged_once(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "iafm.malmo")
    client = connect()
    for episode in ("a", "b"):
        client.begin(token=f"{episode}:0:0:1:true")
        client.step("craft planks")
        client.step("craft planks")
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if "'craft'" in line]) == 1
    assert len([line for line in lines if "'Weather'" in line]) == 1


TALK = HELLO + begin() + message("<Peek/>") + step("forward 1", "camera 0.0 9.0") * 3


@given(
    st.lists(st.tuples(st.integers(0, len(TALK) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(TALK)),
)
@settings(max_examples=40, deadline=None)
def test_random_changes_of_a_talk_end_in_an_error_or_in_none(
    changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(TALK)
    for where, value in changes:
        data[where] = value
    session = Session(Missions(), 9000)
    session.receive(bytes(data[:cut]))
    replies: list[bytes | None] = []
    with suppress(WireError, MissionError):
        replies = list(iter(session.next_reply, None))
    assert len(replies) <= 5


def test_many_messages_at_once_are_answered_one_by_one(missions: Missions) -> None:
    session = Session(missions, 9000)
    session.receive(HELLO + begin() + message("<Peek/>") * 3)
    replies = [session.next_reply() for _ in range(5)]
    assert [reply is None for reply in replies] == [False, False, False, False, True]
