"""Inventory: stacks that are picked up, used up and taken in the hand."""

from bridges.malmo.inventory import EMPTY, Inventory, Stack
from bridges.malmo.mission import SLOTS, StartItem


def of(*stacks: tuple[int, str, int, int]) -> Inventory:
    """An inventory of (slot, type, metadata, quantity)."""
    return Inventory(
        StartItem(slot=slot, type=name, metadata=metadata, quantity=quantity)
        for slot, name, metadata, quantity in stacks
    )


def test_items_go_onto_their_stack_then_into_a_free_slot() -> None:
    inventory = of((0, "iron_axe", 0, 1), (5, "log", 0, 63))
    inventory.add("log", 3)
    assert inventory.slots[5] == Stack("log", 0, 64)
    assert inventory.slots[1] == Stack("log", 0, 2)
    assert inventory.count("log") == 66


def test_another_variant_is_another_stack() -> None:
    inventory = of((0, "log", 1, 5))
    inventory.add("log")
    assert inventory.slots[1] == Stack("log", 0, 1)


def test_what_has_no_room_is_lost() -> None:
    inventory = of(*((i, "dirt", 0, 64) for i in range(SLOTS - 5)))
    inventory.add("log")
    inventory.add("dirt")
    assert inventory.count("log") == 0
    assert inventory.count("dirt") == 64 * (SLOTS - 5)


def test_items_in_the_hand_are_used_up_first() -> None:
    inventory = of((0, "dirt", 0, 5), (2, "dirt", 0, 1))
    inventory.selected = 2
    inventory.remove("dirt", 2)
    assert (inventory.slots[2], inventory.slots[0].quantity) == (EMPTY, 4)
    inventory.remove("dirt", 100)
    assert inventory.slots[0] == EMPTY


def test_a_stack_is_swapped_into_the_hand() -> None:
    inventory = of((0, "bucket", 0, 1), (30, "planks", 4, 7), (31, "planks", 0, 2))
    assert inventory.equip("planks", 0)
    assert inventory.held == Stack("planks", 0, 2)
    assert inventory.slots[31] == Stack("bucket", 0, 1)
    assert inventory.equip("planks")
    assert inventory.held == Stack("planks", 0, 2)
    assert not inventory.equip("snowball")
    assert not inventory.equip("air")
