"""Mission: what a client asks for in its XML, as frozen models.

Read is what the block world can honour. The names of all other handlers are kept, for the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar
from xml.etree.ElementTree import Element

from pydantic import Field, ValidationError, field_validator, model_validator

from bridges.malmo.safe_xml import XmlError, read_xml
from bridges.malmo.wire import MAX_AGENTS
from games.frozen_model import FrozenModel

SLOTS = 41
"""Of a player's inventory: 9 in the hotbar, 27 more, 4 of armour, and the off hand."""
MAX_SIDE = 2048
MAX_PIXELS = 2_400_000

Name = Annotated[str, Field(max_length=64, pattern=r"^[\w.-]+$")]
"""An item's or a block's name, without `minecraft:`."""
Amount = Annotated[int, Field(ge=1, le=10_000)]
MAX_HANDLERS = 256
"""Items or blocks that one handler names."""

_Model = TypeVar("_Model", bound=FrozenModel)
RewardValue = Annotated[float, Field(ge=-1e9, le=1e9)]


class MissionError(ValueError):
    """The mission cannot be played; one line says why."""


class _Named(FrozenModel):
    type: Name

    @field_validator("type", mode="before")
    @classmethod
    def _plain(cls, value: str) -> str:
        return value.removeprefix("minecraft:")


class StartItem(_Named):
    """A stack that an agent has at the start."""

    slot: Annotated[int, Field(ge=0, lt=SLOTS)]
    metadata: Annotated[int, Field(ge=0, lt=16)] = 0
    quantity: Annotated[int, Field(ge=0, le=64)] = 1


class ItemAmount(_Named):
    """So many of an item."""

    amount: Amount = 1


class ItemReward(ItemAmount):
    """The reward for so many of an item."""

    reward: RewardValue


class ItemRewards(FrozenModel):
    """Rewards for items: `sparse` once each, else for every further `amount`, with or without those had before."""

    sparse: bool = False
    exclude_loops: bool = True
    items: Annotated[tuple[ItemReward, ...], Field(max_length=MAX_HANDLERS)] = ()


class BlockReward(_Named):
    """The reward for touching a block of a kind."""

    reward: RewardValue
    behaviour: Literal["onceOnly", "oncePerBlock", "constant"] = "onceOnly"


class Video(FrozenModel):
    """Size of the pictures."""

    width: Annotated[int, Field(ge=1, le=MAX_SIDE)]
    height: Annotated[int, Field(ge=1, le=MAX_SIDE)]

    @model_validator(mode="after")
    def _bounded(self) -> Video:
        if self.width * self.height > MAX_PIXELS:
            raise ValueError(f"pictures of {self.width} x {self.height}; at most {MAX_PIXELS:,}")
        return self


class Agent(FrozenModel):
    """What one agent has, sees and is rewarded for."""

    name: Annotated[str, Field(max_length=64)]
    video: Video
    inventory: tuple[StartItem, ...] = ()
    sees_inventory: bool = False
    sees_equipment: bool = False
    sees_compass: bool = False
    sees_stats: bool = False
    item_rewards: ItemRewards = ItemRewards()
    block_rewards: Annotated[tuple[BlockReward, ...], Field(max_length=MAX_HANDLERS)] = ()
    reward_per_block: RewardValue = 0.0
    """For every block of distance by which the compass' target comes nearer."""
    quits_with_items: Annotated[tuple[ItemAmount, ...], Field(max_length=MAX_HANDLERS)] = ()
    quits_at_blocks: Annotated[tuple[Name, ...], Field(max_length=MAX_HANDLERS)] = ()


class Mission(FrozenModel):
    """A world with its agents, of which the client is the one of `role`.

    `version` is MineRL's, 1 for 1.0, which names items as Minecraft 1.16 does.
    """

    name: Annotated[str, Field(max_length=128)]
    agents: Annotated[tuple[Agent, ...], Field(min_length=1, max_length=MAX_AGENTS)]
    role: Annotated[int, Field(ge=0)] = 0
    version: Literal[0, 1] = 0
    max_steps: Annotated[int, Field(ge=1)] | None = None
    ends_with_any_agent: bool = False
    target_block: Name | None = None
    """The block at the compass' target, where the mission is to find one."""
    ignored: tuple[str, ...] = ()
    """Names of what the mission asks for and this world has not."""

    @model_validator(mode="after")
    def _role_is_there(self) -> Mission:
        if self.role >= len(self.agents):
            raise ValueError(f"role {self.role} in a mission of {len(self.agents)} agents")
        return self

    @property
    def agent(self) -> Agent:
        """The client's agent."""
        return self.agents[self.role]


_USED = {
    "ServerQuitFromTimeUp", "ServerQuitWhenAnyAgentFinishes", "NavigationDecorator",
    "DefaultWorldGenerator", "VideoProducer", "ObservationFromFullInventory",
    "ObservationFromEquippedItem", "ObservationFromCompass", "ObservationFromFullStats",
    "HumanLevelCommands", "CameraCommands", "PlaceCommands", "EquipCommands",
    "RewardForPossessingItem", "RewardForTouchingBlockType",
    "RewardForDistanceTraveledToCompassTarget", "AgentQuitFromPossessingItem",
    "AgentQuitFromTouchingBlockType", "Inventory", "FileBasedPerformanceProducer",
    "PauseCommand", "ObservationFromDamage", "IsGuiOpen", "GuiScale", "LowLevelInputs",
    "FakeCursorSize",
}  # fmt: skip
"""Handlers that are honoured, or ask for nothing that a player could miss."""


def read_mission(xml: bytes) -> Mission:
    """The mission of a `MissionInit`; raises `MissionError`."""
    try:
        root = read_xml(xml)
        mission = _child(root, "Mission")
        sections = [child for child in mission if child.tag == "AgentSection"]
        server = [*mission.iterfind("ServerSection/ServerHandlers/*")]
        start = [*mission.iterfind("AgentSection/AgentStart/*")]
        handlers = [*mission.iterfind("AgentSection/AgentHandlers/*")]
        conditions = [*mission.iterfind("ServerSection/ServerInitialConditions/*")]
        names = dict.fromkeys(e.tag for e in (*conditions, *server, *start, *handlers))
        time_up = mission.find("ServerSection/ServerHandlers/ServerQuitFromTimeUp")
        return Mission(
            name=_text(mission, "About/Summary") or "a mission without a name",
            agents=tuple(_agent(section) for section in sections),
            role=_text(root, "ClientRole") or 0,
            version=1 if names.keys() & {"GuiScale", "LowLevelInputs"} else 0,
            max_steps=None if time_up is None else _steps(mission, time_up),
            ends_with_any_agent="ServerQuitWhenAnyAgentFinishes" in names,
            target_block=_target(mission) if "NavigationDecorator" in names else None,
            ignored=tuple(name for name in names if name not in _USED),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise MissionError(f"{where or 'the mission'}: {first['msg']}") from None
    except (XmlError, ValueError) as error:
        raise MissionError(str(error)) from None


def _agent(section: Element) -> Agent:
    handlers = _child(section, "AgentHandlers")
    names = {handler.tag for handler in handlers}
    return Agent(
        name=_text(section, "Name") or "agent",
        video=_video(_child(handlers, "VideoProducer")),
        inventory=_models(StartItem, section.iterfind("AgentStart/Inventory/InventoryObject")),
        sees_inventory="ObservationFromFullInventory" in names,
        sees_equipment="ObservationFromEquippedItem" in names,
        sees_compass="ObservationFromCompass" in names,
        sees_stats="ObservationFromFullStats" in names,
        item_rewards=_item_rewards(handlers.find("RewardForPossessingItem")),
        block_rewards=_models(BlockReward, handlers.iterfind("RewardForTouchingBlockType/Block")),
        reward_per_block=_per_block(handlers.find("RewardForDistanceTraveledToCompassTarget")),
        quits_with_items=_models(ItemAmount, handlers.iterfind("AgentQuitFromPossessingItem/Item")),
        quits_at_blocks=tuple(
            block.get("type", "").removeprefix("minecraft:")
            for block in handlers.iterfind("AgentQuitFromTouchingBlockType/Block")
        ),
    )


def _video(producer: Element) -> Video:
    if producer.get("want_depth") == "true":
        raise MissionError("pictures with depth, which this world does not draw")
    return Video(width=_text(producer, "Width"), height=_text(producer, "Height"))


def _item_rewards(element: Element | None) -> ItemRewards:
    if element is None:
        return ItemRewards()
    return ItemRewards(
        sparse=element.get("sparse", "false"),
        exclude_loops=element.get("excludeLoops", "true"),
        items=_models(ItemReward, element.iterfind("Item")),
    )


def _per_block(element: Element | None) -> Any:
    if element is None:
        return 0.0
    density = element.get("density", "PER_TICK")
    if density != "PER_TICK":
        raise MissionError(f"rewards for distance come with every tick here, not {density[:40]!r}")
    return element.get("rewardPerBlock", "0")


def _steps(mission: Element, time_up: Element) -> int:
    """The time limit in steps; both times are whole milliseconds."""
    step_ms = int(_text(mission, "ModSettings/MsPerTick") or 50)
    limit_ms = int(time_up.get("timeLimitMs", "0"))
    if step_ms < 1:
        raise MissionError(f"a tick of {step_ms} ms")
    return limit_ms // step_ms


def _target(mission: Element) -> str:
    where = "ServerSection/ServerHandlers/NavigationDecorator/randomPlacementProperties/block"
    return _text(mission, where) or "diamond_block"


def _models(model: type[_Model], elements: Iterable[Element]) -> tuple[_Model, ...]:
    """A model of each element's attributes; those it does not know are left out."""
    known = model.model_fields
    return tuple(
        model(**{name: value for name, value in e.attrib.items() if name in known})
        for e in elements
    )


def _child(element: Element, name: str) -> Element:
    child = element.find(name)
    if child is None:
        raise MissionError(f"<{element.tag[:40]}> has no <{name}>")
    return child


def _text(element: Element, path: str) -> str:
    """The text at `path` without the blanks around it, "" where there is none."""
    return (element.findtext(path) or "").strip()
