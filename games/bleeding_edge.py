"""Bleeding Edge as in the paper: 11 buttons and two polar sticks of 256 directions and 4 magnitudes.

The paper does not define the sticks' origin and direction: here 0° is up and angles grow clockwise.
"""

from __future__ import annotations

from games.controls import Button, Stick
from games.game import Game
from games.spec import FrameSize, GameSpec

_BUTTONS = (
    ("Evade", "dodge", "evade"),
    ("Jump", "jump", "jump"),
    ("LockOn", "lock_on", "lock on"),
    ("Mount", "mount", "mount"),
    ("MeleeAttack", "attack.primary", "melee attack"),
    ("SpecialAbility1", "ability.1", "special ability 1"),
    ("SpecialAbility2", "ability.2", "special ability 2"),
    ("SpecialAbility3", "ability.3", "special ability 3"),
    ("SuperAbility", "ability.ultimate", "super ability"),
    ("SwitchLockOnTarget", "lock_on.next", "switch the lock-on target"),
    ("Taunt", "taunt", "taunt"),
)

SPEC = GameSpec(
    id="bleeding-edge-v0",
    title="Bleeding Edge (third-person four-against-four, replay recordings)",
    frame=FrameSize(height=180, width=300),
    step_hz=10,
    controls=(
        *(Button(name=name, meaning=meaning, label=label) for name, meaning, label in _BUTTONS),
        Stick(
            name="left_stick",
            meaning="move.stick",
            rotation_token="[lrot{}]",
            magnitude_token="[lmag{}]",
        ),
        Stick(
            name="right_stick",
            meaning="look.stick",
            rotation_token="[rrot{}]",
            magnitude_token="[rmag{}]",
        ),
    ),
)

GAME = Game(spec=SPEC)
