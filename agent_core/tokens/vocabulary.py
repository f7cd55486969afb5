"""Vocabulary: text tokens of a byte-level BPE, then one id per action token.

An action token stands for a meaning ("move.forward", "look.yaw:+9"), not for a key's name, so that a game with other
names can be attached. Order of the ids: text tokens (special ones first), START, END, action meanings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from games import GameSpec
from games.meanings import components

SPECIAL = ("[PAD]", "[BOS]", "[EOS]", "[THOUGHT]", "[CAPTION]", "[CORRECTION]")
PAD, BOS, EOS, THOUGHT, CAPTION, CORRECTION = range(6)


@dataclass(frozen=True)
class Vocabulary:
    """A text tokenizer (its JSON) and the action meanings, in the order in which an action's tokens are written."""

    tokenizer_json: str
    action_meanings: tuple[str, ...]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The text tokenizer."""
        return Tokenizer.from_str(self.tokenizer_json)

    @cached_property
    def text_size(self) -> int:
        """Number of text ids, special ones included; logits of text are `[:text_size]`."""
        return int(self.tokenizer.get_vocab_size())

    @property
    def start(self) -> int:
        """Id of [STARTACTION]."""
        return self.text_size

    @property
    def end(self) -> int:
        """Id of [ENDOFACTION]; logits of actions are `[end:size]`."""
        return self.text_size + 1

    @property
    def size(self) -> int:
        """Number of all ids."""
        return self.text_size + 2 + len(self.action_meanings)

    @cached_property
    def meaning_to_id(self) -> dict[str, int]:
        """Action meaning -> id."""
        return {meaning: self.text_size + 2 + i for i, meaning in enumerate(self.action_meanings)}

    @cached_property
    def numbers(self) -> dict[str, list[tuple[int, float]]]:
        """Name of a numeric component ("look.yaw") -> the ids and numbers of its meanings, in the order of ids."""
        numbers: dict[str, list[tuple[int, float]]] = {}
        for meaning, i in self.meaning_to_id.items():
            name, colon, number = meaning.rpartition(":")
            if colon:
                numbers.setdefault(name, []).append((i, float(number)))
        return numbers

    def extend(self, specs: Iterable[GameSpec]) -> Vocabulary:
        """The same ids, then one id for every new meaning of these games."""
        wanted = (meaning for spec in specs for meaning in spec_meanings(spec))
        return Vocabulary(
            self.tokenizer_json, tuple(dict.fromkeys((*self.action_meanings, *wanted)))
        )

    def text_ids(self, text: str, max_tokens: int) -> list[int]:
        """`[BOS] text [EOS]`, truncated to `max_tokens` ids; special tokens spelled out in the text are plain text."""
        return [BOS, *self.encode_text(text)[: max_tokens - 2], EOS]

    def thought_ids(self, text: str, max_tokens: int, kind: int = THOUGHT) -> list[int]:
        """`[THOUGHT] text [EOS]`, truncated to `max_tokens` ids; `kind` is the first id."""
        return [kind, *self.encode_text(text)[: max_tokens - 2], EOS]

    def encode_text(self, text: str) -> list[int]:
        """Text ids without [BOS] and [EOS]."""
        return [i for i in self.tokenizer.encode(_plain(text)).ids if i >= len(SPECIAL)]

    def decode_text(self, ids: Sequence[int]) -> str:
        """The text of ids; special and action ids are skipped."""
        text_ids = [i for i in ids if len(SPECIAL) <= i < self.text_size]
        return str(self.tokenizer.decode(text_ids)).strip()


def build_vocabulary(
    specs: Iterable[GameSpec], texts: Iterable[str], size: int = 512
) -> Vocabulary:
    """Train a byte-level BPE of at most `size` tokens on `texts`; action meanings in the specs' token order."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
        min_frequency=1,
    )
    tokenizer.train_from_iterator(sorted(set(texts)), trainer)
    meanings = dict.fromkeys(m for spec in specs for m in spec_meanings(spec))
    return Vocabulary(tokenizer.to_str(), tuple(meanings))


def spec_meanings(spec: GameSpec) -> tuple[str, ...]:
    """The meanings of a spec's action tokens, in its writing order."""
    parts = (part for control in spec.token_order for part in components(spec, control))
    return tuple(meaning for part in parts for meaning in part.meanings)


def _plain(text: str) -> str:
    """Break the brackets of special tokens that are spelled out in a text, so that they stay text."""
    return text.replace("[", "[ ") if any(s in text for s in SPECIAL) else text
