"""Game window for people: no mouse movement is lost, and a session without a screen is recorded."""

import os
from pathlib import Path

import numpy as np
import pytest

from agent_core.recording.human import record_human
from games.voxel import SPEC
from games.voxel.window import DEGREES_PER_PIXEL, Hands
from recorder import open_episodes


def test_mouse_movement_is_carried_over() -> None:
    hands = Hands()
    hands.look(150, -44)
    turned = np.sum([hands.action()["camera"] for _ in range(8)], axis=0)
    assert turned[1] == pytest.approx(150 * DEGREES_PER_PIXEL, abs=1.5)
    assert turned[0] == pytest.approx(-44 * DEGREES_PER_PIXEL, abs=1.5)
    assert SPEC.normalize(hands.action()) == SPEC.null_action()


def test_opposite_keys_cancel() -> None:
    hands = Hands({"forward", "back", "jump"})
    assert hands.action() == SPEC.normalize({"jump": 1})


def test_a_person_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SDL_VIDEODRIVER", "dummy")
    pygame = pytest.importorskip("pygame")
    keys = iter([(pygame.KEYDOWN, pygame.K_w)] + [None] * 4 + [(pygame.KEYUP, pygame.K_w)])
    words = iter("tturn left")

    def events() -> list[object]:
        if (key := next(keys, None)) is not None:
            return [pygame.event.Event(key[0], key=key[1])]
        if not typed:
            typed.append(True)
            return [
                pygame.event.Event(pygame.KEYDOWN, key=pygame.K_t),
                *[pygame.event.Event(pygame.TEXTINPUT, text=c) for c in words],
                pygame.event.Event(pygame.KEYDOWN, key=pygame.K_RETURN),
            ]
        return []

    typed: list[bool] = []
    monkeypatch.setattr(pygame.event, "get", events)
    report = record_human(tmp_path, seed=4, author="a tester", max_steps=10)
    (episode,) = open_episodes(tmp_path)
    assert report["steps"] == len(episode) == 10
    assert episode.header.actor == "human"
    assert sum(a["forward"] for a in episode.actions) >= 1
    assert any(span.style == "correction" and span.text == "turn left" for span in episode.texts)
