"""Which ids does the model read and write? Text pieces first, then one id per action token, by meaning.

An action token belongs to what it does ("move.forward", "look.yaw:+9"), never to a key's name, so that a game with
other names can be attached. Layout of the ids: text pieces (with the special ones), START, END, action meanings.
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
    """A text tokenizer (its JSON) and the action meanings, in writing order."""

    tokenizer_json: str
    action_meanings: tuple[str, ...]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.from_str(self.tokenizer_json)

    @cached_property
    def text_size(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    @property
    def start(self) -> int:
        return self.text_size

    @property
    def end(self) -> int:
        return self.text_size + 1

    @property
    def size(self) -> int:
        return self.text_size + 2 + len(self.action_meanings)

    @cached_property
    def meaning_to_id(self) -> dict[str, int]:
        """Action meaning -> id."""
        return {meaning: self.text_size + 2 + i for i, meaning in enumerate(self.action_meanings)}

    def extend(self, specs: Iterable[GameSpec]) -> Vocabulary:
        """The same ids, and behind them one for every meaning of these games that is not there yet."""
        wanted = (meaning for spec in specs for meaning in spec_meanings(spec))
        return Vocabulary(
            self.tokenizer_json, tuple(dict.fromkeys((*self.action_meanings, *wanted)))
        )

    def text_ids(self, text: str, slots: int) -> list[int]:
        """`[BOS] text [EOS]`, cut to `slots` ids; special tokens written in the text are plain text."""
        return [BOS, *self.encode_text(text)[: slots - 2], EOS]

    def thought_ids(self, text: str, slots: int, kind: int = THOUGHT) -> list[int]:
        """`[THOUGHT] text [EOS]`, cut to `slots` ids."""
        return [kind, *self.encode_text(text)[: slots - 2], EOS]

    def encode_text(self, text: str) -> list[int]:
        """Ids of a text's pieces alone."""
        return [i for i in self.tokenizer.encode(_plain(text)).ids if i >= len(SPECIAL)]

    def decode_text(self, ids: Sequence[int]) -> str:
        """The text of ids; special and action ids are left out."""
        kept = [i for i in ids if len(SPECIAL) <= i < self.text_size]
        return str(self.tokenizer.decode(kept)).strip()


def build_vocabulary(
    specs: Iterable[GameSpec], texts: Iterable[str], size: int = 512
) -> Vocabulary:
    """Train a byte-level BPE of at most `size` pieces on `texts`; meanings in the specs' writing order."""
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
    """Special tokens spelled out in a text must not become special: break their brackets."""
    return text.replace("[", "[ ") if any(s in text for s in SPECIAL) else text
