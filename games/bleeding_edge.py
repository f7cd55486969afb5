r"""Bleeding Edge as in the paper: 11 buttons and two polar sticks of 256 directions and 4 magnitudes.

The paper defines neither the sticks' origin and direction nor the edges of the magnitudes. Here 0° is up (away from the
player) and angles grow clockwise. `[lrot1]` is 0°, `[lrot2]` 1.40625°, and so on; each takes 0.703125° on either side.
Of the four magnitudes `[lmag1]` is .25 and `[lmag4]` is 1. The edges .125 and .625 belong to the level below, .375 and
.875 to the one above: of two levels equally near it is the even one. A stick at rest has no token.

               0° [lrot1]
                   | up, y = 1
       [lrot225]   |   [lrot33]       x = magnitude * sin(angle)
             315°  |  45°             y = magnitude * cos(angle)
                 \ | /
   270° -----------+----------- 90°   magnitude
   [lrot193]     / | \  x = 1         0     .125     .375     .625     .875      1
             225°  |  135°            | rest |[lmag1] |[lmag2] |[lmag3] |[lmag4] |
       [lrot161]   |   [lrot97]
                   |
              180° [lrot129]

The public data set has x and y in 11 buckets each instead; recorder/FORMAT.md has what is lost between the two.
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
