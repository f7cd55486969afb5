"""Who plays? A checkpoint as a policy: many players with memory, one batch per step, answers in words."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import cv2
import torch

from agent_core.cpu.inference_model import Precision
from agent_core.device import computes_bfloat16, keep_freed_memory, pick_device
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.session import SampledAction, Session
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.instruction_room import cut_warning
from agent_core.tokens.vocabulary import CAPTION
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, Checkpoint, load
from bridges.policy import Alternative, Decision, PlannedAction, PolicyError
from games import Action, Frame, GameSpec, did_you_mean

logger = logging.getLogger("iafm.agent")
QUERY_KINDS = ("next_action", "why", "caption")
_WIDE = 256
"""From this width on, matrices outweigh what bfloat16 costs around them (measured on CPUs)."""
_RECENT = 20
"""Steps that a caption looks back on."""


@dataclass(eq=False)
class AgentPlayer:
    """One player's handle; `warnings` names the controls the model cannot use."""

    spec: GameSpec
    warnings: tuple[str, ...]
    session: Session
    engine: Engine
    recent: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """A new episode begins: forget everything seen."""
        self.engine.reset(self.session)
        self.recent.clear()

    def close(self) -> None:
        """The player is gone: its place in the cache is free again. Closing twice does nothing more."""
        self.engine.close(self.session)


class Asked(Protocol):
    """One player's newest observation, as `bridges.policy.Request` has it."""

    @property
    def player(self) -> object: ...
    @property
    def frame(self) -> Frame: ...
    @property
    def instruction(self) -> str: ...
    @property
    def executed(self) -> Action | None: ...


class Agent:
    """The model as a policy (`bridges.policy.Policy` by shape); call it from one thread."""

    def __init__(self, engine: Engine, name: str, seed: int = 0) -> None:
        self.name = name
        self._engine = engine
        self._seed = seed
        self._attached = 0

    @classmethod
    def load(
        cls,
        path: Path | str = DEFAULT_CHECKPOINT,
        *,
        device: str = "auto",
        precision: Precision | Literal["auto"] = "auto",
        threads: int | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        num_candidates: int = 3,
        condition_on_actions: bool = False,
    ) -> Agent:
        """Read a checkpoint folder; raises `CheckpointError`. `threads` sets torch's for the whole process.

        `device` auto: the GPU where there is one. `precision` auto: bfloat16 where it is the faster.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        keep_freed_memory()
        checkpoint = load(path, pick_device(device))
        if precision == "auto":
            precision = _fastest(checkpoint)
        options = EngineOptions(
            temperature, num_candidates, condition_on_actions, precision=precision
        )
        return cls(Engine(checkpoint, options), f"iafm {Path(path).name}", seed)

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> AgentPlayer:
        """A player for a game; raises `PolicyError` where it has controls and the model knows none of them."""
        attachment = ActionCodec(spec, self._engine.vocabulary)
        if spec.controls and not attachment.has_controls:
            raise PolicyError(
                f"{self.name} knows none of the {len(spec.controls)} controls of {spec.id}; "
                "give them meanings such as move.forward"
            )
        config = self._engine.config
        if (needed := attachment.max_chunk_tokens(config.action_chunk)) > config.max_action_tokens:
            what = (
                "an action"
                if config.action_chunk == 1
                else f"a chunk of {config.action_chunk} actions"
            )
            raise PolicyError(
                f"{what} of {spec.id} takes up to {needed} tokens, {self.name} has room for {config.max_action_tokens}"
            )
        self._attached += 1
        own = self._seed * 1_000_003 + self._attached if seed is None else seed
        session = self._engine.open(attachment, own)
        return AgentPlayer(spec, attachment.warnings, session, self._engine)

    def act(self, requests: Sequence[Asked]) -> list[Decision]:
        """The next action of every player, all in one batch; each player at most once."""
        if not requests:
            return []
        players = [require_own_player(request.player) for request in requests]
        for player, request in zip(players, requests, strict=True):
            if request.instruction != player.session.instruction:
                self._warn_of_cut(request.instruction)
        choices = self._engine.act(
            [player.session for player in players],
            [self._resize_frame(request.frame) for request in requests],
            [request.instruction for request in requests],
            [request.executed for request in requests],
        )
        return [_decide(player, choice) for player, choice in zip(players, choices, strict=True)]

    def _warn_of_cut(self, instruction: str) -> None:
        """Log an instruction that is longer than the model has room for, when it is given."""
        room = self._engine.config.max_text_tokens
        if line := cut_warning(instruction, self._engine.vocabulary, room):
            logger.warning("%s: %s", self.name, line)

    def ask(self, player: object, question: str) -> str:
        """An answer in words about the newest observation; never changes what is done next."""
        mine = require_own_player(player)
        if question not in QUERY_KINDS:
            raise PolicyError(
                f"no question called {question!r}{did_you_mean(question, QUERY_KINDS)}"
            )
        said = mine.session.last_sample
        if said is None:
            return "nothing seen yet"
        if question == "next_action":
            words = mine.session.codec.describe(said.tokens)
            return f"{words} ({said.probability:.0%})"
        if question == "why":
            return self._engine.generate_thought(mine.session)
        if not mine.spec.controls:  # nothing was done that could be told of: what is there to see?
            return self._engine.generate_thought(mine.session, CAPTION)
        return _caption(mine)

    def _resize_frame(self, frame: Frame) -> Frame:
        config = self._engine.config
        if frame.shape[:2] == (config.frame_height, config.frame_width):
            return frame
        size = (config.frame_width, config.frame_height)
        return cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(frame.dtype, copy=False)


def _fastest(checkpoint: Checkpoint) -> Precision:
    device, width = checkpoint.model.token.weight.device, checkpoint.header.model.width
    half = computes_bfloat16(device) and (device.type == "cuda" or width >= _WIDE)
    return "bfloat16" if half else "float32"


def require_own_player(player: object) -> AgentPlayer:
    if not isinstance(player, AgentPlayer):
        raise PolicyError(f"{type(player).__name__} was not attached to this agent")
    return player


def _decide(player: AgentPlayer, choice: SampledAction) -> Decision:
    attachment = player.session.codec
    words = attachment.describe(choice.tokens)
    player.recent[:] = [*player.recent, words][-_RECENT:]
    others = tuple(Alternative(attachment.describe(body), p) for body, p in choice.alternatives)
    later = tuple(
        PlannedAction(dict(attachment.decode(body)), attachment.describe(body))
        for body in choice.chunk_rest
    )
    action = dict(attachment.decode(choice.tokens))
    return Decision(action, words, choice.probability, others, choice.entropy, later)


def _caption(player: AgentPlayer) -> str:
    """What the player mostly did lately, from its own actions."""
    phrases = [phrase for words in player.recent for phrase in words.split(", ")]
    often = sorted(set(phrases), key=lambda phrase: (-phrases.count(phrase), phrases.index(phrase)))
    goal = (
        f"asked to {player.session.instruction!r}"
        if player.session.instruction
        else "not asked for anything"
    )
    return f"The player, {goal}, lately did: {', '.join(often[:3])}."
