"""Action codec: a game's actions as token ids, and the grammar automaton of legal actions.

An action is [STARTACTION], tokens of its controls in the vocabulary's order, [ENDOFACTION]. The grammar: at most one
value per component of a control; camera and stick are complete pairs; exclusive buttons never occur together; a control
that is written at every step cannot be skipped. `ActionCodec.legal_next` gives the ids that may come next; the sampler
masks the logits of all others, so the model cannot produce an illegal action.

Two controls of one meaning, such as "talk" and "open" that are both `use`, have the same ids: one is written and the
other follows it, so that both are pressed by one decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    followers: tuple[ControlTokens, ...] = ()
    """Controls with the same ids, which do what this one does."""

    @property
    def name(self) -> str:
        """The control's name."""
        return self.control.name

    @property
    def members(self) -> tuple[ControlTokens, ...]:
        """This control and its followers."""
        return (self, *self.followers)

    @property
    def is_always(self) -> bool:
        """Whether it is written at every step."""
        controls = [member.control for member in self.members]
        return any(isinstance(c, Axis | Choice) and c.always for c in controls)

    @property
    def ids(self) -> tuple[tuple[int, ...], ...]:
        """The ids of every component."""
        return tuple(component.ids for component in self.components)


class ActionCodec:
    """Codec between a game's actions and the token ids of a vocabulary.

    `warnings` has a line for each control whose meaning the vocabulary lacks, or that another control has too.
    """

    def __init__(self, spec: GameSpec, vocabulary: Vocabulary) -> None:
        self.spec = spec
        self.vocabulary = vocabulary
        by_name = {c.name: _control_tokens(spec, c, vocabulary) for c in spec.token_order}
        mapped = [tokens for tokens in by_name.values() if tokens is not None]
        controls, shared = _share_ids(mapped, spec.exclusive)
        self._controls = sorted(controls, key=lambda tokens: tokens.components[0].ids[0])
        # id -> its control and which component of it
        self._of_id = {
            i: (tokens, k)
            for tokens in self._controls
            for k, component in enumerate(tokens.components)
            for i in component.ids
        }
        unknown = [
            f"{name}: this model never learned {meaning!r}, it stays untouched{closest(meaning)}"
            for name, tokens in by_name.items()
            if tokens is None and spec.by_name[name].kind != "text"
            for meaning in [spec.by_name[name].meaning or name]
        ]
        self.warnings = (*unknown, *shared)
        self._null = spec.null_action()
        self._excluded = self._exclusions()
        self.legal_next = lru_cache(maxsize=1 << 14)(self._legal_next)
        self.decode = lru_cache(maxsize=1 << 12)(self._decode)
        self.describe = lru_cache(maxsize=1 << 12)(self._describe)

    @property
    def followers(self) -> dict[str, tuple[str, ...]]:
        """Names of the controls that are written, each with those that do what it does."""
        return {c.name: tuple(f.name for f in c.followers) for c in self._controls}

    @property
    def has_controls(self) -> bool:
        """Whether at least one control has token ids."""
        return bool(self._controls)

    @property
    def max_tokens(self) -> int:
        """Most ids of an action, START and END included."""
        lengths = {tokens.name: len(tokens.components) for tokens in self._controls}
        counted: set[str] = set()
        for names in self.spec.exclusive:  # of those of a group that no other group has, one counts
            group = [name for name in names if name in lengths and name not in counted]
            counted.update(group)
            for name in group[1:]:
                del lengths[name]
        return 2 + sum(lengths.values())

    def max_chunk_tokens(self, chunk: int) -> int:
        """Most ids of an action chunk: START, then `chunk` actions, each with its END."""
        return 1 + chunk * (self.max_tokens - 1)

    def encode(self, action: Mapping[str, Any]) -> list[int]:
        """Token ids of an action, START and END included; controls without ids are left out."""
        legal = self.spec.normalize(action)
        ids = [i for tokens in self._controls for i in _encode(tokens, legal)]
        return [self.vocabulary.start, *ids, self.vocabulary.end]

    def _decode(self, ids: tuple[int, ...]) -> Action:
        """The action of ids without START and END (cached as `decode`); the caller must not change the result."""
        action = dict(self._null)
        index = 0
        while index < len(ids):
            tokens, _ = self._of_id[ids[index]]
            size = len(tokens.components)
            for member in tokens.members:
                values = [
                    component.values[component.ids.index(i)]
                    for component, i in zip(
                        member.components, ids[index : index + size], strict=True
                    )
                ]
                action[member.name] = values[0] if size == 1 else tuple(values)
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
            if tokens.is_always:
                return tuple(following)
        return (self.vocabulary.end, *following)

    def _exclusions(self) -> dict[int, set[int]]:
        """The ids that each id excludes: other buttons of its exclusive groups."""
        ids = {
            member.name: tokens.components[0].ids[0]
            for tokens in self._controls
            for member in tokens.members
        }
        excluded: dict[int, set[int]] = {}
        for names in self.spec.exclusive:
            exclusive = {ids[name] for name in names if name in ids}
            for i in exclusive:
                excluded.setdefault(i, set()).update(exclusive - {i})
        return excluded


def _share_ids(
    mapped: Iterable[ControlTokens], exclusive: Sequence[Sequence[str]]
) -> tuple[list[ControlTokens], list[str]]:
    """Controls without an id in common, each with those that follow it, and a warning for every other control.

    A control that excludes the first one of its ids, or that has only some of them, is left out.
    """
    leaders: dict[str, ControlTokens] = {}
    owner: dict[int, str] = {}
    warnings = []
    for tokens in mapped:
        ids = [i for component in tokens.ids for i in component]
        if not (owners := {owner[i] for i in ids if i in owner}):
            leaders[tokens.name] = tokens
            owner.update(dict.fromkeys(ids, tokens.name))
            continue
        leader = leaders[min(owners)]
        shared = f"{tokens.name} has the meaning of {leader.name}"
        if leader.ids == tokens.ids and not _exclude(leader, tokens, exclusive):
            leaders[leader.name] = replace(leader, followers=(*leader.followers, tokens))
            warnings.append(f"{shared}: this model works both as one")
        else:
            warnings.append(f"{shared} but cannot do the same: it stays untouched")
    return list(leaders.values()), warnings


def _exclude(
    leader: ControlTokens, tokens: ControlTokens, exclusive: Sequence[Sequence[str]]
) -> bool:
    """Whether a control is never down together with one of the leader's members."""
    members = {member.name for member in leader.members}
    return any(tokens.name in names and not members.isdisjoint(names) for names in exclusive)


def _control_tokens(
    spec: GameSpec, control: Control, vocabulary: Vocabulary
) -> ControlTokens | None:
    """Find a control's ids by meaning; values go to the game's nearest bin. None where nothing fits."""
    tokens = []
    for part in components(spec, control):
        if part.is_numeric:
            known = vocabulary.numbers.get(part.name, ())
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


def _encode(tokens: ControlTokens, action: Action) -> tuple[int, ...]:
    """The ids of the first member with a value other than null; none where all are null, unless always written."""
    active = (m for m in tokens.members if action[m.name] != m.control.null)
    member = next(active, tokens)
    control, value = member.control, action[member.name]
    if value == control.null and not tokens.is_always:
        return ()
    values = value if len(member.components) > 1 else (value,)
    ids = []
    for component, number in zip(member.components, values, strict=True):
        if isinstance(control, Button | Choice):
            if number not in component.values:
                return ()
            ids.append(component.ids[component.values.index(number)])
        else:
            nearest = _nearest(component.numbers, number)
            ids.append(component.ids[component.numbers.index(nearest)])
    if isinstance(control, Camera) and _is_null(member, ids):
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
    if len(tokens.components) > 1 or isinstance(control, Button) or tokens.is_always:
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
