"""CNN+GRU baseline: training, checkpoint, play step by step, its column in the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agent_core.__main__ import main
from agent_core.baseline.network import ActionHeads, CnnGru, Sizes, head_of, load, make_header
from agent_core.baseline.policy import BaselinePolicy
from agent_core.baseline.trainer import train_baseline
from agent_core.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from agent_core.errors import CheckpointError
from agent_core.evaluation.closed_loop import load_policy
from agent_core.evaluation.report import success_table
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.vocabulary import build_vocabulary
from agent_core.training.run_log import read_log
from agent_core.weights.checkpoint import save
from bridges.errors import PolicyError
from bridges.policy import PolicyRequest
from games import Action, Button, Camera, Choice, FrameSize, GameSpec, Stick
from games.voxel.spec import SPEC
from recorder import CaptureInfo, CaptureWriter

STEPS = 20
WORDS = {"look to the left": -9.0, "now turn right": 9.0}


def wanted(bright: bool, words: str) -> Action:
    """Attack what is bright, turn as told where it is dark."""
    does = {"attack": 1} if bright else {"camera": (0.0, WORDS[words])}
    return {**SPEC.null_action(), **does}


def pictures(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of some steps are bright, and their frames."""
    bright = np.random.default_rng(seed).random(STEPS) < 0.5
    flat = np.where(bright, 200, 30).astype(np.uint8)
    return bright, np.broadcast_to(flat[:, None, None, None], (STEPS, 72, 128, 3))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Episodes of two colours and two instructions."""
    folder = tmp_path_factory.mktemp("data")
    for seed in range(10):
        words = list(WORDS)[seed % 2]
        about = CaptureInfo(instruction=words, task="hit", seed=seed)
        with CaptureWriter.create(folder, SPEC, about) as capture:
            for bright, frame in zip(*pictures(seed), strict=True):
                capture.step(np.ascontiguousarray(frame), wanted(bool(bright), words))
            capture.close(success=True)
    return folder


def config(data: Path, **changes: object) -> RunConfig:
    settings = {
        "steps": 40, "minutes": 0, "validate_every_s": 1e9, "save_every_s": 1e9,
        "batch": 12, "lr": 3e-3, "warmup_steps": 5, "ema_decay": 0.9,
        "device": "cpu", "log_every": 1, "validation_windows": 16, **changes,
    }  # fmt: skip
    return RunConfig(
        model=ModelConfig(text_vocab_size=300, frame_height=24, frame_width=32),
        data=DataConfig(episodes=(str(data),), validation=0.3),
        train=TrainConfig.model_validate(settings),
    )


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train_baseline(config(data), folder)
    return folder


def test_its_loss_falls(run: Path) -> None:
    losses = [row["action_nats_per_token"] for row in read_log(run) if row["split"] == "train"]
    assert losses[-1] < 0.2 * losses[0]
    assert (run / "curves.png").exists()
    assert load(run / "last").header.metadata["steps"] == 40


@pytest.mark.parametrize("words", WORDS)
def test_it_learns_colours_and_words(run: Path, words: str) -> None:
    policy = BaselinePolicy.load(run / "best", temperature=0.0)
    player = policy.attach(SPEC)
    bright, frames = pictures(99)
    done = [policy.act([PolicyRequest(player, frame, words)])[0].action for frame in frames]
    right = [a == wanted(bool(b), words) for a, b in zip(done, bright, strict=True)]
    assert np.mean(right) > 0.9


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    vocabulary = build_vocabulary([SPEC], list(WORDS), 300)
    sizes = Sizes(frame_height=72, frame_width=128, max_text_tokens=32)
    torch.manual_seed(0)
    model = CnnGru(sizes, vocabulary.text_size, sum(ActionHeads(vocabulary).sizes))
    save(tmp_path / "one", model.state_dict(), make_header(sizes, (SPEC,), vocabulary, {"a": 1}))
    loaded = load(tmp_path / "one")
    assert loaded.header.metadata == {"a": 1}
    assert loaded.vocabulary.action_meanings == vocabulary.action_meanings
    save(tmp_path / "two", loaded.model.state_dict(), loaded.header)
    frames, text = torch.zeros(1, 2, 72, 128, 3, dtype=torch.uint8), torch.tensor([[1, 2]])
    outputs = [load(tmp_path / name).model(frames, text)[0] for name in ("one", "two")]
    assert torch.equal(*outputs)
    torch.testing.assert_close(outputs[0], model(frames, text)[0], atol=2e-2, rtol=1e-2)


def test_words_meet_the_picture_before_its_convolutions_mix_it() -> None:
    sizes = Sizes(frame_height=24, frame_width=32, max_text_tokens=8)
    torch.manual_seed(0)
    model = CnnGru(sizes, 300, 5)
    seen: list[torch.Tensor] = []
    model.blocks.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    frames = torch.zeros(2, 1, 24, 32, 3, dtype=torch.uint8)
    model(frames, torch.tensor([[5, 6], [7, 8]]))
    assert seen[0].ndim == 4  # cells
    difference = seen[0][0] - seen[0][1]
    assert difference.abs().min() > 0
    torch.testing.assert_close(difference, difference[:, :1, :1].expand_as(difference))


def test_absent_frames_are_not_encoded_and_change_nothing() -> None:
    sizes = Sizes(frame_height=24, frame_width=32, max_text_tokens=8)
    model = CnnGru(sizes, 300, 5)
    frames = torch.randint(0, 255, (2, 4, 24, 32, 3), dtype=torch.uint8)
    text, present = torch.tensor([[5, 6], [7, 0]]), torch.arange(4) < torch.tensor([[4], [2]])
    logits, _ = model(frames, text)
    cut, _ = model(frames, text, present=present)
    torch.testing.assert_close(cut[present], logits[present])


def test_played_step_by_step_it_is_the_sequence(run: Path) -> None:
    """Two players of unequal instructions in one batch, one of them a step ahead."""
    baseline = load(run / "best")
    random = np.random.default_rng(0)
    frames = random.integers(0, 255, (2, 6, 24, 32, 3)).astype(np.uint8)
    policy = BaselinePolicy(baseline, "cnn-gru", temperature=0.0)
    players = [policy.attach(SPEC), policy.attach(SPEC)]
    words = ["look to the left, and then turn right", "now"]
    policy.act([PolicyRequest(players[0], frames[0, 0], words[0])])
    for t in range(1, 6):
        now = zip(players, (frames[0, t], frames[1, t - 1]), words, strict=True)
        policy.act([PolicyRequest(*each) for each in now])
    for player, played, instruction in zip(players, (frames[0], frames[1, :5]), words, strict=True):
        text = torch.tensor([baseline.vocabulary.text_ids(instruction, 32)])
        _, memory = baseline.model(torch.from_numpy(played)[None], text)
        assert player.hidden is not None
        torch.testing.assert_close(player.hidden, memory[0, 0], atol=1e-5, rtol=1e-5)


RICH = GameSpec(
    id="rich-v0",
    title="Every kind of control",
    frame=FrameSize(height=40, width=50),
    step_hz=10,
    controls=(
        Button(name="w", meaning="move.forward"),
        Button(name="s", meaning="move.back"),
        Camera(name="view", meaning="look", pitch_bins=(-5.0, 0.0, 5.0), yaw_bins=(-5.0, 0.0, 5.0)),
        Stick(name="stick", meaning="move", rotation_bins=8, magnitude_bins=2),
        Choice(name="tool", options=("none", "axe", "saw")),
    ),
    exclusive=(("w", "s"),),
)


def rich_actions(count: int) -> list[Action]:
    random = np.random.default_rng(1)
    return [
        RICH.normalize(
            {
                ("w", "s")[random.integers(2)]: int(random.integers(2)),
                "view": tuple(random.choice([-5.0, 0.0, 5.0], 2)),
                "stick": (float(random.integers(8) * 45), float(random.integers(3) / 2)),
                "tool": int(random.integers(3)),
            }
        )
        for _ in range(count)
    ]


def test_targets_say_the_whole_action() -> None:
    vocabulary = build_vocabulary([RICH], ["go"], 300)
    choices, attached = ActionHeads(vocabulary), ActionCodec(RICH, vocabulary)
    assert choices.class_of_id["look.yaw"] == ["", "look.yaw:-5", "look.yaw:+5"]
    assert choices.class_of_id["move.forward"] == ["", "move.forward"]
    actions = rich_actions(40)
    labels = [attached.encode(action) for action in actions]
    padded = torch.tensor([ids + [0] * (12 - len(ids)) for ids in labels])
    rows = {tuple(row) for row in choices.targets(padded).tolist()}
    assert len(rows) == len({tuple(action.values()) for action in actions})
    null = torch.tensor([attached.encode(RICH.null_action())])
    assert not choices.targets(null).any()
    assert head_of("rich/tool=axe") == "rich/tool"


def test_decisions_are_legal_and_said(tmp_path: Path) -> None:
    """Also in a game of other names and bins, whose further controls are named in the warnings."""
    vocabulary = build_vocabulary([RICH], ["go"], 300)
    sizes = Sizes(frame_height=40, frame_width=48, max_text_tokens=8)
    model = CnnGru(sizes, vocabulary.text_size, sum(ActionHeads(vocabulary).sizes))
    save(tmp_path / "rich", model.state_dict(), make_header(sizes, (RICH,), vocabulary, {}))
    policy = BaselinePolicy.load(tmp_path / "rich", temperature=2.0)
    players = [policy.attach(RICH, seed=1), policy.attach(SPEC, seed=2)]
    assert [bool(player.warnings) for player in players] == [False, True]
    random = np.random.default_rng(0)
    for _ in range(30):
        frames = [random.integers(0, 255, p.spec.frame.shape).astype(np.uint8) for p in players]
        requests = [PolicyRequest(p, f, "go") for p, f in zip(players, frames, strict=True)]
        for player, decision in zip(players, policy.act(requests), strict=True):
            assert player.spec.normalize(decision.action) == decision.action
            assert decision.words == player.spec.to_words(decision.action)
            assert 0 < decision.probability <= 1
    assert policy.ask(players[0], "next_action").endswith("%)")
    assert policy.ask(policy.attach(RICH), "next_action") == "nothing seen yet"
    size, dance = FrameSize(height=40, width=50), (Button(name="dance"),)
    odd = GameSpec(id="odd-v0", title="Odd", frame=size, step_hz=20, controls=dance)
    with pytest.raises(PolicyError, match="knows none of the controls"):
        policy.attach(odd)


def test_controls_of_one_meaning_are_pressed_together(tmp_path: Path) -> None:
    vocabulary = build_vocabulary([SPEC], ["go"], 300)
    sizes = Sizes(frame_height=40, frame_width=48, max_text_tokens=8)
    model = CnnGru(sizes, vocabulary.text_size, sum(ActionHeads(vocabulary).sizes))
    save(tmp_path / "plain", model.state_dict(), make_header(sizes, (SPEC,), vocabulary, {}))
    meanings = {"walk": "move.forward", "talk": "use", "open": "use", "jump": "jump"}
    controls = tuple(Button(name=name, meaning=meaning) for name, meaning in meanings.items())
    size, apart = FrameSize(height=40, width=48), (("talk", "jump"),)
    shop = GameSpec(
        id="shop-v0", title="Shop", frame=size, step_hz=20, controls=controls, exclusive=apart
    )
    policy = BaselinePolicy.load(tmp_path / "plain", temperature=1.0)
    player = policy.attach(shop, seed=1)
    assert player.warnings == ("talk has the meaning of open: this model works both as one",)
    frame = np.zeros(size.shape, np.uint8)
    pressed = set()
    for _ in range(40):
        (decision,) = policy.act([PolicyRequest(player, frame, "go")])
        action = decision.action
        assert shop.normalize(action) == action
        pressed.add((action["talk"], action["open"], action["jump"]))
    assert {(0, 0, 0), (1, 1, 0), (0, 0, 1)} <= pressed
    assert (1, 0, 0) not in pressed


def _other_kind(folder: Path) -> None:
    header = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**header, "kind": "mlp"}))


def _other_sizes(folder: Path) -> None:
    header = json.loads((folder / "config.json").read_text())
    header["sizes"]["hidden_dim"] = 128
    (folder / "config.json").write_text(json.dumps(header))


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(_other_kind, "holds no CNN"), (_other_sizes, "does not fit"), (_cut, "is damaged")],
)
def test_what_is_wrong_is_said(
    run: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    baseline = load(run / "best")
    save(tmp_path / "bad", baseline.model.state_dict(), baseline.header)
    spoil(tmp_path / "bad")
    with pytest.raises(CheckpointError, match=message) as caught:
        load(tmp_path / "bad")
    assert len(str(caught.value).splitlines()) == 1


def test_the_command_trains_and_ends_what_cannot_begin(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [
        f'data.episodes=["{data}"]',
        "data.validation=0.3",
        "train.steps=1",
        "train.batch=2",
        "train.validation_windows=2",
    ]
    argv = ["train", "--baseline", "--json", "--run", str(tmp_path / "run")]
    argv += [word for each in settings for word in ("--set", each)]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 1
    assert main([*argv, "--set", "train.steps=3"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 3
    rows = [row["step"] for row in read_log(tmp_path / "run") if row["split"] == "validation"]
    assert rows == [1, 3]  # it went on
    assert main([*argv, "--fresh"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 1
    assert main([word for word in argv if word != "--baseline"]) == 2
    assert "holds a CNN+GRU" in capsys.readouterr().err
    assert main([*argv, "--set", "train.init_from=runs/one"]) == 2
    assert "cannot start from runs/one" in capsys.readouterr().err


def test_the_report_has_its_column(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "report.png"
    argv = ["evaluate", "voxel", "--baseline", str(run / "best"), "--episodes", "1", "--json"]
    argv += ["--tasks", "dig_down", "--conditions", "random", "--workers", "1"]
    argv += ["--data", str(data), "--next-action-episodes", "1", "--plot", str(plot)]
    assert main(argv) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tasks"]["dig_down"]["cnn_gru"]["episodes"] == 1
    assert report["next_action"]["cnn_gru"]["exact"] > report["next_action"]["noop"]["exact"]
    assert success_table(report)[0] == ("task", "CNN+GRU", "random")
    assert plot.exists()
    assert main(["evaluate", "voxel", "--conditions", "cnn_gru"]) == 2
    assert "no condition called 'cnn_gru'" in capsys.readouterr().err


def test_it_is_measured_as_a_checkpoint_too(run: Path) -> None:
    assert isinstance(load_policy(run / "best", 0.0, False), BaselinePolicy)


def test_an_instruction_beyond_the_room_is_logged_once(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy = BaselinePolicy.load(run / "best", temperature=0.0)
    player = policy.attach(SPEC, seed=0)
    frame = np.zeros((*SPEC.frame.shape[:2], 3), np.uint8)
    for words in ("hit", "hit " * 400, "hit " * 400):
        policy.act([PolicyRequest(player, frame, words)])
    (line,) = caplog.messages
    assert "a model reads the first" in line
