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

from agent_core.tokens.vocabulary import Vocabulary
from games import Action, Axis, Button, Camera, Choice, Control, GameSpec
from games.meanings import closest, components


@dataclass(frozen=True)
class ComponentTokens:
    """One written part of a control: the model's ids, the values they become in this game, and their own."""

    ids: tuple[int, ...]
    values: tuple[Any, ...]
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class ControlTokens:
    """One control as the model writes it: a token of every part, in order, or nothing at all."""

    control: Control
    components: tuple[ComponentTokens, ...]


class ActionCodec:
    """A game's actions in the ids of a vocabulary.

    `warnings` names, in words, the controls this vocabulary has no meaning for.
    """

    def __init__(self, spec: GameSpec, vocabulary: Vocabulary) -> None:
        self.spec = spec
        self.vocabulary = vocabulary
        groups = {c.name: _control_tokens(spec, c, vocabulary) for c in spec.token_order}
        found = [group for group in groups.values() if group is not None]
        self._controls = sorted(found, key=lambda g: g.components[0].ids[0])
        self._of_id = {
            i: (g, k) for g in self._controls for k, p in enumerate(g.components) for i in p.ids
        }
        self.warnings = tuple(
            f"{name}: this model never learned {said!r}, it stays untouched{closest(said)}"
            for name, group in groups.items()
            if group is None and spec.by_name[name].kind != "text"
            for said in [spec.by_name[name].meaning or name]
        )
        self._null = spec.null_action()
        self._excluded = self._exclusions()
        self.legal_next = lru_cache(maxsize=1 << 14)(self._legal_next)
        self.decode = lru_cache(maxsize=1 << 12)(self._decode)
        self.describe = lru_cache(maxsize=1 << 12)(self._describe)

    @property
    def has_controls(self) -> bool:
        """Whether at least one control is mapped."""
        return bool(self._controls)

    @property
    def max_tokens(self) -> int:
        """The most ids an action can have, with both markers."""
        written = {g.control.name: len(g.components) for g in self._controls}
        for names in self.spec.exclusive:
            for name in [n for n in names if n in written][1:]:
                del written[name]
        return 2 + sum(written.values())

    def max_chunk_tokens(self, chunk: int) -> int:
        """The most ids that `chunk` actions can have: START, then each with its END."""
        return 1 + chunk * (self.max_tokens - 1)

    def encode(self, action: Mapping[str, Any]) -> list[int]:
        """An action as ids, START and END included; unmapped controls are left out."""
        legal = self.spec.normalize(action)
        body = [i for group in self._controls for i in _write(group, legal[group.control.name])]
        return [self.vocabulary.start, *body, self.vocabulary.end]

    def _decode(self, body: tuple[int, ...]) -> Action:
        """The action of ids without markers (cached as `action`); the caller must not change the result."""
        action = dict(self._null)
        index = 0
        while index < len(body):
            group, _ = self._of_id[body[index]]
            size = len(group.components)
            values = [
                part.values[part.ids.index(i)]
                for part, i in zip(group.components, body[index : index + size], strict=True)
            ]
            action[group.control.name] = values[0] if size == 1 else tuple(values)
            index += size
        return self.spec.normalize(action)

    def _describe(self, body: tuple[int, ...]) -> str:
        """The action of ids without markers in words (cached as `words`)."""
        return self.spec.to_words(self._decode(body))

    def _legal_next(self, body: tuple[int, ...]) -> tuple[int, ...]:
        """The ids that may follow START and `body` (cached as `allowed`)."""
        if body:
            group, stage = self._of_id[body[-1]]
            if stage + 1 < len(group.components):
                return _legal_continuations(group, stage + 1, body[-1])
        last = self._controls.index(self._of_id[body[-1]][0]) if body else -1
        excluded = {i for written in body for i in self._excluded.get(written, ())}
        following: list[int] = []
        for group in self._controls[last + 1 :]:
            following += [i for i in _legal_first(group) if i not in excluded]
            if _is_always(group.control):
                return tuple(following)
        return (self.vocabulary.end, *following)

    def _exclusions(self) -> dict[int, tuple[int, ...]]:
        ids = {g.control.name: g.components[0].ids[0] for g in self._controls}
        excluded: dict[int, tuple[int, ...]] = {}
        for names in self.spec.exclusive:
            known = [ids[name] for name in names if name in ids]
            for i in known:
                excluded[i] = (*excluded.get(i, ()), *(j for j in known if j != i))
        return excluded


def _control_tokens(
    spec: GameSpec, control: Control, vocabulary: Vocabulary
) -> ControlTokens | None:
    """Find a control's ids by meaning; values go to the game's nearest bin. None where nothing fits."""
    tokens = []
    for part in components(spec, control):
        if part.is_numeric:
            known = _numbers(vocabulary, part.name)
            pairs = [(i, _nearest(part.values, x), x) for i, x in known]
        else:
            pairs = [
                (vocabulary.meaning_to_id[m], v, float(v))
                for m, v in zip(part.meanings, part.values, strict=True)
                if m in vocabulary.meaning_to_id
            ]
        if not pairs:
            return None
        tokens.append(ComponentTokens(*(tuple(column) for column in zip(*pairs, strict=True))))
    return ControlTokens(control, tuple(tokens)) if tokens else None


def _numbers(vocabulary: Vocabulary, prefix: str) -> list[tuple[int, float]]:
    """The vocabulary's ids for `prefix:number`, with their numbers."""
    split = [(i, *meaning.rpartition(":")[::2]) for meaning, i in vocabulary.meaning_to_id.items()]
    return [(i, float(number)) for i, name, number in split if name == prefix]


def _is_always(control: Control) -> bool:
    return isinstance(control, Axis | Choice) and control.always


def _write(group: ControlTokens, value: Any) -> tuple[int, ...]:
    control = group.control
    if value == control.null and not _is_always(control):
        return ()
    wanted = value if len(group.components) > 1 else (value,)
    written = []
    for part, number in zip(group.components, wanted, strict=True):
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


def _is_null(group: ControlTokens, ids: Sequence[int]) -> bool:
    return all(
        part.numbers[part.ids.index(i)] == 0 for part, i in zip(group.components, ids, strict=True)
    )


def _legal_first(group: ControlTokens) -> tuple[int, ...]:
    """First tokens of a control: all but the null value of a control with a single part that need not be written."""
    first = group.components[0]
    if len(group.components) > 1 or isinstance(group.control, Button) or _is_always(group.control):
        return first.ids
    null = group.control.null
    return tuple(i for i, v in zip(first.ids, first.values, strict=True) if v != null)


def _legal_continuations(group: ControlTokens, stage: int, before: int) -> tuple[int, ...]:
    part = group.components[stage]
    if isinstance(group.control, Camera):
        level = group.components[0].numbers[group.components[0].ids.index(before)] == 0
        return tuple(
            i for i, v in zip(part.ids, part.numbers, strict=True) if not (level and v == 0)
        )
    return part.ids
