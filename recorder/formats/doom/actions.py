"""Actions of a Doom demo: a tic as an action of `games.doom`.

A tic has speeds: 25 forward and 24 to the side walk, 50 and 40 run. It has the weapon that is chosen at that tic.
"""

from __future__ import annotations

from games import Action
from recorder.formats.doom.demo import Tic

WALK_FORWARD, WALK_SIDE = 25, 24
FIRE, USE, CHANGE, SPECIAL = 1, 2, 4, 0x80
WEAPON_SHIFT, WEAPON_MASK = 3, 7


def action_of(tic: Tic) -> Action:
    """The action of a tic; its turn is not rounded to bins yet."""
    action: Action = {
        "forward": int(tic.forward > 0),
        "back": int(tic.forward < 0),
        "left": int(tic.side < 0),
        "right": int(tic.side > 0),
        "run": int(abs(tic.forward) > WALK_FORWARD or abs(tic.side) > WALK_SIDE),
        "camera": (0.0, tic.turn_deg),
    }
    if not tic.buttons & SPECIAL:  # else a pause or a saved game
        action |= {"fire": int(bool(tic.buttons & FIRE)), "use": int(bool(tic.buttons & USE))}
        if tic.buttons & CHANGE:
            action[f"weapon.{1 + (tic.buttons >> WEAPON_SHIFT & WEAPON_MASK)}"] = 1
    return action
