"""Meanings: the shared vocabulary of what controls do, by which a model plays a game that it was not trained on.

A control has one of them as its `meaning`: `Button(name="w", meaning="move.forward")`. A control that none of them fits
has no meaning, or one of its game, `my-game/cast_net`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from games.controls import Axis, Button, Camera, Choice, Control, Stick
from games.spec import GameSpec, did_you_mean

MEANINGS: dict[str, str] = {
    "move.forward": "walk, drive or swim the way the player faces",
    "move.back": "the opposite of move.forward, without turning round",
    "move.left": "step to the left; in a game seen from the side or from above, left on the screen",
    "move.right": "step to the right; in a game seen from the side or from above, right on the screen",
    "move.up": "up on the screen of a game seen from the side or from above; rise where one can fly",
    "move.down": "down on the screen of a game seen from the side or from above; sink where one can fly",
    "move.stick": "the analogue stick that moves: 0° is away from the player, angles grow clockwise",
    "look": "turn the view by degrees: pitch (down is positive) and yaw (right is positive)",
    "look.stick": "the analogue stick that turns the view: 0° is up, angles grow clockwise",
    "look.left": "turn the view left at the game's own speed, for games without a mouse",
    "look.right": "turn the view right at the game's own speed",
    "look.up": "turn the view up at the game's own speed",
    "look.down": "turn the view down at the game's own speed",
    "zoom": "look closer, as through a scope, while held",
    "jump": "leave the ground for a moment",
    "sneak": "move slowly and low while held: crouch, hide, keep from falling off an edge",
    "sprint": "move faster while held",
    "dodge": "get out of the way at once: roll, dash, evade",
    "attack.primary": "the main way to hit, shoot, dig or break what is aimed at",
    "attack.secondary": "the other way to hit or shoot",
    "block": "ward off a blow while held: raise a shield, parry",
    "reload": "make the weapon ready again",
    "use": "act on what is aimed at: open, talk, place, eat, press",
    "drop": "let go of what is in the hand",
    "pick_item": "take the thing that is aimed at into the hand",
    "swap_hands": "exchange what the two hands hold",
    **{f"hotbar.{i}": f"take slot {i} of the quick bar into the hand" for i in range(1, 10)},
    "hotbar.next": "take the next slot of the quick bar into the hand",
    "hotbar.previous": "take the slot before into the hand",
    **{f"ability.{i}": f"the character's special ability number {i}" for i in range(1, 5)},
    "ability.ultimate": "the character's strongest ability, which has to be charged",
    "lock_on": "keep the view on a target",
    "lock_on.next": "move the lock to the next target",
    "mount": "get on or off a horse, a vehicle, a board",
    "taunt": "provoke or greet: a gesture without effect on the fight",
    "steer": "an axis that steers a vehicle: -1 is left, 1 is right",
    "throttle": "an axis that drives a vehicle: 0 is none, 1 is full",
    "brake": "slow a vehicle down",
    "menu.inventory": "open what the player carries",
    "menu.map": "open the map",
    "menu.close": "close what is open, or open the game's menu",
    "menu.confirm": "say yes to what is selected",
    "chat": "text that other players read",
    "episode.end": "say that the task is done",
}
"""Meaning -> its description in one line. Entries are added, never changed: checkpoints and recordings have them."""


@dataclass(frozen=True)
class Component:
    """One written part of a control: a button, an option, an axis, or one of the two numbers of a camera or stick.

    Its k-th token has the k-th of `meanings` and stands for the k-th of `values`. Where it `is_numeric`, the number of
    another game goes to the nearest value. Else values are the control's own, and only an equal meaning is understood.
    """

    name: str
    """The meaning without its value: "jump", "look.yaw"."""
    meanings: tuple[str, ...]
    values: tuple[Any, ...]
    is_numeric: bool


def components(spec: GameSpec, control: Control) -> tuple[Component, ...]:
    """A control's written parts in order: one for a button, two (pitch, yaw) for a camera, none for text."""
    name = meaning_of(spec, control)
    match control:
        case Button():
            return (Component(name, (name,), (1,), is_numeric=False),)
        case Choice():
            options = tuple(f"{name}={option}" for option in control.options)
            return (Component(name, options, tuple(range(len(options))), is_numeric=False),)
        case Camera():
            return (
                _numeric(f"{name}.pitch", control.pitch_bins),
                _numeric(f"{name}.yaw", control.yaw_bins),
            )
        case Stick():
            rotations, magnitudes = control.rotation_bins, control.magnitude_bins
            return (
                _numeric(f"{name}.rotation", tuple(i * 360 / rotations for i in range(rotations))),
                _numeric(
                    f"{name}.magnitude", tuple((i + 1) / magnitudes for i in range(magnitudes))
                ),
            )
        case Axis():
            return (_numeric(name, control.levels),)
    return ()


def _numeric(name: str, values: tuple[float, ...]) -> Component:
    return Component(name, tuple(f"{name}:{v:+g}" for v in values), values, is_numeric=True)


def meaning_of(spec: GameSpec, control: Control) -> str:
    """A control's meaning; one without has the game's own, `game/control`."""
    return control.meaning or f"{spec.name}/{control.name}"


def unknown_meanings(spec: GameSpec) -> list[str]:
    """A line for each control whose meaning is neither shared nor marked as the game's own."""
    meanings = {control.name: meaning_of(spec, control) for control in spec.controls}
    return [
        f"{name}: {meaning!r} is no shared meaning{closest(meaning)}"
        for name, meaning in meanings.items()
        if "/" not in meaning and meaning not in MEANINGS
    ]


def closest(meaning: str) -> str:
    """ "; did you mean 'move.forward'?" for a near miss, "" for a shared or private meaning and for anything else."""
    return "" if meaning in MEANINGS or "/" in meaning else did_you_mean(meaning, MEANINGS)
