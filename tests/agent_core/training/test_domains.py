"""The paper's three domains: training from their recipes, captions of clips."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agent_core.__main__ import main
from agent_core.agent import Agent
from agent_core.config import load_config
from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT
from agent_core.weights.checkpoint import load as load_checkpoint
from bridges.policy import PolicyRequest
from games.clips import SPEC as CLIPS
from games.minecraft import SPEC as MINECRAFT
from recorder import clip_frames, open_episodes

RECIPES = Path("agent_core/recipes")
RUNS = sorted(p for p in RECIPES.glob("*.toml") if not p.stem.startswith("table-2"))
"""Recipes of one run; the others compare several."""
SMALL = [
    "model.width=32", "model.layers=1", "model.heads=4", "model.frame_height=32", "model.frame_width=32",
    "model.pooled_grid=[2,2]", "model.positions=1024", "model.mae_blocks=1", "model.mae_heads=4",
    "model.text_vocab_size=320", "model.padded_vocab_size=0", "data.validation=0", "train.batch=8",
    "train.accumulate=2", "train.warmup_steps=1", "train.validation_windows=32", "train.validation_windows=16",
]  # fmt: skip
SHADES = {"the patient sleeps": 40, "the patient sits up": 220}


def overriding(*settings: str) -> list[str]:
    return [word for setting in (*SMALL, *settings) for word in ("--set", setting)]


def arm(root: Path, width: int) -> Path:
    """Two demonstrations of a robot as LeRobot v3.0 keeps them, pictures inside the data; the last number is time."""
    for folder in ("data/chunk-000", "meta/episodes/chunk-000"):
        (root / folder).mkdir(parents=True)
    features = {
        "observation.image": {"dtype": "image", "shape": [40, 40, 3], "names": None},
        "action": {"dtype": "float32", "shape": [width + 1], "names": None},
    }
    info = {"codebase_version": "v3.0", "fps": 5, "features": features}
    (root / "meta/info.json").write_text(json.dumps(info))
    shades = [np.full((40, 40, 3), 40 * t, np.uint8) for t in range(6)]
    files = [cv2.imencode(".png", shade)[1].tobytes() for shade in shades]
    steps = [
        {
            "episode_index": episode,
            "task_index": 0,
            "action": [0.05] * width + [float(6 * episode + t)],
            "observation.image": {"bytes": files[t], "path": f"{t}.png"},
        }
        for episode in range(2)
        for t in range(6)
    ]
    where = {"data/chunk_index": 0, "data/file_index": 0, "length": 6}
    for path, table in (
        ("data/chunk-000/file-000.parquet", pa.Table.from_pylist(steps)),
        ("meta/tasks.parquet", pa.table({"task_index": [0], "task": ["push the star"]})),
        (
            "meta/episodes/chunk-000/file-000.parquet",
            pa.Table.from_pylist([{"episode_index": episode, **where} for episode in range(2)]),
        ),
    ):
        pq.write_table(table, root / path)
    return root


def film(path: Path, *greys: int, rate: int = 4) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for grey in greys:
            picture = np.full((64, 64, 3), grey, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def play(folder: Path, name: str) -> None:
    """A contractor's recording of Minecraft: who stands in the dark turns right, who sees light walks and digs."""
    film(folder / f"{name}.mp4", *(40, 40, 40, 220, 220, 220) * 4, rate=20)
    dark = {"dx": 60, "dy": 0, "buttons": [], "newButtons": []}
    light = {"dx": 0, "dy": 0, "buttons": [0], "newButtons": []}
    with (folder / f"{name}.jsonl").open("w") as lines:
        for t in range(24):
            bright = t % 6 > 2
            mouse = {"x": 0, "y": 0, **(light if bright else dark)}
            keys = {"keys": ["key.keyboard.w"] * bright}
            clocks = {"tick": t, "milli": 1000 * int(name[-6:]) + 50 * t}
            row = {"mouse": mouse, "keyboard": keys, "hotbar": 0, "isGuiOpen": False, **clocks}
            lines.write(json.dumps(row) + "\n")


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_large_models_are_seldom_saved_and_scored(path: Path) -> None:
    """State of the paper's sizes is 4.4 GB, and their validation takes minutes."""
    config = load_config(path)
    if config.model.is_vit_opt:
        assert min(config.train.validate_every_s, config.train.save_every_s) >= 1800
    else:
        assert config.train.validate_every_s <= 300


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_every_recipe_is_a_run(path: Path) -> None:
    config = load_config(path, [])
    assert config.data.episodes or path.stem == "own-game"  # which `--game` names
    assert config.train.steps or config.train.minutes
    assert path.read_text().startswith("#")


def test_minecraft_trains_from_its_recipes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, data = tmp_path / "contractors", tmp_path / "minecraft"
    source.mkdir()
    for name in ("setter-02e4-20220421-092639", "setter-02e4-20220421-093126"):
        play(source, name)
    door = ["episodes", "import", str(source), "--game", "minecraft", "--out", str(data), "--json"]
    assert main(door) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["added"], report["episodes"], report["dropped"], report["skipped"]) == (
        2,
        2,
        0,
        [],
    )
    assert main(["episodes", "validate", str(data), "--json"]) == 0
    assert [row["problems"] for row in json.loads(capsys.readouterr().out)] == [[], []]

    settings = (
        f"data.episodes={json.dumps([str(data)])}", "data.window_frames=3", "train.accumulate=1", "train.ema_decay=0.9",
        "train.validate_every_s=1e9", "train.save_every_s=1e9",
        "train.device=cpu", "train.log_every=5",
    )  # fmt: skip
    losses, before = {}, ""
    for name, steps, rate in (("paper-scratch", 40, 1e-2), ("paper-finetune", 20, 4e-3)):
        begin = (
            f"train.init_from={json.dumps(before)}",
            f"train.steps={steps}",
            f"train.lr={rate}",
        )
        options = overriding(*settings, *begin)
        recipe, run = str(RECIPES / f"{name}.toml"), tmp_path / name
        assert main(["train", recipe, "--run", str(run), *options]) == 0
        rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        losses[name] = [row["action_nats_per_token"] for row in rows if row["split"] == "train"]
        before = str(run / "last")
    scratch, tuned = losses.values()
    assert scratch[-1] < scratch[0] / 2
    assert tuned[-1] < tuned[0] < scratch[0] / 2

    agent = Agent.load(tmp_path / "paper-finetune" / "last", temperature=0)
    for grey, done in ((220, "walk forward, attack"), (40, "turn right 9°")):
        frame = np.full(MINECRAFT.frame.shape, grey, np.uint8)
        (decision,) = agent.act([PolicyRequest(agent.attach(MINECRAFT), frame, "")])
        assert MINECRAFT.normalize(decision.action) == decision.action
        assert decision.words == done


def test_what_cannot_be_imported_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["episodes", "import", "--help"])
    assert "NAME.mp4 beside NAME.jsonl" in " ".join(capsys.readouterr().out.split())
    out = str(tmp_path / "out")
    assert main(["episodes", "import", str(tmp_path), "--out", out]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path} holds nothing to import: no captions.jsonl" in error
    (tmp_path / "a.jsonl").write_text("")
    assert main(["episodes", "import", str(tmp_path), "--out", out]) == 1
    assert "a.mp4 beside the other file" in capsys.readouterr().err
    play(tmp_path, "b-000001")
    assert main(["episodes", "import", str(tmp_path), "--game", "calvin", "--out", out]) == 2
    assert "calvin-v0 lacks controls" in capsys.readouterr().err
    assert main(["episodes", "import", str(arm(tmp_path / "arm", 2)), "--out", out]) == 2
    assert "needs --game, such as calvin" in capsys.readouterr().err


def test_robots_train_from_their_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(tmp_path / "data" / name) for name in ("language-table", "calvin")]
    for folder, width in zip(folders, (2, 7), strict=True):
        source, name = str(arm(tmp_path / f"source-{width}", width)), Path(folder).name
        numbers = ["--numbers", *map(str, range(width))]
        assert (
            main(
                ["episodes", "import", source, "--game", name, "--out", folder, "--json", *numbers]
            )
            == 0
        )
        report = json.loads(capsys.readouterr().out)
        assert (report["added"], report["episodes"], report["clipped"]) == (2, 2, 0)
        assert main(["episodes", "show", folder, "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert ["finish" in row["action"] for row in shown] == [False, True] * 2
    where = f"data.episodes={json.dumps(folders)}"
    options = overriding(where, "train.steps=3", "train.device=cpu")
    run = tmp_path / "run"
    assert (
        main(["train", str(RECIPES / "robotics.toml"), "--run", str(run), "--json", *options]) == 0
    )
    assert json.loads(capsys.readouterr().out)["steps"] == 3
    header = json.loads((run / "last" / "config.json").read_text())
    assert {spec["id"] for spec in header["specs"]} == {"language-table-v0", "calvin-v0"}
    assert "episode.end" in header["meanings"]


def test_a_captioner_says_what_it_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = "what is the patient doing?"
    with (tmp_path / "captions.jsonl").open("w") as lines:
        for k, (text, grey) in enumerate(SHADES.items()):
            film(tmp_path / f"{k}.mp4", *[grey] * 12)
            lines.write(
                json.dumps({"video": f"{k}.mp4", "question": question, "text": text}) + "\n"
            )
    clips = tmp_path / "clips"
    assert main(["episodes", "import", str(tmp_path), "--out", str(clips), "--json"]) == 0
    assert len(open_episodes(clips)) == 2
    options = overriding(
        f"data.episodes={json.dumps([str(clips)])}", "train.steps=120", "train.lr=5e-3", "train.accumulate=1",
        "train.device=cpu", "train.ema_decay=0.9", "data.window_frames=2", "loss.mae=0",
        "train.validate_every_s=1e9", "train.save_every_s=1e9",
    )  # fmt: skip
    run = tmp_path / "run"
    assert main(["train", str(RECIPES / "captions.toml"), "--run", str(run), *options]) == 0
    for k, text in enumerate(SHADES):
        capsys.readouterr()
        video = str(tmp_path / f"{k}.mp4")
        asked = ["--checkpoint", str(run / "last"), "--question", question]
        assert main(["describe", video, *asked]) == 0
        assert capsys.readouterr().out.strip() == text
    report = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert all(
        row.get("action_nats_per_token", 0) == 0 for row in report
    )  # there is no action to learn
    assert not any("exact_match" in row for row in report)
    best = load_checkpoint(run / "best").header.metadata["validation"]
    assert set(best) == {"language"}

    agent = Agent.load(run / "last", temperature=0)
    player = agent.attach(CLIPS)
    for frame in clip_frames(tmp_path / "1.mp4", CLIPS):
        (decision,) = agent.act([PolicyRequest(player, frame, question)])
    assert decision.action == {}
    assert agent.ask(player, "caption") == list(SHADES)[1]

    capsys.readouterr()
    assert main(["describe", video, "--checkpoint", str(DEFAULT_CHECKPOINT)]) == 2
    assert "never learned to describe clips" in capsys.readouterr().err
