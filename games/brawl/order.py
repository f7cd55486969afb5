"""Order: what a player is asked to do in a match."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["win", "defend", "escort", "focus", "cells", "wait"]


class Order(NamedTuple):
    """A kind of play and what it is about: a point's letter, or a class."""

    kind: Kind = "win"
    about: str = ""


WIN = Order()
