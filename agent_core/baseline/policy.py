"""Baseline policy: the CNN+GRU as a policy, with one recurrent state per session and independent controls."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from agent_core.baseline.network import ActionHeads, Baseline, load
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.instruction_room import cut_warning
from agent_core.tokens.vocabulary import Vocabulary
from bridges.errors import PolicyError
from bridges.policy import Decision, PolicyRequest, PolicySession
from games import Action, Control, GameSpec
from games.meanings import Component, components
from games.resize import resize_frame

logger = logging.getLogger("iafm.agent")
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class ComponentHead:
    """One component of a control, such as a camera's yaw: its classes among all logits, and their values."""

    class_ids: tuple[int, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True)
class SampledValue:
    """A control's value with its probability."""

    value: Any
    probability: float


@dataclass(eq=False)
class BaselinePlayer:
    """One session's state; `warnings` names the controls the network never learned."""

    spec: GameSpec
    warnings: tuple[str, ...]
    controls: dict[str, tuple[ComponentHead, ...]]
    followers: dict[str, tuple[str, ...]]
    """For each of `controls`, those that do what it does."""
    rng: np.random.Generator
    hidden: Tensor | None = None
    """State of the GRU over frames, (D,); None before the first frame."""
    last_decision: Decision | None = None
    instruction: str = ""
    """The newest one, whose length was checked."""

    def reset(self) -> None:
        """Clear the state: a new episode begins."""
        self.hidden = self.last_decision = None

    def close(self) -> None:
        """Free the state."""
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
        """A session for a game; raises `PolicyError` where the network knows none of its controls."""
        codec = ActionCodec(spec, self._baseline.vocabulary)
        if not codec.has_controls:
            raise PolicyError(f"{self.name} knows none of the controls of {spec.id}")
        self._attached += 1
        rng = np.random.default_rng(self._attached if seed is None else seed)
        controls = _controls(spec, self._baseline.vocabulary, self._baseline.heads)
        written = {name: controls[name] for name in controls if name in codec.followers}
        return BaselinePlayer(spec, codec.warnings, written, codec.followers, rng)

    @torch.no_grad()
    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        """The next action of every session, all in one batch; each session at most once."""
        if not requests:
            return []
        players = [require_own_player(request.player) for request in requests]
        for player, request in zip(players, requests, strict=True):
            self._note_instruction(player, request.instruction)
        sizes, text_ids = self._baseline.header.sizes, self._baseline.vocabulary.text_ids
        texts = [
            torch.tensor(text_ids(request.instruction, sizes.max_text_tokens))
            for request in requests
        ]
        frames = torch.from_numpy(
            np.stack(
                [resize_frame(r.frame, sizes.frame_height, sizes.frame_width) for r in requests]
            )
        )
        zeros = torch.zeros(sizes.hidden_dim)
        hidden = torch.stack([zeros if p.hidden is None else p.hidden for p in players])
        # One time step: frames (B, 1, H, W, 3), text (B, L), hidden (1, B, D) -> logits (B, 1, classes).
        logits, hidden = self._baseline.model(
            frames[:, None], pad_sequence(texts, batch_first=True), hidden[None]
        )
        decisions = []
        for player, state, row in zip(players, hidden[0], logits[:, 0].numpy(), strict=True):
            player.hidden = state
            player.last_decision = _decide(player, row, self._temperature)
            decisions.append(player.last_decision)
        return decisions

    def _note_instruction(self, player: BaselinePlayer, instruction: str) -> None:
        """Log a new instruction that is longer than the network has room for."""
        if instruction == player.instruction:
            return
        player.instruction = instruction
        room = self._baseline.header.sizes.max_text_tokens
        if line := cut_warning(instruction, self._baseline.vocabulary, room):
            logger.warning("%s: %s", self.name, line)

    def ask(self, player: PolicySession, question: str) -> str:
        """Answer "next_action"; the network generates no text for other questions."""
        decision = require_own_player(player).last_decision
        if decision is None:
            return "nothing seen yet"
        if question == "next_action":
            return f"{decision.words} ({decision.probability:.0%})"
        return "this network learned actions, no words"


def require_own_player(player: object) -> BaselinePlayer:
    """The session, if a baseline made it; raises `PolicyError`."""
    if not isinstance(player, BaselinePlayer):
        raise PolicyError(f"{type(player).__name__} was not attached to this policy")
    return player


def _controls(
    spec: GameSpec, vocabulary: Vocabulary, heads: ActionHeads
) -> dict[str, tuple[ComponentHead, ...]]:
    """The components of every control of which the network has all heads."""
    first_class = dict(zip(heads.class_of_id, accumulate([0, *heads.sizes]), strict=False))
    controls: dict[str, tuple[ComponentHead, ...]] = {}
    for control in spec.token_order:
        parts = components(spec, control)
        if parts and all(part.name in first_class for part in parts):
            controls[control.name] = tuple(
                _component_head(control, part, first_class[part.name], heads.class_of_id[part.name])
                for part in parts
            )
    return controls


def _component_head(
    control: Control, component: Component, first_class: int, classes: Sequence[str]
) -> ComponentHead:
    """Classes of one head that this control has, with their values; numbers go to the game's bins later."""
    pairs: list[tuple[int, Any]] = []
    for class_id, meaning in enumerate(classes, first_class):
        if component.is_numeric:
            pairs.append((class_id, float(meaning.rpartition(":")[2]) if meaning else 0.0))
        elif not meaning:
            pairs.append((class_id, control.null))
        elif meaning in component.meanings:
            value = component.values[component.meanings.index(meaning)]
            pairs.append((class_id, value))
    return ComponentHead(*(tuple(column) for column in zip(*pairs, strict=True)))


def _decide(player: BaselinePlayer, logits: Logits, temperature: float) -> Decision:
    """Sample every control; of pressed buttons that exclude each other the most probable stays."""
    samples = {
        name: _sample(components, logits, temperature, player.rng)
        for name, components in player.controls.items()
    }
    for name in list(samples):
        samples |= dict.fromkeys(player.followers[name], samples[name])
    action: Action = {name: sample.value for name, sample in samples.items()}
    for names in player.spec.exclusive:
        pressed = sorted(
            (name for name in names if action.get(name)), key=lambda name: samples[name].probability
        )
        action.update(dict.fromkeys(pressed[:-1], 0))
    action = player.spec.normalize(action)
    return Decision(
        action=action,
        words=player.spec.to_words(action),
        probability=float(np.prod([samples[name].probability for name in player.controls])),
    )


def _sample(
    components: tuple[ComponentHead, ...],
    logits: Logits,
    temperature: float,
    rng: np.random.Generator,
) -> SampledValue:
    """One control's value; at temperature 0 the most probable class of each component."""
    values, probability = [], 1.0
    for component in components:
        scaled = logits[list(component.class_ids)].astype(np.float64) / (temperature or 1.0)
        probs = np.exp(scaled - scaled.max())
        probs /= probs.sum()
        i = int(rng.choice(len(probs), p=probs) if temperature else probs.argmax())
        values.append(component.values[i])
        probability *= float(probs[i])
    return SampledValue(values[0] if len(values) == 1 else tuple(values), probability)
