"""Token names: how many tokens controls have, and tokens of cameras and sticks that are told apart by name.

A camera's tokens are `[CAMERAX{}]` and `[CAMERAY{}]`, a stick's `[rot{}]` and `[mag{}]`, as in the paper. Where others
have these already, a control's name takes part in its tokens: `[turret:pitch{}]`, `[left:rot{}]`.
"""

from __future__ import annotations

from collections.abc import Sequence

from games.controls import Axis, Button, Camera, Choice, Control, Stick

_NAMED = {
    "pitch_token": "[{}:pitch{{}}]",
    "yaw_token": "[{}:yaw{{}}]",
    "rotation_token": "[{}:rot{{}}]",
    "magnitude_token": "[{}:mag{{}}]",
}
"""Token form of a camera or stick -> the form with the control's name."""


def token_count(control: Control) -> int:
    """Number of a control's tokens, without making them."""
    match control:
        case Button():
            return 1
        case Camera():
            return len(control.pitch_bins) + len(control.yaw_bins)
        case Stick():
            return control.rotation_bins + control.magnitude_bins
        case Axis():
            return control.bins
        case Choice():
            return len(control.options)
    return 0


def told_apart(controls: Sequence[Control], reserved: Sequence[str]) -> tuple[Control, ...]:
    """The same controls; cameras and sticks whose tokens others or `reserved` have get their name in them.

    The first of several keeps the tokens that it was declared with, and so does a control whose tokens are not the
    default ones. Of several cameras without a label, all but the first take their name for it.
    """
    forms = [_default_forms(control) for control in controls]
    pairs = list(zip(controls, forms, strict=True))
    taken = {*reserved, *(token for c, default in pairs if not default for token in c.tokens)}
    apart: list[Control] = []
    has_plain_camera = False
    for control, default in pairs:
        changes: dict[str, str] = {}
        if default and not taken.isdisjoint(control.tokens):
            changes = {form: _NAMED[form].format(control.name) for form in default}
        if isinstance(control, Camera) and not control.label:
            if has_plain_camera:
                changes["label"] = control.name
            has_plain_camera = True
        apart.append(control.model_copy(update=changes) if changes else control)
        taken.update(apart[-1].tokens)
    return tuple(apart)


def _default_forms(control: Control) -> list[str]:
    """Names of the token forms that a camera or stick leaves at their defaults; none for another control."""
    if not isinstance(control, Camera | Stick):
        return []
    forms = {name: field for name, field in type(control).model_fields.items() if name in _NAMED}
    return [name for name, field in forms.items() if getattr(control, name) == field.default]
