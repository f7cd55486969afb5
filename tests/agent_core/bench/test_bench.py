"""Tests of the benchmarks' setup and reports; the measured figures decide nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from agent_core.__main__ import main
from agent_core.bench.ceilings import gemm_dtype, gemm_gflops, read_gb_s
from agent_core.bench.infer import STEPS, BenchOptions, bench_infer, expert_trace
from agent_core.bench.train import bench_train
from agent_core.cpu.capability import Precision, Processor, fastest
from agent_core.engine.sampling import ActionSampler
from agent_core.engine.session import ActionTokens, Session
from agent_core.errors import ConfigError
from agent_core.presets import PRESETS
from agent_core.tokens.action_codec import ActionCodec
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT, load
from games.voxel import SPEC

pytestmark = pytest.mark.processor
CPU = torch.device("cpu")
MULTIPLIES_BFLOAT16 = Processor(
    "AVX512", has_bfloat16=True, has_onednn=True, onednn_has_bfloat16=True
)


def test_the_engine_gives_the_experts_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = ActionCodec(SPEC, load(DEFAULT_CHECKPOINT).vocabulary)
    expert = {tuple(codec.encode(action)[1:-1]) for action in expert_trace().actions}
    executed = []
    original = ActionSampler.draft

    def draft(self: ActionSampler, session: Session, *actions: list[list[int]]) -> ActionTokens:
        executed.append(session.last_actions[0])
        return original(self, session, *actions)

    monkeypatch.setattr(ActionSampler, "draft", draft)
    options = BenchOptions(seconds=0.1, threads=torch.get_num_threads(), num_candidates=2)
    report = bench_infer(DEFAULT_CHECKPOINT, options, sessions=2)
    assert report["alternatives"] == 2
    assert report["sessions"] == 2
    rate = report["actions_per_s"]
    gain = rate / report["sequential_actions_per_s"]
    assert report["batching_gain"] == pytest.approx(gain, rel=0.05, abs=0.01)
    tower_and_decoder = 4e-6 * 900_000
    assert tower_and_decoder < report["least_read_mb"] < 4 * tower_and_decoder
    share = rate * report["gflop_per_action"] / report["gemm_gflops"]
    assert report["share_of_gemm"] == pytest.approx(share, rel=0.05, abs=0.01)
    share = rate / 2 * report["least_read_mb"] / 1000 / report["read_gb_s"]
    assert report["share_of_bandwidth"] == pytest.approx(share, rel=0.05, abs=0.01)
    assert {tokens for tokens in executed if tokens} <= expert
    assert len(set(executed)) > 3
    assert len(expert_trace().actions) == STEPS


@pytest.mark.parametrize(
    ("precision", "processor", "dtype"),
    [
        ("float32", Processor("AVX512", has_bfloat16=True), torch.float32),
        ("bfloat16", MULTIPLIES_BFLOAT16, torch.bfloat16),
        ("int8", MULTIPLIES_BFLOAT16, torch.bfloat16),
        ("bfloat16", Processor("AVX2", has_onednn=True), torch.float32),
        ("int8", Processor("AVX2", has_onednn=True, has_fbgemm=True), torch.float32),
        ("bfloat16", Processor("AVX512", onednn_has_bfloat16=True), torch.float32),
    ],
)
def test_no_ceiling_is_measured_in_numbers_that_a_processor_emulates(
    precision: Precision, processor: Processor, dtype: torch.dtype
) -> None:
    assert gemm_dtype(precision, CPU, processor) == dtype


def test_auto_is_what_a_server_takes() -> None:
    options = BenchOptions(seconds=0.01, threads=torch.get_num_threads(), device="cpu")
    report = bench_infer(DEFAULT_CHECKPOINT, options)
    assert (
        report["precision"]
        == fastest(CPU, load(DEFAULT_CHECKPOINT).header.model.width)
        == "float32"
    )
    assert report["gemm_precision"] == "float32"


def test_training_knows_no_whole_numbers() -> None:
    with pytest.raises(ConfigError, match="int8 is for play"):
        bench_train("tiny", BenchOptions(0.01, precision="int8"))


def test_training_is_timed_on_whole_steps() -> None:
    report = bench_train("tiny", BenchOptions(0.01, torch.get_num_threads()), batch=2)
    assert (report["batch"], report["window_frames"]) == (2, 6)
    assert report["frames_per_s"] == pytest.approx(6 * report["windows_per_s"], rel=0.1)
    assert report["windows_per_s"] > 0
    assert report["tflops"] > 0


def test_configurations_are_trained_in_turns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One without patches and thoughts, whose windows are shorter."""
    small = "[model]\nwidth = 16\nlayers = 1\nheads = 2\nframe_height = 24\nframe_width = 32\n"
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text(small + "[train]\nbatch = 2\n")
    plain = "[data]\nthoughts = false\nwindow_frames = 2\nsingle_frame_prob = 0.75\n"
    no_patches = "[loss]\nmae_clip_fraction = 0\n"
    few_tokens = "max_action_tokens = 3\nmax_text_tokens = 8\n"
    second.write_text(small + few_tokens + plain + no_patches + "[train]\nbatch = 4\n")
    options = ["--seconds", "0.03", "--device", "cpu", "--json"]
    options += ["--threads", str(torch.get_num_threads())]
    configs = ["--config", str(first), "--config", str(second)]
    assert main(["bench", "train", *configs, *options]) == 0
    report = json.loads(capsys.readouterr().out)["configs"]
    assert {name: (of["batch"], of["window_frames"]) for name, of in report.items()} == {
        str(first): (2, 6),
        str(second): (4, 2),
    }
    of_second = report[str(second)]
    frames_a_window = of_second["frames_per_s"] / of_second["windows_per_s"]
    assert frames_a_window == pytest.approx(1.25, rel=0.1)
    assert report[str(first)]["frames_per_s_ratio"] == 1
    rates = [of["frames_per_s"] for of in report.values()]
    ratio = report[str(second)]["frames_per_s_ratio"]
    assert ratio == pytest.approx(rates[1] / rates[0], rel=0.1)


SMALL_PAPER = {
    "backbone": "paper", "text_conditioning": False,
    "width": 32, "layers": 1, "heads": 2, "frame_height": 32, "frame_width": 32,
    "pooled_grid": (2, 2), "temporal_attention": True, "context_frames": 9, "max_text_tokens": 32,
    "max_thought_tokens": 27, "max_action_tokens": 27, "mae_blocks": 1, "mae_heads": 2,
}  # fmt: skip


def test_the_papers_windows_have_its_nine_frames(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PRESETS, "paper", SMALL_PAPER)
    arguments = [
        "--preset",
        "paper",
        "--batch",
        "3",
        "--seconds",
        "0.01",
        "--device",
        "cpu",
        "--json",
    ]
    threads = ["--threads", str(torch.get_num_threads())]
    assert main(["bench", "train", *arguments, *threads]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["batch"], report["window_frames"]) == (3, 9)
    assert report["precision"] == "float32"
    assert main(["bench", "train", *arguments, *threads, "--precision", "bfloat16"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "bfloat16"


def test_a_step_without_windows_is_refused() -> None:
    with pytest.raises(ConfigError, match="got --batch -1"):
        bench_train("tiny", BenchOptions(0.01), batch=-1)


@pytest.mark.gpu
def test_a_gpu_trains_in_bfloat16_where_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--device", "cuda", "--batch", "4", "--seconds", "0.1", "--json"]
    assert main(["bench", "train", *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["device"].startswith("cuda")
    assert (report["precision"], report["batch"]) == ("bfloat16", 4)
    assert report["windows_per_s"] > 0
    assert report["peak_memory_mb"] > 0


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_plays_what_it_is_said_to_play(precision: Precision) -> None:
    options = BenchOptions(0.1, torch.get_num_threads(), precision, "cuda")
    report = bench_infer(DEFAULT_CHECKPOINT, options, sessions=2)
    assert report["device"].startswith("cuda")
    assert report["precision"] == precision
    assert report["actions_per_s"] > 0
    assert report["share_of_bandwidth"] > 0


def test_a_ceiling_is_measured_however_little_time_there_is() -> None:
    assert gemm_gflops(torch.float32, CPU, seconds=0) > 0
    assert read_gb_s(CPU, seconds=0) > 0
