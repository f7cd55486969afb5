"""Random policy: legal random actions, each held for a few steps; needs no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bridges.policy import ActionText, Decision, PolicyRequest, PolicySession
from games import Action, Axis, Button, Camera, Choice, GameSpec, Stick

MAX_HOLD_STEPS = 8
"""Most steps for which one random action is held."""


class RandomPlayer:
    """Random stream of one session."""

    warnings: tuple[str, ...] = ()

    def __init__(self, spec: GameSpec, seed: int | None) -> None:
        self.spec = spec
        self._rng = np.random.default_rng(seed)
        self._hold_steps = 0
        self.action = spec.null_action()

    def reset(self) -> None:
        self._hold_steps = 0

    def close(self) -> None:
        """Nothing to release."""

    def next(self) -> Action:
        """The held action, or a new one."""
        if self._hold_steps == 0:
            self._hold_steps = int(self._rng.integers(1, MAX_HOLD_STEPS + 1))
            self.action = random_action(self.spec, self._rng)
        self._hold_steps -= 1
        return self.action


class RandomPolicy:
    """The policy that reports call "random"."""

    name = "random"

    def attach(self, spec: GameSpec, *, seed: int | None = None) -> RandomPlayer:
        return RandomPlayer(spec, seed)

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        return [_decide(request.player) for request in requests]

    def ask(self, player: PolicySession, question: str) -> str:
        if question == "next_action" and isinstance(player, RandomPlayer):
            return f"{player.spec.to_words(player.action)} (drawn at random)"
        return "I press random buttons: there is no reason"


def _decide(player: PolicySession) -> Decision:
    assert isinstance(player, RandomPlayer)
    action = player.next()
    words = player.spec.to_words(action)
    shown = (ActionText(words=words, probability=0.0),)
    return Decision(action=action, words=words, probability=0.0, alternatives=shown)


def random_action(spec: GameSpec, rng: np.random.Generator) -> Action:
    """A legal action: each button down one time in five, every other control anywhere."""
    action = spec.null_action()
    for control in spec.controls:
        match control:
            case Button():
                action[control.name] = int(rng.random() < 0.2)
            case Camera():
                if rng.random() < 0.5:
                    pitch, yaw = rng.choice(control.pitch_bins), rng.choice(control.yaw_bins)
                    action[control.name] = (float(pitch), float(yaw))
            case Stick():
                action[control.name] = (float(rng.uniform(0, 360)), float(rng.random()))
            case Axis():
                action[control.name] = float(rng.uniform(control.low, control.high))
            case Choice():
                action[control.name] = int(rng.integers(len(control.options)))
    for group in spec.exclusive:
        down = [name for name in group if action[name]]
        for name in down[1:]:
            action[name] = 0
    return spec.normalize(action)
