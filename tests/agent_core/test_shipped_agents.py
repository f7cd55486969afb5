"""One policy of all shipped checkpoints."""

import json
from pathlib import Path

import numpy as np
import pytest

from agent_core.__main__ import main
from agent_core.agent import Agent, ShippedAgents
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, has_shipped, shipped_checkpoint
from bridges.policy import PolicyRequest
from games.registry import load


def test_every_game_is_played_by_its_own_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[Path] = []

    def load_agent(path: Path) -> Agent:
        loaded.append(path)
        return Agent.load(DEFAULT_CHECKPOINT, threads=1, num_candidates=0)

    other = Path("another")
    monkeypatch.setattr(
        "agent_core.agent.shipped_checkpoint",
        lambda game: other if game == "brawl" else DEFAULT_CHECKPOINT,
    )
    agents = ShippedAgents(load_agent)
    assert loaded == [DEFAULT_CHECKPOINT]
    specs = [load(name).spec for name in ("brawl", "voxel", "brawl")]
    players = [agents.attach(spec) for spec in specs]
    assert loaded == [DEFAULT_CHECKPOINT, other]
    requests = [
        PolicyRequest(player, np.zeros(spec.frame.shape, np.uint8), "go")
        for player, spec in zip(players, specs, strict=True)
    ]
    decisions = agents.act(requests)
    for decision, spec in zip(decisions, specs, strict=True):
        assert spec.normalize(decision.action) == decision.action
    assert "%" in agents.ask(players[0], "next_action")


def test_games_without_one_of_their_own_get_the_default() -> None:
    assert has_shipped("voxel")
    assert not has_shipped("pong")
    assert shipped_checkpoint("voxel") == shipped_checkpoint("pong") == DEFAULT_CHECKPOINT
    assert shipped_checkpoint("brawl") == shipped_checkpoint("bleeding-edge") != DEFAULT_CHECKPOINT


def test_the_arena_is_not_shown_with_another_games_checkpoint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_core.weights.checkpoint._SHIPPED", {"voxel": "voxel-tiny"})
    assert main(["demo", "brawl", "--headless", "--port", "0"]) == 2
    assert "no checkpoint of brawl comes with the package" in capsys.readouterr().err


@pytest.mark.slow
def test_the_arenas_checkpoint_does_what_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "brawl", "--tasks", "stay_with_healer", "--episodes", "6"]
    arguments += ["--conditions", "agent", "agent_no_instruction", "--workers", "1", "--json"]
    assert main([*arguments, "--next-action-episodes", "0"]) == 0
    report = json.loads(capsys.readouterr().out)["tasks"]["stay_with_healer"]
    assert report["agent"]["success"] >= 0.6
    assert report["agent_no_instruction"]["success"] <= 0.4
