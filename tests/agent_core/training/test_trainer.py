"""IAFM trainer: losses, micro-batches and processes, what a run saves and refuses."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agent_core.agent import Agent
from agent_core.config import (
    DataConfig,
    LossConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
    load_config,
)
from agent_core.data.corpus import build_training_data
from agent_core.errors import CheckpointError, ConfigError, TrainError
from agent_core.model import IAFM
from agent_core.model.batch import Batch
from agent_core.training.loss import losses
from agent_core.training.microbatch import sample_microbatch
from agent_core.training.run_log import read_log
from agent_core.training.schedule import learning_rate
from agent_core.training.trainer import train, train_on
from agent_core.weights import checkpoint
from agent_core.weights.checkpoint import load
from bridges.policy import PolicyRequest
from games.voxel.spec import SPEC

MODEL = ModelConfig(
    width=32, layers=1, heads=2, stem_widths=(8, 8, 16), context_frames=3, text_vocab_size=300
)

PAPER = ModelConfig(
    backbone="paper", width=32, layers=2, heads=2, patch=8, pooled_grid=(3, 4), global_token=True,
    temporal_attention=True, context_frames=3, max_text_tokens=16, max_thought_tokens=12, max_action_tokens=12,
    text_vocab_size=300, mae_blocks=1, mae_heads=2,
)  # fmt: skip


class FakeEpisode:
    """Ten steps: a bright picture means attack, a dark one means turn."""

    spec = SPEC

    def __init__(self, seed: int, steps: int = 10) -> None:
        random = np.random.default_rng(seed)
        bright = random.random(steps) < 0.5
        self.pictures = np.where(bright[:, None, None, None], 200, 30).astype(np.uint8)
        self.pictures = np.broadcast_to(self.pictures, (steps, 72, 128, 3)).copy()
        self.actions = [
            {**SPEC.null_action(), **({"attack": 1} if b else {"camera": (0.0, 9.0)})}
            for b in bright
        ]
        self.executed = self.actions
        self.thoughts = ["it is bright" if b else "it is dark" for b in bright]
        self.captions = [""] * steps
        self.header = SimpleNamespace(
            instruction="hit what is bright", task="hit", seed=seed, success=True
        )

    def __len__(self) -> int:
        return len(self.actions)


SPLITS = {"train": [FakeEpisode(k) for k in range(4)], "validation": [FakeEpisode(9)]}
FRAMES = np.concatenate([e.pictures for split in SPLITS.values() for e in split])


def config(steps: int, **changes: object) -> RunConfig:
    settings = {
        "batch": 4,
        "lr": 3e-3,
        "warmup_steps": 1,
        "validation_windows": 4,
        "log_every": 1,
        **changes,
    }
    return RunConfig(
        model=MODEL,
        data=DataConfig(window_frames=4),
        train=TrainConfig.model_validate(
            {"steps": steps, "minutes": 0, "device": "cpu", **settings}
        ),
    )


@pytest.mark.parametrize("normalization", ["paper", "mean"])
def test_steps_lower_the_loss(normalization: str) -> None:
    corpus = build_training_data(config(1), SPLITS, FRAMES)
    torch.manual_seed(0)
    model = IAFM(MODEL, corpus.vocabulary.size)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    batch = corpus.dataset.sample(
        "train", 4, DataConfig(window_frames=4), torch.Generator().manual_seed(0)
    )
    totals = []
    for _ in range(4):
        found = losses(model, batch, model(batch), LossConfig(normalization=normalization))
        optimiser.zero_grad()
        found.total.backward()
        optimiser.step()
        totals.append(found.total.item())
    assert totals[-1] < 0.9 * totals[0]


def test_padding_changes_no_loss() -> None:
    corpus = build_training_data(config(1), SPLITS, FRAMES)
    torch.manual_seed(0)
    model = IAFM(MODEL, corpus.vocabulary.size).eval()
    batch = corpus.dataset.sample(
        "train", 4, DataConfig(window_frames=4), torch.Generator().manual_seed(0)
    )
    plain = losses(model, batch, model(batch), LossConfig())
    pad = torch.nn.functional.pad
    batch.instruction_ids, batch.thought_ids = (
        pad(batch.instruction_ids, (0, 5)),
        pad(batch.thought_ids, (0, 3)),
    )
    batch.actions = pad(batch.actions, (0, 4))
    padded = losses(model, batch, model(batch), LossConfig())
    for name in ("total", "language", "action"):
        assert getattr(padded, name).item() == pytest.approx(getattr(plain, name).item(), abs=1e-5)


def test_absent_frames_change_no_loss() -> None:
    corpus = build_training_data(config(1), SPLITS, FRAMES)
    model = IAFM(MODEL, corpus.vocabulary.size).eval()
    batch = corpus.dataset.sample(
        "train", 4, DataConfig(window_frames=4), torch.Generator().manual_seed(0)
    )
    batch.frame_mask[:, :2] = False
    before = losses(model, batch, model(batch), LossConfig()).total.item()
    batch.frames[:, :2] = 255 - batch.frames[:, :2]
    assert losses(model, batch, model(batch), LossConfig()).total.item() == pytest.approx(
        before, abs=1e-6
    )


def test_a_run_cut_in_two_ends_like_one(tmp_path: Path) -> None:
    whole = train_on(config(4, lr_end=1.0, ema_decay=0.5), tmp_path / "whole", SPLITS, FRAMES)
    train_on(config(2, lr_end=1.0, ema_decay=0.5), tmp_path / "cut", SPLITS, FRAMES)
    cut = train_on(config(4, lr_end=1.0, ema_decay=0.5), tmp_path / "cut", SPLITS, FRAMES)
    assert whole.steps == cut.steps == 4
    # the budget of two steps anneals; with lr_end=1 the rate is constant and both are the same run
    curves = [
        [row["total"] for row in read_log(tmp_path / name) if row["split"] == "train"]
        for name in ("whole", "cut")
    ]
    assert curves[0] == pytest.approx(curves[1], abs=1e-5)
    first, second = load(tmp_path / "whole" / "last"), load(tmp_path / "cut" / "last")
    for name, weight in first.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], weight, atol=2e-3, rtol=1e-2)
    assert (tmp_path / "cut" / "curves.png").exists()
    assert first.header.metadata["steps"] == 4
    assert (
        first.vocabulary.decode_text(first.vocabulary.text_ids("hit what is bright", 32))
        == "hit what is bright"
    )


def totals(run_dir: Path) -> list[float]:
    return [row["total"] for row in read_log(run_dir) if row["split"] == "train"]


@pytest.mark.parametrize("normalization", ["paper", "mean"])
@pytest.mark.parametrize("changes", [{"accumulate": 4}, {"activation_checkpointing": True}])
def test_parts_and_recomputing_change_no_loss(
    tmp_path: Path, normalization: str, changes: dict[str, object]
) -> None:
    for name, given in (("plain", {}), ("changed", changes)):
        settings = config(4, precision="float32", **given)
        loss = LossConfig.model_validate({"normalization": normalization, "mae_clip_fraction": 0.5})
        train_on(settings.model_copy(update={"loss": loss}), tmp_path / name, SPLITS, FRAMES)
    assert totals(tmp_path / "changed") == pytest.approx(totals(tmp_path / "plain"), abs=1e-4)


def test_validation_computes_no_more_at_once_than_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And scores the same windows: here ten, of which training has four at once or one."""
    sizes, rows, before = [], [], IAFM.forward

    def forward(self: IAFM, batch: Batch, *rest: object) -> object:
        if not torch.is_grad_enabled():
            sizes[-1].append(len(batch))
        return before(self, batch, *rest)

    monkeypatch.setattr(IAFM, "forward", forward)
    for name, accumulate in (("plain", 1), ("parts", 4)):
        sizes.append([])
        settings = config(1, accumulate=accumulate, validation_windows=10, precision="float32")
        train_on(settings, tmp_path / name, SPLITS, FRAMES)
        rows.append(read_log(tmp_path / name)[-1])
    assert sizes == [[4, 4, 4, 4, 2, 2], [1] * 20]  # with the instruction, and with none
    assert rows[0]["split"] == rows[1]["split"] == "validation"
    for name in ("action_nats_per_token", "language", "exact_match", "change_accuracy"):
        assert rows[1][name] == pytest.approx(rows[0][name], abs=1e-4)


def as_one_of_two(run_dir: str, settings: str) -> None:
    """What each process of the next tests does."""
    train_on(RunConfig.model_validate_json(settings), Path(run_dir), SPLITS, FRAMES)


def train_in_two(run_dir: Path, settings: RunConfig) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "import runpy, sys; runpy.run_path(sys.argv[1])['as_one_of_two'](*sys.argv[2:])"
    given = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, __file__, str(run_dir), settings.model_dump_json()],
            env={**os.environ, **given, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]


@pytest.mark.parametrize("fsdp", [False, True], ids=["copied", "split"])
def test_two_processes_learn_as_one(tmp_path: Path, fsdp: bool) -> None:
    train_on(config(5, precision="float32"), tmp_path / "one", SPLITS, FRAMES)
    train_in_two(tmp_path / "two", config(5, precision="float32", fsdp=fsdp))
    assert totals(tmp_path / "two") == pytest.approx(totals(tmp_path / "one"), abs=1e-4)
    assert load(tmp_path / "two" / "best").header.metadata["steps"] == 5
    one, two = (read_log(tmp_path / name)[-1] for name in ("one", "two"))
    assert two["action_nats_per_token"] == pytest.approx(one["action_nats_per_token"], abs=1e-4)


def test_split_weights_go_on_anywhere(tmp_path: Path) -> None:
    """The paper's backbone: two processes with split weights, one process, then two again."""
    whole = config(4, precision="float32", lr_end=1.0, ema_decay=0.5).model_copy(
        update={"model": PAPER}
    )
    train_on(whole, tmp_path / "whole", SPLITS, FRAMES)
    changes = {"fsdp": True, "activation_checkpointing": True, "accumulate": 2}

    def up_to(steps: int, **given: object) -> RunConfig:
        train = whole.train.model_copy(update={"steps": steps, **given})
        return whole.model_copy(update={"train": train})

    train_in_two(tmp_path / "cut", up_to(2, **changes))
    train_on(up_to(3), tmp_path / "cut", SPLITS, FRAMES)
    train_in_two(tmp_path / "cut", up_to(4, **changes))
    assert totals(tmp_path / "cut") == pytest.approx(totals(tmp_path / "whole"), abs=1e-4)
    first, second = load(tmp_path / "whole" / "last"), load(tmp_path / "cut" / "last")
    for name, weight in first.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], weight, atol=2e-3, rtol=1e-2)


@pytest.fixture(scope="module")
def three_steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train_on(config(3), folder, SPLITS, FRAMES)
    return folder


@pytest.fixture
def run(three_steps: Path, tmp_path: Path) -> Path:
    """A copy of a good run of three steps, to go on with."""
    return shutil.copytree(three_steps, tmp_path / "run")


def saved(run_dir: Path, *names: str) -> dict[str, bytes]:
    files = [path for name in names for path in (run_dir / name).iterdir()]
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files}


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"no longer finite at step \d+; begin anew with --fresh"):
        train_on(config(30, lr=1e30), tmp_path, SPLITS, FRAMES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "the loss is no longer finite"),
        ({"validate_every_s": 0, "log_every": 99}, "the loss is no longer finite"),
        ({"save_every_s": 0, "log_every": 99}, "the weights are beyond half precision"),
    ],
    ids=["seen in training", "seen in validation", "seen before saving"],
)
def test_a_run_that_blows_up_loses_nothing_and_both_ways_out_work(
    run: Path, changes: dict[str, object], message: str
) -> None:
    before, best = saved(run, "best", "last", "state"), run / "best"
    with pytest.raises(TrainError, match=f"{message} at .* intact: .* train.init_from={best}"):
        train_on(config(30, lr=1e30, **changes), run, SPLITS, FRAMES)
    assert saved(run, "best", "last", "state") == before
    assert load(best).header.metadata["steps"] == 3
    assert train_on(config(4), run, SPLITS, FRAMES).steps == 4
    again = config(1, init_from=str(best))
    assert train_on(again, run.parent / "other", SPLITS, FRAMES).steps == 1


def test_nothing_to_compile_with_is_said(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ConfigError, match="needs a C\\+\\+ compiler"):
        train_on(config(1, compile=True), run, SPLITS, FRAMES)


def test_bad_checkpoints_say_what_is_wrong(run: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        load(run / "missing")
    weights = run / "last" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged"):
        load(run / "last")
    (run / "last" / "config.json").write_text('{"format": 99}')
    with pytest.raises(CheckpointError, match="format 99"):
        load(run / "last")


def test_a_full_disk_is_said_and_what_was_saved_stays(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "state" / "state.safetensors").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent_core.training.resume.save_file", full)
    with pytest.raises(TrainError, match=r"No space left on device; what was saved .* intact"):
        train_on(config(4), run, SPLITS, FRAMES)
    monkeypatch.undo()
    assert (run / "state" / "state.safetensors").read_bytes() == before
    modes = {path.stat().st_mode for path in (run / "state").iterdir()}
    assert len(modes) == 1  # the weights' file follows the umask as the other does
    assert not list(run.glob("*.draft"))
    assert train_on(config(4), run, SPLITS, FRAMES).steps == 4


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_checkpoint_stays_where_writing_the_next_ends_half_way(
    run: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before, write = saved(run, name), checkpoint.save_file

    def half(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if not path.parent.name.startswith(name):
            return write(tensors, path)
        path.write_bytes(before[f"{name}/model.safetensors"][:999])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(TrainError, match=r"No space left on device; what was saved .* intact"):
        train_on(config(6), run, SPLITS, FRAMES)
    assert saved(run, name) == before
    assert load(run / name).header.metadata["steps"] == 3
    assert not list(run.glob("*.draft"))


def test_a_run_goes_on_after_a_kill_between_the_two_renames(run: Path) -> None:
    for name in ("state", "best", "last"):
        (run / name).replace(run / f"{name}.old")
    assert load(run / "best").header.metadata["steps"] == 3
    assert train_on(config(4), run, SPLITS, FRAMES).steps == 4
    assert load(run / "last").header.metadata["steps"] == 4


def test_a_fresh_run_takes_nothing_from_before_and_needs_a_budget(run: Path) -> None:
    before = saved(run, "best", "last", "state")
    with pytest.raises(ConfigError, match="set a budget"):
        train_on(config(0), run, SPLITS, FRAMES, resume=False)
    assert saved(run, "best", "last", "state") == before
    for name in ("state", "best", "last"):
        (run / name).replace(run / f"{name}.old")
    with pytest.raises(TrainError, match="no longer finite"):
        train_on(config(9, lr=1e30), run, SPLITS, FRAMES, resume=False)
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        load(run / "best")
    assert train_on(config(1), run, SPLITS, FRAMES).steps == 1


def test_only_a_run_that_begins_leaves_its_settings(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "config.toml").read_text()
    assert load_config(run / "config.toml") == config(3)
    smaller = config(4).model_copy(update={"model": MODEL.model_copy(update={"width": 16})})
    with pytest.raises(TrainError, match="another model"):
        train_on(smaller, run, SPLITS, FRAMES)
    assert (run / "config.toml").read_text() == before

    def full(path: Path, text: str, **_: object) -> None:
        path.write_bytes(text.encode()[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    for folder in (run, run.parent / "new"):
        with pytest.raises(TrainError, match=r"cannot write to .* No space left on device"):
            train_on(config(4), folder, SPLITS, FRAMES)
    assert (run / "config.toml").read_text() == before


@pytest.mark.parametrize("shares", [(0.5,), (0.75,), (0.5, 0.75)])
def test_windows_lose_the_share_of_patches_asked_for(shares: tuple[float, ...]) -> None:
    loss = LossConfig(mae_clip_fraction=0.5, mae_mask_ratio=shares)
    settings = config(1, batch=64).model_copy(update={"loss": loss})
    store, hidden, shown = (
        build_training_data(settings, SPLITS, FRAMES).dataset,
        torch.zeros(2),
        torch.zeros(2),
    )
    for step in range(8):
        part = sample_microbatch(store, settings, step, slice(None), torch.float32)
        assert part.masked is not None
        assert len(part.masked.patches) == 32  # half of the windows
        assert part.masked.pictures.shape[0] == 32 * part.batch.frame_mask.shape[1]
        present = part.batch.frame_mask[:32]
        assert not part.masked.patches[~present].any()
        for k in range(2):
            hidden[k] += part.masked.patches[k::2].sum()
            shown[k] += present[k::2].sum() * MODEL.visual_tokens
    wanted = [shares[0], shares[-1]]  # in turn
    assert (hidden / shown).tolist() == pytest.approx(wanted, abs=0.03)


def weighing(weights: dict[str, float]) -> RunConfig:
    data = DataConfig.model_validate({"window_frames": 4, "task_weights": weights})
    return config(1).model_copy(update={"data": data})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"hti": 2}, "no task called 'hti'; did you mean 'hit'"),
        ({"dig_dwon": 2}, "no task called 'dig_dwon'; did you mean 'dig_down'"),
        ({"voxel/hti": 2}, "no task called 'voxel/hti'; did you mean 'voxel/hit'"),
        ({"hit": 0}, "leave no step to train on"),
    ],
)
def test_weights_of_no_task_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_training_data(weighing(weights), SPLITS, FRAMES)


def test_tasks_of_the_game_and_of_other_games_may_be_weighed() -> None:
    """One recipe serves recordings of a few tasks and of all."""
    names = ("hit", "voxel/hit", "dig_down", "free", "voxel/free", "pong/win_point")
    build_training_data(weighing(dict.fromkeys(names, 0.5)), SPLITS, FRAMES)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(TrainError, match=f"^{folder} cannot be a run's folder"):
            train(config(1), folder)


def test_a_foreign_or_damaged_state_is_refused(tmp_path: Path) -> None:
    train_on(config(1), tmp_path, SPLITS, FRAMES)
    told = FakeEpisode(3)
    told.header.instruction = "strike the light"
    with pytest.raises(TrainError, match="another model or data set"):
        train_on(config(2), tmp_path, {**SPLITS, "train": [*SPLITS["train"][:3], told]}, FRAMES)
    weights = tmp_path / "state" / "state.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(TrainError, match="is damaged"):
        train_on(config(2), tmp_path, SPLITS, FRAMES)


def test_a_spent_budget_adds_nothing(tmp_path: Path) -> None:
    first = train_on(config(2), tmp_path, SPLITS, FRAMES)
    rows = read_log(tmp_path)
    again = train_on(config(2), tmp_path, SPLITS, FRAMES)
    assert read_log(tmp_path) == rows
    assert again.action_nats_per_token == first.action_nats_per_token
    assert again.steps == 2


CYCLE = [{"forward": 1}, {"camera": (0.0, 9.0)}, {}, {"jump": 1, "attack": 1}]


class RoundEpisode(FakeEpisode):
    """Four actions in a fixed round; the brightness says which is due."""

    def __init__(self, seed: int, steps: int = 11) -> None:
        super().__init__(seed, steps)
        self.at = [(seed + step) % 4 for step in range(steps)]
        self.pictures = np.empty((steps, 16, 16, 3), np.uint8)
        self.pictures[:] = 60 * np.array(self.at, np.uint8)[:, None, None, None]
        self.actions = self.executed = [{**SPEC.null_action(), **CYCLE[k]} for k in self.at]


def test_a_chunk_foretells_the_next_actions(tmp_path: Path) -> None:
    splits = {"train": [RoundEpisode(k) for k in range(4)], "validation": [RoundEpisode(6)]}
    frames = np.concatenate([e.pictures for split in splits.values() for e in split])
    settings = config(200, batch=16, lr=5e-3, ema_decay=0.9, validation_windows=32).model_dump()
    settings["model"] |= {"action_chunk": 3, "max_action_tokens": 31, "context_frames": 1}
    settings["model"] |= {"frame_height": 16, "frame_width": 16, "pooled_grid": (1, 1)}
    settings["data"] |= {"mask_actions_prob": 1.0, "window_frames": 1, "thoughts": False}
    settings["loss"] |= {"mae_clip_fraction": 0.0}
    train_on(RunConfig.model_validate(settings), tmp_path, splits, frames)
    row = [row for row in read_log(tmp_path) if row["split"] == "validation"][-1]
    assert (row["exact_match"], row["exact_chunk"]) == (1.0, 1.0)
    agent = Agent.load(tmp_path / "last", temperature=0)
    player = agent.attach(SPEC)
    seen = RoundEpisode(1)
    for frame, due in zip(seen.pictures, seen.at, strict=True):
        (decision,) = agent.act([PolicyRequest(player, frame, seen.header.instruction)])
        done = [decision.action, *(following.action for following in decision.later)]
        assert done == [{**SPEC.null_action(), **CYCLE[(due + k) % 4]} for k in range(3)]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_rate_warms_up_and_ends_low(share: float) -> None:
    settings = config(100, lr=1e-2, lr_end=0.1, warmup_steps=10)
    assert learning_rate(settings, 0, 0.0) == pytest.approx(1e-3)
    expected = 1e-2 * (1 - 0.9 * share)  # a cosine is a line at its ends and its middle
    assert learning_rate(settings, 50, share) == pytest.approx(expected)
