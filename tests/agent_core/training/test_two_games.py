"""Two games in one run: losses of both, play of both, a third game by meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent_core.agent import Agent
from agent_core.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from agent_core.data.corpus import load_splits
from agent_core.tokens.vocabulary import spec_meanings
from agent_core.training.run_log import read_log
from agent_core.training.trainer import train
from agent_core.weights.checkpoint import load as load_checkpoint
from bridges.policy import PolicyRequest
from games import Button, FrameSize, GameSpec
from games.registry import load, make
from recorder import CaptureInfo, CaptureWriter, Episode

pytestmark = pytest.mark.slow

STEPS = 16
GAMES = {"voxel": "dig_down", "pong": "win_point"}
THIRD = GameSpec(
    id="third-v0",
    title="A game with names that nobody knows",
    frame=FrameSize(height=60, width=60),
    step_hz=20,
    controls=(
        Button(name="w", meaning="move.forward"),
        Button(name="q", meaning="move.up"),
        Button(name="z", meaning="my-game/cast_net"),
    ),
)


def record(name: str, out: Path, seed: int) -> None:
    """The first steps of an expert's episode."""
    game, env = load(name), make(name)
    observation, _ = env.reset(seed=seed, options={"task": GAMES[name]})
    expert = game.expert()(env)
    about = CaptureInfo(instruction=observation["instruction"], task=GAMES[name], seed=seed)
    with CaptureWriter.create(out, game.spec, about) as capture:
        for _ in range(STEPS):
            action, thought = expert()
            capture.text(style="thought", text=thought, source="teacher")
            capture.step(observation["frame"], action)
            observation, *_ = env.step(action)
        capture.close(success=True)
    env.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, Path]:
    """Three episodes of each game, and a run of a few steps on both."""
    folder = tmp_path_factory.mktemp("two")
    for name in GAMES:
        for seed in (0, 1, 8):  # one of them falls to validation
            record(name, folder / name, seed)
    config = RunConfig(
        model=ModelConfig(
            width=32, layers=1, heads=2, stem_widths=(8, 8, 16), context_frames=2, text_vocab_size=300
        ),
        data=DataConfig(
            episodes=tuple(str(folder / name) for name in GAMES), validation=0.4, window_frames=2
        ),
        train=TrainConfig(
            steps=30, minutes=0, batch=8, lr=5e-3, ema_decay=0.5, warmup_steps=1, device="cpu",
            validation_windows=32, validate_every_s=0,
        ),
    )  # fmt: skip
    train(config, folder / "run")
    return config, folder / "run"


def test_frames_of_both_sizes_come_to_the_models(run: tuple[RunConfig, Path]) -> None:
    parts, frames, _ = load_splits(*run)
    assert isinstance(frames, np.ndarray)
    episodes = [e for part in parts.values() for e in part]
    assert {e.spec.frame.shape for e in episodes} == {(72, 128, 3), (105, 80, 3)}
    assert frames.shape == (6 * STEPS, 72, 128, 3)
    for i, episode in enumerate(episodes):
        assert isinstance(episode, Episode)
        resized, recorded = frames[i * STEPS : (i + 1) * STEPS], episode.frames()
        assert np.abs(resized.mean((1, 2)) - recorded.mean((1, 2))).max() < 3
    assert {e.spec.name for e in parts["validation"]} == set(GAMES)


def test_the_loss_of_each_game_falls(run: tuple[RunConfig, Path]) -> None:
    rows = [row for row in read_log(run[1]) if row["split"] == "validation"]
    for name in GAMES:
        first, last = (row[f"action_nats_per_token/{name}"] for row in (rows[0], rows[-1]))
        assert last < 0.8 * first
    mean = np.mean([rows[-1][f"action_nats_per_token/{name}"] for name in GAMES])
    assert rows[-1]["action_nats_per_token"] == pytest.approx(mean, abs=1e-5)


def test_one_checkpoint_plays_both_and_a_third_by_meaning(run: tuple[RunConfig, Path]) -> None:
    header = load_checkpoint(run[1] / "last").header
    assert {spec.id for spec in header.specs} == {"voxel-v0", "pong-v0"}
    assert set(header.meanings) == {m for name in GAMES for m in spec_meanings(load(name).spec)}
    agent = Agent.load(run[1] / "last", seed=1)
    specs = [*(load(name).spec for name in GAMES), THIRD]
    players = [agent.attach(spec, seed=0) for spec in specs]
    assert [bool(player.warnings) for player in players] == [False, False, True]
    assert "my-game/cast_net" in players[2].warnings[0]
    frames = [np.zeros(spec.frame.shape, np.uint8) for spec in specs]
    asked = [PolicyRequest(p, f, "play") for p, f in zip(players, frames, strict=True)]
    for decision, spec in zip(agent.act(asked), specs, strict=True):
        assert spec.normalize(decision.action) == decision.action
    assert decision.action["z"] == 0


def test_a_checkpoint_of_one_game_learns_another(
    run: tuple[RunConfig, Path], tmp_path: Path
) -> None:
    config, _ = run
    alone = config.model_copy(
        update={
            "data": config.data.model_copy(update={"episodes": config.data.episodes[:1]}),
            "train": config.train.model_copy(update={"steps": 2}),
        }
    )
    train(alone, tmp_path / "voxel")
    known = load_checkpoint(tmp_path / "voxel" / "last")
    both = config.model_copy(
        update={
            "train": config.train.model_copy(
                update={"steps": 1, "lr": 1e-9, "init_from": str(tmp_path / "voxel" / "last")}
            )
        }
    )
    train(both, tmp_path / "both")
    grown = load_checkpoint(tmp_path / "both" / "last")
    assert grown.vocabulary.action_meanings == (
        *known.vocabulary.action_meanings,
        "move.down",
        "move.up",
    )
    old, new = known.model.token.weight, grown.model.token.weight
    assert new.shape[0] == old.shape[0] + 2
    assert np.allclose(new[: len(old)], old, atol=2e-3)
