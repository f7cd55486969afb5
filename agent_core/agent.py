"""Agent: a checkpoint as a policy, with one session per game and one batch per step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from agent_core.cpu.capability import Precision, fastest, require
from agent_core.device import keep_freed_memory, pick_device
from agent_core.engine.engine import Engine, EngineOptions
from agent_core.engine.session import SampledAction, Session
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.instruction_room import cut_warning
from agent_core.tokens.vocabulary import CAPTION
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, load, shipped_checkpoint
from bridges.errors import PolicyError
from bridges.policy import ActionText, Decision, PlannedAction, PolicyRequest, PolicySession
from bridges.protocol.fields import QUERY_KINDS
from games import GameSpec, did_you_mean
from games.resize import resize_frame

logger = logging.getLogger("iafm.agent")
_CAPTION_STEPS = 20
"""Steps that a caption summarizes."""


@dataclass(eq=False)
class AgentPlayer:
    """One session's handle; `warnings` names the controls the model does not know."""

    spec: GameSpec
    warnings: tuple[str, ...]
    session: Session
    engine: Engine
    recent: list[str] = field(default_factory=list)
    """Its newest actions in words, the oldest first: what the game did, where it says so."""

    def reset(self) -> None:
        """Clear the KV cache: a new episode begins."""
        self.engine.reset(self.session)
        self.recent.clear()

    def close(self) -> None:
        """Free the session's slot in the KV cache. Closing twice does nothing more."""
        self.engine.close(self.session)


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
        """Read a checkpoint folder. `threads` sets torch's for the whole process.

        `device` auto: the GPU where there is one. `precision` auto: bfloat16 where it is the faster.
        Raises `CheckpointError`, and before anything is read `ConfigError` for a device that is not there or a
        precision that it does not compute in.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        keep_freed_memory()
        place = pick_device(device)
        require(precision, place)
        checkpoint = load(path, place)
        if precision == "auto":
            precision = fastest(place, checkpoint.header.model.width)
        options = EngineOptions(
            temperature, num_candidates, condition_on_actions, precision=precision
        )
        return cls(Engine(checkpoint, options), f"iafm {Path(path).name}", seed)

    def plays_with(self, engine: Engine) -> bool:
        """Whether the sessions of an engine are this agent's."""
        return self._engine is engine

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> AgentPlayer:
        """A session for a game.

        Raises `PolicyError` where the model knows none of its controls, or where its actions take too many tokens.
        """
        codec = ActionCodec(spec, self._engine.vocabulary)
        if spec.controls and not codec.has_controls:
            raise PolicyError(
                f"{self.name} knows none of the {len(spec.controls)} controls of {spec.id}; "
                "give them meanings such as move.forward"
            )
        config = self._engine.config
        if (needed := codec.max_chunk_tokens(config.action_chunk)) > config.max_action_tokens:
            count = config.action_chunk
            unit = "an action" if count == 1 else f"a chunk of {count} actions"
            raise PolicyError(
                f"{unit} of {spec.id} takes up to {needed} tokens, {self.name} has room for {config.max_action_tokens}"
            )
        self._attached += 1
        if seed is None:
            seed = self._seed * 1_000_003 + self._attached
        session = self._engine.open(codec, seed)
        return AgentPlayer(spec, codec.warnings, session, self._engine)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        """The next action of every session, all in one batch; each session at most once."""
        if not requests:
            return []
        players = [require_own_player(request.player) for request in requests]
        size = (self._engine.config.frame_height, self._engine.config.frame_width)
        for player, request in zip(players, requests, strict=True):
            if request.instruction != player.session.instruction:
                self._warn_of_cut(request.instruction)
            if request.executed is not None and player.recent:
                player.recent[-1] = player.spec.to_words(request.executed)
        samples = self._engine.act(
            [player.session for player in players],
            [resize_frame(request.frame, *size) for request in requests],
            [request.instruction for request in requests],
            [request.executed for request in requests],
        )
        return [_decide(player, sample) for player, sample in zip(players, samples, strict=True)]

    def _warn_of_cut(self, instruction: str) -> None:
        """Log an instruction that is longer than the model has room for, when it is given."""
        room = self._engine.config.max_text_tokens
        if line := cut_warning(instruction, self._engine.vocabulary, room):
            logger.warning("%s: %s", self.name, line)

    def ask(self, player: PolicySession, question: str) -> str:
        """Answer one of `QUERY_KINDS` about the newest observation; never changes the next action.

        Raises `PolicyError` for any other question.
        """
        player = require_own_player(player)
        if question not in QUERY_KINDS:
            raise PolicyError(
                f"no question called {question!r}{did_you_mean(question, QUERY_KINDS)}"
            )
        sample = player.session.last_sample
        if sample is None:
            return "nothing seen yet"
        if question == "next_action":
            words = player.session.codec.describe(sample.tokens)
            return f"{words} ({sample.probability:.0%})"
        if question == "why":
            return self._engine.generate_thought(player.session)
        if not player.spec.controls:  # no actions to summarize: describe the frame
            return self._engine.generate_thought(player.session, CAPTION)
        return _caption(player)


class ShippedAgents:
    """The default checkpoint is loaded at once, another with the first game that is its own."""

    def __init__(self, load: Callable[[Path], Agent]) -> None:
        self._load = load
        self._agents = {DEFAULT_CHECKPOINT: load(DEFAULT_CHECKPOINT)}
        self.name = self._agents[DEFAULT_CHECKPOINT].name

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> AgentPlayer:
        """A session of the game's own checkpoint; raises `PolicyError` and `CheckpointError` as `Agent` does."""
        path = shipped_checkpoint(spec.name)
        if path not in self._agents:
            self._agents[path] = self._load(path)
        return self._agents[path].attach(spec, seed=seed)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        """The next action of every session, one batch for each checkpoint."""
        engines = [require_own_player(request.player).engine for request in requests]
        decisions: dict[int, Decision] = {}
        for agent in self._agents.values():
            rows = [n for n, engine in enumerate(engines) if agent.plays_with(engine)]
            decisions |= zip(rows, agent.act([requests[n] for n in rows]), strict=True)
        return [decisions[n] for n in range(len(requests))]

    def ask(self, player: PolicySession, question: str) -> str:
        """As `Agent.ask`."""
        return self._agent_of(require_own_player(player).engine).ask(player, question)

    def _agent_of(self, engine: Engine) -> Agent:
        return next(agent for agent in self._agents.values() if agent.plays_with(engine))


def require_own_player(player: object) -> AgentPlayer:
    """The session, if an agent made it; raises `PolicyError`."""
    if not isinstance(player, AgentPlayer):
        raise PolicyError(f"{type(player).__name__} was not attached to this agent")
    return player


def _decide(player: AgentPlayer, sample: SampledAction) -> Decision:
    """The sampled ids in the game's terms; the action in words is appended to `recent`."""
    codec = player.session.codec
    words = codec.describe(sample.tokens)
    player.recent[:] = [*player.recent, words][-_CAPTION_STEPS:]
    return Decision(
        action=dict(codec.decode(sample.tokens)),
        words=words,
        probability=sample.probability,
        alternatives=tuple(
            ActionText(words=codec.describe(tokens), probability=probability)
            for tokens, probability in sample.alternatives
        ),
        entropy=sample.entropy,
        later=tuple(
            PlannedAction(action=dict(codec.decode(tokens)), words=codec.describe(tokens))
            for tokens in sample.chunk_rest
        ),
    )


def _caption(player: AgentPlayer) -> str:
    """The most frequent phrases of the player's newest actions."""
    phrases = [phrase for words in player.recent for phrase in words.split(", ")]
    frequent = sorted(
        set(phrases), key=lambda phrase: (-phrases.count(phrase), phrases.index(phrase))
    )
    instruction = player.session.instruction
    goal = f"asked to {instruction!r}" if instruction else "not asked for anything"
    return f"The player, {goal}, lately did: {', '.join(frequent[:3])}."
