"""Which action token may come next? A spec attached to a vocabulary, and the automaton of its legal actions.

Tokens are written in the vocabulary's order, at most one value per control part; camera and stick come as complete
pairs; exclusive buttons are never together; what is written at every step cannot be passed over; [ENDOFACTION] closes.
An illegal action cannot be produced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agent_core.tokens.vocabulary import Vocabulary, parts
from games import Action, Axis, Button, Camera, Choice, Control, GameSpec, Stick
from games.meanings import closest


@dataclass(frozen=True)
class _Part:
    """One written part of a control: the model's ids, the values they become in this game, and their own."""

    ids: tuple[int, ...]
    values: tuple[Any, ...]
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class _Group:
    """One control as the model writes it: a token of every part, in order, or nothing at all."""

    control: Control
    parts: tuple[_Part, ...]


class Attachment:
    """A game's actions in the ids of a vocabulary.

    `warnings` names, in words, the controls this vocabulary has no meaning for.
    """

    def __init__(self, spec: GameSpec, vocabulary: Vocabulary) -> None:
        self.spec = spec
        self.vocabulary = vocabulary
        groups = {c.name: _group(spec, c, vocabulary) for c in spec.token_order}
        found = [group for group in groups.values() if group is not None]
        self._groups = sorted(found, key=lambda g: g.parts[0].ids[0])
        self._of_id = {
            i: (g, k) for g in self._groups for k, p in enumerate(g.parts) for i in p.ids
        }
        self.warnings = tuple(
            f"{name}: this model never learned {said!r}, it stays untouched{closest(said)}"
            for name, group in groups.items()
            if group is None and spec.by_name[name].kind != "text"
            for said in [spec.by_name[name].meaning or name]
        )
        self._null = spec.null_action()
        self._barred = self._exclusions()
        self.allowed = lru_cache(maxsize=1 << 14)(self._allowed)
        self.action = lru_cache(maxsize=1 << 12)(self._action)
        self.words = lru_cache(maxsize=1 << 12)(self._words)

    @property
    def playable(self) -> bool:
        """Whether at least one control is mapped."""
        return bool(self._groups)

    @property
    def longest(self) -> int:
        """The most ids an action can have, with both markers."""
        written = {g.control.name: len(g.parts) for g in self._groups}
        for names in self.spec.exclusive:
            for name in [n for n in names if n in written][1:]:
                del written[name]
        return 2 + sum(written.values())

    def room(self, chunk: int) -> int:
        """The most ids that `chunk` actions can have: START, then each with its END."""
        return 1 + chunk * (self.longest - 1)

    def ids(self, action: Mapping[str, Any]) -> list[int]:
        """An action as ids, START and END included; unmapped controls are left out."""
        legal = self.spec.legal(action)
        body = [i for group in self._groups for i in _write(group, legal[group.control.name])]
        return [self.vocabulary.start, *body, self.vocabulary.end]

    def _action(self, body: tuple[int, ...]) -> Action:
        """The action of ids without markers (cached as `action`); the caller must not change the result."""
        action = dict(self._null)
        index = 0
        while index < len(body):
            group, _ = self._of_id[body[index]]
            size = len(group.parts)
            values = [
                part.values[part.ids.index(i)]
                for part, i in zip(group.parts, body[index : index + size], strict=True)
            ]
            action[group.control.name] = values[0] if size == 1 else tuple(values)
            index += size
        return self.spec.legal(action)

    def _words(self, body: tuple[int, ...]) -> str:
        """The action of ids without markers in words (cached as `words`)."""
        return self.spec.say(self._action(body))

    def _allowed(self, body: tuple[int, ...]) -> tuple[int, ...]:
        """The ids that may follow START and `body` (cached as `allowed`)."""
        if body:
            group, stage = self._of_id[body[-1]]
            if stage + 1 < len(group.parts):
                return _continue(group, stage + 1, body[-1])
        last = self._groups.index(self._of_id[body[-1]][0]) if body else -1
        barred = {i for written in body for i in self._barred.get(written, ())}
        following: list[int] = []
        for group in self._groups[last + 1 :]:
            following += [i for i in _begin(group) if i not in barred]
            if _is_always(group.control):
                return tuple(following)
        return (self.vocabulary.end, *following)

    def _exclusions(self) -> dict[int, tuple[int, ...]]:
        ids = {g.control.name: g.parts[0].ids[0] for g in self._groups}
        barred: dict[int, tuple[int, ...]] = {}
        for names in self.spec.exclusive:
            known = [ids[name] for name in names if name in ids]
            for i in known:
                barred[i] = (*barred.get(i, ()), *(j for j in known if j != i))
        return barred


def _group(spec: GameSpec, control: Control, vocabulary: Vocabulary) -> _Group | None:
    """Find a control's ids by meaning; values go to the game's nearest bin. None where nothing fits."""
    values = _values(control)
    found = []
    for meanings, of_game in zip(parts(spec, control), values, strict=True):
        if isinstance(control, Button | Choice):
            pairs = [
                (vocabulary.id_of[m], v, float(v))
                for m, v in zip(meanings, of_game, strict=True)
                if m in vocabulary.id_of
            ]
        else:
            known = _numbers(vocabulary, meanings[0].rpartition(":")[0])
            pairs = [(i, _nearest(of_game, x), x) for i, x in known]
        if not pairs:
            return None
        found.append(_Part(*(tuple(column) for column in zip(*pairs, strict=True))))
    return _Group(control, tuple(found)) if found else None


def _values(control: Control) -> tuple[tuple[Any, ...], ...]:
    if isinstance(control, Button):
        return ((1,),)
    if isinstance(control, Camera):
        return (control.pitch_bins, control.yaw_bins)
    if isinstance(control, Stick):
        rotations, magnitudes = control.rotation_bins, control.magnitude_bins
        return (
            tuple(i * 360 / rotations for i in range(rotations)),
            tuple((i + 1) / magnitudes for i in range(magnitudes)),
        )
    if isinstance(control, Axis):
        return (control.levels,)
    if isinstance(control, Choice):
        return (tuple(range(len(control.options))),)
    return ()


def _numbers(vocabulary: Vocabulary, prefix: str) -> list[tuple[int, float]]:
    """The vocabulary's ids for `prefix:number`, with their numbers."""
    split = [(i, *meaning.rpartition(":")[::2]) for meaning, i in vocabulary.id_of.items()]
    return [(i, float(number)) for i, name, number in split if name == prefix]


def _is_always(control: Control) -> bool:
    return isinstance(control, Axis | Choice) and control.always


def _write(group: _Group, value: Any) -> tuple[int, ...]:
    control = group.control
    if value == control.null and not _is_always(control):
        return ()
    wanted = value if len(group.parts) > 1 else (value,)
    written = []
    for part, number in zip(group.parts, wanted, strict=True):
        if isinstance(control, Button | Choice):
            if number not in part.values:
                return ()
            written.append(part.ids[part.values.index(number)])
        else:
            written.append(part.ids[part.numbers.index(_nearest(part.numbers, number))])
    if isinstance(control, Camera) and _is_null(group, written):
        return ()
    return tuple(written)


def _nearest(numbers: Sequence[float], wanted: float) -> float:
    return min(numbers, key=lambda n: (abs(n - wanted), abs(n)))


def _is_null(group: _Group, ids: Sequence[int]) -> bool:
    return all(
        part.numbers[part.ids.index(i)] == 0 for part, i in zip(group.parts, ids, strict=True)
    )


def _begin(group: _Group) -> tuple[int, ...]:
    """First tokens of a control: all but the null value of a control with a single part that need not be written."""
    first = group.parts[0]
    if len(group.parts) > 1 or isinstance(group.control, Button) or _is_always(group.control):
        return first.ids
    null = group.control.null
    return tuple(i for i, v in zip(first.ids, first.values, strict=True) if v != null)


def _continue(group: _Group, stage: int, before: int) -> tuple[int, ...]:
    part = group.parts[stage]
    if isinstance(group.control, Camera):
        level = group.parts[0].numbers[group.parts[0].ids.index(before)] == 0
        return tuple(
            i for i, v in zip(part.ids, part.numbers, strict=True) if not (level and v == 0)
        )
    return part.ids
