"""Inventory: 41 slots of stacks as in Minecraft, and which of its items the block world has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bridges.malmo.mission import SLOTS, StartItem

STACK = 64
HOTBAR = 9
ITEM_NAMES = {"wood": "log", "beef": "beef", "pork": "porkchop", "dirt": "dirt", "stone": "cobblestone"}  # fmt: skip
"""The block world's items as Minecraft names them."""
ITEM_NAMES_1_16 = ITEM_NAMES | {"wood": "oak_log"}
"""The same since Minecraft 1.13, as MineRL 1.0 knows them."""


@dataclass(frozen=True)
class Stack:
    """So many items of a type; `metadata` is a variant's number, such as the kind of planks."""

    type: str = "air"
    metadata: int = 0
    quantity: int = 0


EMPTY = Stack()


class Inventory:
    """The stacks of one player; slots 0 to 8 are the hotbar, `selected` is the one in the hand."""

    def __init__(self, start: Iterable[StartItem] = ()) -> None:
        self.slots = [EMPTY] * SLOTS
        self.selected = 0
        for item in start:
            if item.quantity:
                self.slots[item.slot] = Stack(item.type, item.metadata, item.quantity)

    @property
    def held(self) -> Stack:
        """The stack in the hand."""
        return self.slots[self.selected]

    def count(self, item: str) -> int:
        """How many of a type there are, in all variants."""
        return sum(stack.quantity for stack in self.slots if stack.type == item)

    def add(self, item: str, quantity: int = 1) -> None:
        """Items picked up: onto a stack of their kind, else into the first free slot; what has no room is lost."""
        for _ in range(quantity):
            slot = self._room(item)
            if slot is None:
                return
            old = self.slots[slot]
            self.slots[slot] = Stack(item, old.metadata, old.quantity + 1)

    def remove(self, item: str, quantity: int = 1) -> None:
        """Items used up: those in the hand first."""
        for _ in range(quantity):
            order = (self.selected, *range(SLOTS))
            slot = next((i for i in order if self.slots[i].type == item), None)
            if slot is None:
                return
            stack = self.slots[slot]
            last = stack.quantity == 1
            self.slots[slot] = EMPTY if last else replace(stack, quantity=stack.quantity - 1)

    def equip(self, item: str, metadata: int | None = None) -> bool:
        """Swap the first stack of a type and variant (None: any) into the hand; False where there is none."""
        for i, stack in enumerate(self.slots):
            if stack.quantity and stack.type == item and metadata in (None, stack.metadata):
                slots, hand = self.slots, self.selected
                slots[i], slots[hand] = slots[hand], slots[i]
                return True
        return False

    def _room(self, item: str) -> int | None:
        """The slot where one more of an item goes."""
        main = range(SLOTS - 5)  # neither armour nor the off hand
        stacks = self.slots
        for i in main:
            if stacks[i].type == item and stacks[i].metadata == 0 and stacks[i].quantity < STACK:
                return i
        return next((i for i in main if not stacks[i].quantity), None)
