"""How does the plain CNN+GRU play? As a policy: one memory per player, every choice drawn on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from agent_core.baseline.network import ActionHeads, Baseline, head_of, load
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import Vocabulary, control_meanings
from bridges.policy import Decision, PolicyError, PolicySession, Request
from games import Action, Button, Choice, Control, Frame, GameSpec

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class ComponentHead:
    """One written part of a control: where its possible classes stand among all scores, and their values."""

    class_ids: tuple[int, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True)
class SampledValue:
    """A control's value, and the chance it had."""

    value: Any
    chance: float


@dataclass(eq=False)
class BaselinePlayer:
    """One session's memory; `warnings` names the controls the network never learned."""

    spec: GameSpec
    warnings: tuple[str, ...]
    controls: dict[str, tuple[ComponentHead, ...]]
    rng: np.random.Generator
    memory: Tensor | None = None
    """(D,), none before the first frame."""
    last_decision: Decision | None = None

    def reset(self) -> None:
        """A new episode begins: forget everything seen."""
        self.memory = self.last_decision = None

    def close(self) -> None:
        """Nothing is held but memory."""
        self.reset()


class BaselinePolicy:
    """The CNN+GRU as a policy (`bridges.policy.Policy` by shape); call it from one thread."""

    def __init__(self, baseline: Baseline, name: str, temperature: float = 1.0) -> None:
        self.name = name
        self._baseline = baseline
        self._temperature = temperature
        self._attached = 0

    @classmethod
    def load(cls, path: Path | str, *, temperature: float = 1.0) -> BaselinePolicy:
        """Read a folder that `iafm train --baseline` wrote; raises `CheckpointError`. Temperature 0 takes the best."""
        return cls(load(path), f"cnn-gru {Path(path).name}", temperature)

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> BaselinePlayer:
        """A player for a game; raises `PolicyError` where the network knows none of its controls."""
        attachment = ActionCodec(spec, self._baseline.vocabulary)
        if not attachment.has_controls:
            raise PolicyError(f"{self.name} knows none of the controls of {spec.id}")
        self._attached += 1
        own = self._attached if seed is None else seed
        controls = _controls(spec, self._baseline.vocabulary, self._baseline.heads)
        return BaselinePlayer(spec, attachment.warnings, controls, np.random.default_rng(own))

    @torch.no_grad()
    def act(self, requests: Sequence[Request]) -> list[Decision]:
        """The next action of every player, all in one batch; each player at most once."""
        if not requests:
            return []
        players = [require_own_player(request.player) for request in requests]
        slots = self._baseline.header.sizes.max_text_tokens
        ids = self._baseline.vocabulary.text_ids
        texts = [torch.tensor(ids(request.instruction, slots)) for request in requests]
        frames = torch.from_numpy(
            np.stack([self._resize_frame(request.frame) for request in requests])
        )
        empty = torch.zeros(self._baseline.header.sizes.hidden_dim)
        before = torch.stack([empty if p.memory is None else p.memory for p in players])
        text = pad_sequence(texts, batch_first=True)
        scores, after = self._baseline.model(frames[:, None], text, before[None])
        for player, memory, row in zip(players, after[0], scores[:, 0].numpy(), strict=True):
            player.memory = memory
            player.last_decision = _decision(player, row, self._temperature)
        return [player.last_decision for player in players if player.last_decision is not None]

    def ask(self, player: PolicySession, question: str) -> str:
        """What it does next; it has no words for why, or for what it sees."""
        said = require_own_player(player).last_decision
        if said is None:
            return "nothing seen yet"
        if question == "next_action":
            return f"{said.words} ({said.probability:.0%})"
        return "this network learned actions, no words"

    def _resize_frame(self, frame: Frame) -> Frame:
        sizes = self._baseline.header.sizes
        size = (sizes.frame_width, sizes.frame_height)
        if frame.shape[1::-1] == size:
            return frame
        return cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(frame.dtype, copy=False)


def require_own_player(player: object) -> BaselinePlayer:
    if not isinstance(player, BaselinePlayer):
        raise PolicyError(f"{type(player).__name__} was not attached to this policy")
    return player


def _controls(
    spec: GameSpec, vocabulary: Vocabulary, choices: ActionHeads
) -> dict[str, tuple[ComponentHead, ...]]:
    """The parts of every control whose choices are known."""
    begins = dict(zip(choices.class_of_id, accumulate([0, *choices.sizes]), strict=False))
    found: dict[str, tuple[ComponentHead, ...]] = {}
    for control in spec.token_order:
        names = [(head_of(meanings[0]), meanings) for meanings in control_meanings(spec, control)]
        if names and all(name in begins for name, _ in names):
            found[control.name] = tuple(
                _part(control, begins[name], choices.class_of_id[name], meanings)
                for name, meanings in names
            )
    return found


def _part(
    control: Control, begin: int, classes: Sequence[str], meanings: Sequence[str]
) -> ComponentHead:
    """Classes of one choice that this control has, with their values; numbers go to the game's bins later."""
    pairs: list[tuple[int, Any]] = []
    for place, meaning in enumerate(classes, begin):
        if isinstance(control, Button | Choice):
            if not meaning:
                pairs.append((place, control.null))
            elif meaning in meanings:
                pairs.append((place, 1 if isinstance(control, Button) else meanings.index(meaning)))
        else:
            pairs.append((place, float(meaning.rpartition(":")[2]) if meaning else 0.0))
    return ComponentHead(*(tuple(column) for column in zip(*pairs, strict=True)))


def _decision(player: BaselinePlayer, scores: Scores, temperature: float) -> Decision:
    """Draw every control; where buttons that exclude each other are down, the likeliest stays."""
    drawn = {
        name: _sample(found, scores, temperature, player.rng)
        for name, found in player.controls.items()
    }
    action: Action = {name: each.value for name, each in drawn.items()}
    for names in player.spec.exclusive:
        down = sorted((n for n in names if action.get(n)), key=lambda n: drawn[n].chance)
        action.update(dict.fromkeys(down[:-1], 0))
    action = player.spec.normalize(action)
    chance = float(np.prod([each.chance for each in drawn.values()]))
    return Decision(action, player.spec.to_words(action), chance)


def _sample(
    found: tuple[ComponentHead, ...],
    scores: Scores,
    temperature: float,
    random: np.random.Generator,
) -> SampledValue:
    """One control's value; at temperature 0 the best class of each part."""
    values, chance = [], 1.0
    for part in found:
        mine = scores[list(part.class_ids)].astype(np.float64) / (temperature or 1.0)
        shares = np.exp(mine - mine.max())
        shares /= shares.sum()
        i = int(random.choice(len(shares), p=shares) if temperature else shares.argmax())
        values.append(part.values[i])
        chance *= float(shares[i])
    return SampledValue(values[0] if len(values) == 1 else tuple(values), chance)
