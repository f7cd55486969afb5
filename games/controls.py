"""Controls: what a player can do with a button, camera, stick, axis, choice or text, as tokens and as words.

A control turns one value of an action into tokens (for the model), into words (for people), and back. Values:

==========  =============================================  ===============================
control     value                                          null value (nothing is emitted)
==========  =============================================  ===============================
`Button`    0 or 1                                         0
`Camera`    (pitch_deg, yaw_deg), + is down and right      (0, 0)
`Stick`     (angle_deg in [0, 360), magnitude in [0, 1])   (0, 0)
`Axis`      float in [low, high]                           0 (or `low` where 0 is outside)
`Choice`    index into `options`                           0
`Text`      str of at most `max_length` characters         ""
==========  =============================================  ===============================
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import FailFast, Field, field_validator, model_validator

from games.bins import (
    MAX_BINS,
    MIN_SPACING,
    Number,
    OptionalTokenForm,
    TokenForm,
    Turns,
    decimals,
    degrees,
    even_levels,
    nearest,
)
from games.frozen_model import FrozenModel
from games.phrases import short, take, take_match, take_turn, turn_phrases

Token = str
Value = Any  # one control's value: see the table above

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.]{0,47}$")]
Meaning = Annotated[
    str, Field(pattern=r"^([a-z0-9][a-z0-9_-]*/)?[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=64)
]


class ActionError(ValueError):
    """An action, its tokens or its words do not fit the game's spec."""


class _Control(FrozenModel):
    name: Name
    meaning: Meaning | None = None
    """The control's purpose: one of `games.meanings`, or the game's own as `my-game/cast_net`. Models map by it."""


class Button(_Control):
    """A key or button that is up (0) or down (1) during a step."""

    kind: Literal["button"] = "button"
    label: str = Field("", max_length=100)
    """The button in words ("walk forward"); the name where empty."""

    @property
    def null(self) -> int:
        return 0

    @property
    def tokens(self) -> tuple[Token, ...]:
        return (f"[{self.name}]",)

    def normalize(self, value: Value) -> int:
        if isinstance(value, (bool, int, float)) and value in (0, 1):
            return int(value)
        raise ActionError(f"{self.name}: a button is 0 or 1, got {value!r}")

    def encode(self, value: Value) -> tuple[Token, ...]:
        return self.tokens if self.normalize(value) else ()

    def decode(self, tokens: Sequence[Token]) -> int:
        return int(bool(tokens))

    def to_words(self, value: Value) -> tuple[str, ...]:
        return (self.label or self.name,) if self.normalize(value) else ()

    def from_words(self, phrases: list[str]) -> int:
        return int(take(phrases, self.label or self.name))


class Camera(_Control):
    """Mouse look: turn by (pitch, yaw) degrees within one step; positive pitch looks down, positive yaw right."""

    kind: Literal["camera"] = "camera"
    pitch_bins: Turns
    yaw_bins: Turns
    label: str = Field("", max_length=100)
    """What turns, as its words begin ("turret turn left 9°"); nothing where empty."""
    pitch_token: TokenForm = "[CAMERAX{}]"
    yaw_token: TokenForm = "[CAMERAY{}]"

    @field_validator("pitch_bins", "yaw_bins")
    @classmethod
    def _ascending_with_zero(cls, bins: tuple[float, ...]) -> tuple[float, ...]:
        if 0 not in bins or list(bins) != sorted(set(bins)):
            raise ValueError("camera bins must ascend and contain 0")
        return tuple(b + 0.0 for b in bins)  # -0.0 + 0.0 is 0.0

    @property
    def null(self) -> tuple[float, float]:
        return (0.0, 0.0)

    @cached_property
    def pitch_tokens(self) -> tuple[Token, ...]:
        return self.tokens[: len(self.pitch_bins)]

    @cached_property
    def yaw_tokens(self) -> tuple[Token, ...]:
        return self.tokens[len(self.pitch_bins) :]

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Made anew: a spec that is only checked keeps none of what may be thousands."""
        forms = (self.pitch_token, self.pitch_bins), (self.yaw_token, self.yaw_bins)
        return tuple(form.format(degrees(b)) for form, bins in forms for b in bins)

    def normalize(self, value: Value) -> tuple[float, float]:
        pitch, yaw = _pair(self.name, value)
        return (nearest(self.pitch_bins, pitch), nearest(self.yaw_bins, yaw))

    def encode(self, value: Value) -> tuple[Token, ...]:
        pitch, yaw = self.normalize(value)
        if pitch == 0 and yaw == 0:
            return ()
        return (self.pitch_token.format(degrees(pitch)), self.yaw_token.format(degrees(yaw)))

    def decode(self, tokens: Sequence[Token]) -> tuple[float, float]:
        if not tokens:
            return self.null
        if (
            len(tokens) != 2
            or tokens[0] not in self.pitch_tokens
            or tokens[1] not in self.yaw_tokens
        ):
            raise ActionError(f"{self.name}: expected a pitch and a yaw token, got {list(tokens)}")
        pitch = self.pitch_bins[self.pitch_tokens.index(tokens[0])]
        return (pitch, self.yaw_bins[self.yaw_tokens.index(tokens[1])])

    def to_words(self, value: Value) -> tuple[str, ...]:
        return turn_phrases(self.label, *self.normalize(value), self._decimals)

    @cached_property
    def _decimals(self) -> int:
        return max(decimals(bins, 2) for bins in (self.pitch_bins, self.yaw_bins))

    def from_words(self, phrases: list[str]) -> tuple[float, float]:
        return self.normalize(take_turn(phrases, self.label))


class Stick(_Control):
    """An analogue stick in polar form: 0° is straight up (away from the player), angles grow clockwise.

    The paper has 256 rotation and 4 magnitude bins and does not define origin and direction; those two are ours.
    """

    kind: Literal["stick"] = "stick"
    rotation_bins: int = Field(256, ge=4, le=MAX_BINS)
    magnitude_bins: int = Field(4, ge=1, le=256)
    rotation_token: TokenForm = "[rot{}]"
    magnitude_token: TokenForm = "[mag{}]"

    @property
    def null(self) -> tuple[float, float]:
        return (0.0, 0.0)

    @cached_property
    def rotation_tokens(self) -> tuple[Token, ...]:
        return self.tokens[: self.rotation_bins]

    @cached_property
    def magnitude_tokens(self) -> tuple[Token, ...]:
        return self.tokens[self.rotation_bins :]

    @property
    def tokens(self) -> tuple[Token, ...]:
        numbers = range(1, self.rotation_bins + 1), range(1, self.magnitude_bins + 1)
        forms = zip((self.rotation_token, self.magnitude_token), numbers, strict=True)
        return tuple(form.format(n) for form, bins in forms for n in bins)

    def _bins(self, value: Value) -> tuple[int, int]:
        angle, magnitude = _pair(self.name, value)
        if not 0 <= magnitude <= 1:
            raise ActionError(f"{self.name}: a stick's magnitude is in [0, 1], got {magnitude}")
        rotation = round(angle % 360 * self.rotation_bins / 360) % self.rotation_bins
        return rotation, round(magnitude * self.magnitude_bins)

    def normalize(self, value: Value) -> tuple[float, float]:
        rotation, magnitude = self._bins(value)
        if magnitude == 0:
            return self.null
        return (rotation * 360 / self.rotation_bins, magnitude / self.magnitude_bins)

    def encode(self, value: Value) -> tuple[Token, ...]:
        rotation, magnitude = self._bins(value)
        if magnitude == 0:
            return ()
        return (self.rotation_tokens[rotation], self.magnitude_tokens[magnitude - 1])

    def decode(self, tokens: Sequence[Token]) -> tuple[float, float]:
        if not tokens:
            return self.null
        if (
            len(tokens) != 2
            or tokens[0] not in self.rotation_tokens
            or tokens[1] not in self.magnitude_tokens
        ):
            raise ActionError(
                f"{self.name}: expected a rotation and a magnitude token, got {list(tokens)}"
            )
        magnitude = (self.magnitude_tokens.index(tokens[1]) + 1) / self.magnitude_bins
        return (self.rotation_tokens.index(tokens[0]) * 360 / self.rotation_bins, magnitude)

    def to_words(self, value: Value) -> tuple[str, ...]:
        """The shortest numbers that are read back as the same bins: "left_stick 270° at 1.00"."""
        angle, magnitude = self.normalize(value)
        of_angle, of_magnitude = self._decimals
        words = f"{self.name} {angle:.{of_angle}f}° at {magnitude:.{of_magnitude}f}"
        return (words,) if magnitude else ()

    @cached_property
    def _decimals(self) -> tuple[int, int]:
        """Decimals of the angle, for which 360° is another level beside the last one, and of the magnitude."""
        angles = tuple(k * 360 / self.rotation_bins for k in range(self.rotation_bins + 1))
        magnitudes = even_levels(0.0, 1.0, self.magnitude_bins + 1)
        return decimals(angles, 0), decimals(magnitudes, 2)

    def from_words(self, phrases: list[str]) -> tuple[float, float]:
        match = take_match(phrases, rf"{re.escape(self.name)} ([\d.]+)° at ([\d.]+)")
        return self.normalize((float(match[1]), float(match[2]))) if match else self.null


class Axis(_Control):
    """One continuous value, cut into `bins` evenly spaced levels from `low` to `high`."""

    kind: Literal["axis"] = "axis"
    low: Number = -1.0
    high: Number = 1.0
    bins: int = Field(11, ge=2, le=MAX_BINS)
    token: OptionalTokenForm = ""
    """How a level is written, with {} for its number from 0; `[name:{}]` where empty."""
    always: bool = False
    """Whether it is written at every step, null or not, as robots' actions are."""

    @model_validator(mode="after")
    def _ordered(self) -> Axis:
        if not self.low < self.high:
            raise ValueError(f"axis {self.name}: low {self.low} must be below high {self.high}")
        if (self.high - self.low) / (self.bins - 1) < MIN_SPACING:
            raise ValueError(
                f"axis {self.name}: {self.bins} bins from {self.low} to {self.high} are less than "
                f"{MIN_SPACING:g} apart; take fewer, or a larger unit"
            )
        return self

    @cached_property
    def levels(self) -> tuple[float, ...]:
        return even_levels(self.low, self.high, self.bins)

    @cached_property
    def _decimals(self) -> int:
        return decimals(self.levels, 2)

    @cached_property
    def null(self) -> float:
        return nearest(self.levels, 0.0)

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        form = self.token or f"[{self.name}:{{}}]"
        return tuple(form.format(i) for i in range(self.bins))

    def normalize(self, value: Value) -> float:
        if not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
            raise ActionError(f"{self.name}: an axis is a finite number, got {value!r}")
        return nearest(self.levels, float(value))

    def encode(self, value: Value) -> tuple[Token, ...]:
        level = self.normalize(value)
        silent = level == self.null and not self.always
        return () if silent else (self.tokens[self.levels.index(level)],)

    def decode(self, tokens: Sequence[Token]) -> float:
        return self.levels[_only(self.name, self.tokens, tokens)] if tokens else self.null

    def to_words(self, value: Value) -> tuple[str, ...]:
        level = self.normalize(value)
        return () if level == self.null else (f"{self.name} at {short(level, self._decimals)}",)

    def from_words(self, phrases: list[str]) -> float:
        match = take_match(phrases, rf"{re.escape(self.name)} at (-?[\d.]+)")
        return self.normalize(float(match[1])) if match else self.null


class Choice(_Control):
    """One of several named options; the first is the null option."""

    kind: Literal["choice"] = "choice"
    options: Annotated[tuple[Name, ...], FailFast()] = Field(min_length=2, max_length=MAX_BINS)
    token: OptionalTokenForm = ""
    """How an option is written, with {} for its name; `[name:{}]` where empty."""
    always: bool = False
    """Whether it is written at every step, null or not."""

    @property
    def null(self) -> int:
        return 0

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        form = self.token or f"[{self.name}:{{}}]"
        return tuple(form.format(option) for option in self.options)

    def normalize(self, value: Value) -> int:
        if isinstance(value, int) and 0 <= value < len(self.options):
            return int(value)
        raise ActionError(f"{self.name}: an index below {len(self.options)}, got {value!r}")

    def encode(self, value: Value) -> tuple[Token, ...]:
        index = self.normalize(value)
        return (self.tokens[index],) if index or self.always else ()

    def decode(self, tokens: Sequence[Token]) -> int:
        return _only(self.name, self.tokens, tokens) if tokens else 0

    def to_words(self, value: Value) -> tuple[str, ...]:
        index = self.normalize(value)
        return (f"{self.name} {self.options[index]}",) if index else ()

    def from_words(self, phrases: list[str]) -> int:
        for index, option in enumerate(self.options[1:], start=1):
            if take(phrases, f"{self.name} {option}"):
                return index
        return 0


class Text(_Control):
    """Free text, such as chat. It has no action tokens: a model writes it with its text tokens."""

    kind: Literal["text"] = "text"
    max_length: int = Field(256, ge=1, le=4096)

    @property
    def null(self) -> str:
        return ""

    @property
    def tokens(self) -> tuple[Token, ...]:
        return ()

    def normalize(self, value: Value) -> str:
        if isinstance(value, str) and len(value) <= self.max_length:
            return value
        raise ActionError(f"{self.name}: text of at most {self.max_length} characters")

    def encode(self, value: Value) -> tuple[Token, ...]:
        self.normalize(value)
        return ()

    def decode(self, tokens: Sequence[Token]) -> str:
        return ""

    def to_words(self, value: Value) -> tuple[str, ...]:
        return ()

    def from_words(self, phrases: list[str]) -> str:
        return ""


Control = Annotated[Button | Camera | Stick | Axis | Choice | Text, Field(discriminator="kind")]


def _pair(name: str, value: Value) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in value)
    except (TypeError, ValueError, OverflowError):
        raise ActionError(f"{name}: expected two numbers, got {value!r}") from None
    if not (math.isfinite(first) and math.isfinite(second)):
        raise ActionError(f"{name}: expected two finite numbers, got {value!r}")
    return first, second


def _only(name: str, known: Sequence[Token], tokens: Sequence[Token]) -> int:
    if len(tokens) != 1 or tokens[0] not in known:
        raise ActionError(f"{name}: expected one of its tokens, got {list(tokens)}")
    return known.index(tokens[0])
