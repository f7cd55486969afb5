"""Action codec: a game's actions as token ids, and the grammar automaton of legal actions.

An action is [STARTACTION], tokens of its controls in the vocabulary's order, [ENDOFACTION]. The grammar: at most one
value per component of a control; camera and stick are complete pairs; exclusive buttons never occur together; a control
that is written at every step cannot be skipped. `ActionCodec.legal_next` gives the ids that may come next; the sampler
masks the logits of all others, so the model cannot produce an illegal action.
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
    """One component of a control, such as a camera's yaw: parallel tuples of ids and values."""

    ids: tuple[int, ...]
    values: tuple[Any, ...]
    """The nearest values that this game has."""
    numbers: tuple[float, ...]
    """The values that the vocabulary has."""


@dataclass(frozen=True)
class ControlTokens:
    """One control as tokens: a token of every component, in order, or none at all."""

    control: Control
    components: tuple[ComponentTokens, ...]


class ActionCodec:
    """Codec between a game's actions and the token ids of a vocabulary.

    `warnings` has a line for each control whose meaning the vocabulary lacks; such a control stays untouched.
    """

    def __init__(self, spec: GameSpec, vocabulary: Vocabulary) -> None:
        self.spec = spec
        self.vocabulary = vocabulary
        by_name = {c.name: _control_tokens(spec, c, vocabulary) for c in spec.token_order}
        mapped = [tokens for tokens in by_name.values() if tokens is not None]
        self._controls = sorted(mapped, key=lambda tokens: tokens.components[0].ids[0])
        # id -> its control and which component of it
        self._of_id = {
            i: (tokens, k)
            for tokens in self._controls
            for k, component in enumerate(tokens.components)
            for i in component.ids
        }
        self.warnings = tuple(
            f"{name}: this model never learned {meaning!r}, it stays untouched{closest(meaning)}"
            for name, tokens in by_name.items()
            if tokens is None and spec.by_name[name].kind != "text"
            for meaning in [spec.by_name[name].meaning or name]
        )
        self._null = spec.null_action()
        self._excluded = self._exclusions()
        self.legal_next = lru_cache(maxsize=1 << 14)(self._legal_next)
        self.decode = lru_cache(maxsize=1 << 12)(self._decode)
        self.describe = lru_cache(maxsize=1 << 12)(self._describe)

    @property
    def has_controls(self) -> bool:
        """Whether at least one control has token ids."""
        return bool(self._controls)

    @property
    def max_tokens(self) -> int:
        """Most ids of an action, START and END included."""
        lengths = {tokens.control.name: len(tokens.components) for tokens in self._controls}
        for names in self.spec.exclusive:  # one control of an exclusive group counts
            for name in [n for n in names if n in lengths][1:]:
                del lengths[name]
        return 2 + sum(lengths.values())

    def max_chunk_tokens(self, chunk: int) -> int:
        """Most ids of an action chunk: START, then `chunk` actions, each with its END."""
        return 1 + chunk * (self.max_tokens - 1)

    def encode(self, action: Mapping[str, Any]) -> list[int]:
        """Token ids of an action, START and END included; controls without ids are left out."""
        legal = self.spec.normalize(action)
        ids = [i for tokens in self._controls for i in _encode(tokens, legal[tokens.control.name])]
        return [self.vocabulary.start, *ids, self.vocabulary.end]

    def _decode(self, ids: tuple[int, ...]) -> Action:
        """The action of ids without START and END (cached as `decode`); the caller must not change the result."""
        action = dict(self._null)
        index = 0
        while index < len(ids):
            tokens, _ = self._of_id[ids[index]]
            size = len(tokens.components)
            values = [
                component.values[component.ids.index(i)]
                for component, i in zip(tokens.components, ids[index : index + size], strict=True)
            ]
            action[tokens.control.name] = values[0] if size == 1 else tuple(values)
            index += size
        return self.spec.normalize(action)

    def _describe(self, ids: tuple[int, ...]) -> str:
        """The action of ids without START and END in words (cached as `describe`)."""
        return self.spec.to_words(self._decode(ids))

    def _legal_next(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """The ids that may follow START and `ids` (cached as `legal_next`)."""
        if ids:
            tokens, component = self._of_id[ids[-1]]
            if component + 1 < len(tokens.components):
                return _legal_continuations(tokens, component + 1, ids[-1])
        last = self._controls.index(self._of_id[ids[-1]][0]) if ids else -1
        excluded = {i for before in ids for i in self._excluded.get(before, ())}
        following: list[int] = []
        for tokens in self._controls[last + 1 :]:
            following += [i for i in _legal_first(tokens) if i not in excluded]
            if _is_always(tokens.control):
                return tuple(following)
        return (self.vocabulary.end, *following)

    def _exclusions(self) -> dict[int, tuple[int, ...]]:
        """The ids that each id excludes: other buttons of its exclusive groups."""
        ids = {tokens.control.name: tokens.components[0].ids[0] for tokens in self._controls}
        excluded: dict[int, tuple[int, ...]] = {}
        for names in self.spec.exclusive:
            exclusive = [ids[name] for name in names if name in ids]
            for i in exclusive:
                excluded[i] = (*excluded.get(i, ()), *(j for j in exclusive if j != i))
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
    """Whether a control is written at every step."""
    return isinstance(control, Axis | Choice) and control.always


def _encode(tokens: ControlTokens, value: Any) -> tuple[int, ...]:
    """The token ids of a control's value; none for the null value, unless it is written at every step."""
    control = tokens.control
    if value == control.null and not _is_always(control):
        return ()
    values = value if len(tokens.components) > 1 else (value,)
    ids = []
    for component, number in zip(tokens.components, values, strict=True):
        if isinstance(control, Button | Choice):
            if number not in component.values:
                return ()
            ids.append(component.ids[component.values.index(number)])
        else:
            nearest = _nearest(component.numbers, number)
            ids.append(component.ids[component.numbers.index(nearest)])
    if isinstance(control, Camera) and _is_null(tokens, ids):
        return ()
    return tuple(ids)


def _nearest(numbers: Sequence[float], target: float) -> float:
    """The number nearest to the target; of two, the one nearer to zero."""
    return min(numbers, key=lambda n: (abs(n - target), abs(n)))


def _is_null(tokens: ControlTokens, ids: Sequence[int]) -> bool:
    pairs = zip(tokens.components, ids, strict=True)
    return all(component.numbers[component.ids.index(i)] == 0 for component, i in pairs)


def _legal_first(tokens: ControlTokens) -> tuple[int, ...]:
    """Legal first ids of a control: all, but for the null value of an optional control with one component."""
    first, control = tokens.components[0], tokens.control
    if len(tokens.components) > 1 or isinstance(control, Button) or _is_always(control):
        return first.ids
    pairs = zip(first.ids, first.values, strict=True)
    return tuple(i for i, value in pairs if value != control.null)


def _legal_continuations(tokens: ControlTokens, k: int, previous: int) -> tuple[int, ...]:
    """Legal ids of component k behind the `previous` id; a camera that does not move is not written."""
    component = tokens.components[k]
    if not isinstance(tokens.control, Camera):
        return component.ids
    pitch = tokens.components[0]
    no_pitch = pitch.numbers[pitch.ids.index(previous)] == 0
    pairs = zip(component.ids, component.numbers, strict=True)
    return tuple(i for i, number in pairs if not (no_pitch and number == 0))
