"""Commands that inspect games, models and this machine: games, check, bench, describe, doctor."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent_core.cli.arguments import (
    CHECKPOINT_HELP,
    GAME_HELP,
    add_command,
    non_negative_int,
    non_negative_number,
    positive_int,
    positive_number,
    seed,
    words,
)
from agent_core.cli.output import answer, fields, plain, remark, say, table
from agent_core.presets import PRESETS

PRESET_NAMES = tuple(PRESETS)


def add(commands: Any) -> None:
    """Add the subcommands."""
    _add_games(commands)
    _add_check(commands)
    _add_bench(commands)
    _add_describe(commands)
    _add_doctor(commands)


def _add_games(commands: Any) -> None:
    games = add_command(
        commands,
        "games",
        "list the games, or show one game's controls",
        run_games,
        "iafm games\niafm games voxel\niafm games my_game:GAME",
    )
    games.add_argument("game", nargs="?", help=GAME_HELP)
    games.add_argument("--json", action="store_true", help="print them as JSON")


def _add_check(commands: Any) -> None:
    check = add_command(
        commands,
        "check",
        "check that an environment keeps the contract",
        run_check,
        "iafm check my_game:GAME",
    )
    check.add_argument("game", help=GAME_HELP)
    check.add_argument("--json", action="store_true", help="print the problems as JSON")


def _add_bench(commands: Any) -> None:
    bench = add_command(
        commands,
        "bench",
        "measure speed on this machine, or what crashes and hostile peers cost",
        run_bench,
        "iafm bench infer --threads 2\niafm bench infer --preset paper --threads 2 --precision int8\n"
        "iafm bench play --pace-hz 20\niafm bench serve --clients 8 --hz 20 --model-ms 40\n"
        "iafm bench hostile --seconds 120\niafm bench crash --kills 50",
    )
    bench.add_argument(
        "what",
        choices=(
            "play",
            "infer",
            "train",
            "env",
            "serve",
            "hostile",
            "episodes",
            "crash",
            "cuts",
            "minecraft",
        ),
        help="play: a game over the wire; infer: the model alone; train: its training; env: the game alone; "
        "serve: many games on one server; hostile: hostile peers beside a game; episodes: memory and time of "
        "validation, export and import; crash: what recordings and imports lose when they are killed, or run into a "
        "full disk; cuts: sessions whose connection is cut again and again; minecraft: a live player on the embedded "
        "server",
    )
    bench.add_argument("--seconds", type=positive_number, default=20.0, help="how long to measure")
    bench.add_argument("--game", default="voxel", help=f"env: {GAME_HELP}")
    bench.add_argument(
        "--threads", type=positive_int, default=1, help="cores that server, model and game share"
    )
    bench.add_argument(
        "--pace-hz", type=positive_number, help="play: in real time at this pace, not flat out"
    )
    bench.add_argument(
        "--minutes", type=positive_number, default=5.0, help="episodes: length of the play"
    )
    bench.add_argument(
        "--cuts", type=positive_int, default=200, help="cuts: how many; half as many in a recording"
    )
    _add_bench_server(bench)
    _add_bench_model(bench)
    _add_bench_crash(bench)
    bench.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_bench_crash(bench: argparse.ArgumentParser) -> None:
    bench.add_argument(
        "--kills", type=positive_int, default=50, help="crash: rounds with a kill -9"
    )
    bench.add_argument(
        "--seed",
        type=seed,
        help="crash: of the first round (default: drawn); hostile: of the peers (default: 0)",
    )
    bench.add_argument(
        "--scenarios",
        nargs="+",
        choices=("kill", "disk", "sigstop", "encoder", "signal", "import"),
        help="crash: only these (default: all)",
    )


def _add_bench_server(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("--clients", type=positive_int, default=8, help="serve: games at once")
    bench.add_argument(
        "--hz", type=positive_number, default=20.0, help="serve: pictures a second of each game"
    )
    bench.add_argument(
        "--model-ms",
        type=non_negative_number,
        default=40.0,
        help="serve, hostile: time of a pass of the stub that stands for the model",
    )
    bench.add_argument(
        "--watchers",
        type=non_negative_int,
        default=0,
        help="serve: also a 720p game with and without so many consoles",
    )


def _add_bench_model(bench: argparse.ArgumentParser) -> None:
    bench.add_argument(
        "--sessions",
        type=positive_int,
        default=1,
        help="infer: players in one batch, and one after the other",
    )
    bench.add_argument(
        "--alternatives",
        type=non_negative_int,
        default=0,
        help="infer: actions scored beside each one sampled (`iafm serve` scores 3 to show them)",
    )
    bench.add_argument(
        "--preset", choices=PRESET_NAMES, help="infer, train: these sizes with random weights"
    )
    bench.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "float32", "bfloat16", "int8"),
        help="infer: auto is what `iafm serve` takes; train (no int8): auto is bfloat16 on a GPU, else float32",
    )
    bench.add_argument(
        "--batch",
        type=positive_int,
        help="train: windows in a step (default: 48 of tiny, 2 of larger presets); "
        "they have 9 frames in the paper's presets, 6 in others",
    )
    bench.add_argument(
        "--config",
        type=Path,
        action="append",
        help="train: instead of a preset, a run's TOML file with its own batch; name several to compare them in turns",
    )
    bench.add_argument("--device", default="auto", help="infer, train: cpu, cuda")
    bench.add_argument("--compile", action="store_true", help="train: as with train.compile")
    bench.add_argument(
        "--against-transformers",
        action="store_true",
        help="infer: the same sizes, frames and tokens through CLIP and OPT of transformers, in the same run",
    )
    bench.add_argument("--checkpoint", type=Path, help=f"play, infer: {CHECKPOINT_HELP}")


def _add_describe(commands: Any) -> None:
    describe = add_command(
        commands,
        "describe",
        "say what a video shows, or its label",
        run_describe,
        'iafm describe clip.mp4 --checkpoint runs/captions/best --question "what is the patient doing?"',
    )
    describe.add_argument("video", type=Path, help="a video file")
    describe.add_argument("--checkpoint", required=True, help="one trained on captions")
    describe.add_argument("--question", type=words, default="", help="as asked in training")
    describe.add_argument("--json", action="store_true", help="print the answer as JSON")


def _add_doctor(commands: Any) -> None:
    doctor = add_command(
        commands, "doctor", "look for what is wrong with this installation", run_doctor
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")


def run_games(args: argparse.Namespace) -> int:
    from games.registry import load, names

    if args.game:
        spec = load(args.game).spec
        rows = [(c.name, c.kind, c.meaning or "–", len(c.tokens)) for c in spec.controls]
        head = ("control", "kind", "meaning", "tokens")
        return answer(spec.model_dump(mode="json"), args.json, lambda: table(head, rows))
    listing = [_game_record(name) for name in names()]
    rows = [
        (g["name"], g["id"], "yes" if g["playable"] else "over a bridge", g["title"])
        for g in listing
    ]
    return answer(listing, args.json, lambda: table(("name", "id", "playable here", "title"), rows))


def _game_record(name: str) -> dict[str, Any]:
    from games.registry import load

    game = load(name)
    spec = game.spec
    return {"name": name, "id": spec.id, "title": spec.title, "playable": game.make is not None}


def run_check(args: argparse.Namespace) -> int:
    from games.check import check_env, check_expert
    from games.registry import load, make

    problems = [*check_env(make(args.game)), *check_expert(load(args.game))]
    rows = [(p.code, p.message, p.hint) for p in problems]

    def show() -> None:
        if rows:
            table(("code", "problem", "hint"), rows)
        else:
            say("no problems")

    answer([asdict(p) for p in problems], args.json, show)
    return 1 if problems else 0


def run_bench(args: argparse.Namespace) -> int:
    if args.what == "crash":
        return _run_bench_crash(args)
    from agent_core.bench import play as bench
    from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT

    checkpoint = args.checkpoint or DEFAULT_CHECKPOINT
    match args.what:
        case "play":
            report = bench.bench_play(checkpoint, args.seconds, args.threads, args.pace_hz)
        case "infer" | "train":
            report = _bench_model(args)
        case "episodes":
            from agent_core.bench.episodes import bench_episodes

            report = bench_episodes(args.minutes)
        case "cuts":
            from agent_core.bench.record_cuts import bench_record_cuts
            from bridges.testing.cuts import bench_cuts

            record = bench_record_cuts((args.cuts + 1) // 2)
            report = {**bench_cuts(args.cuts), "record": record}
        case "serve":
            from agent_core.bench.serve import bench_serve
            from bridges.testing.load_test import LoadPlan

            plan = LoadPlan(clients=args.clients, hz=args.hz, seconds=args.seconds)
            report = bench_serve(plan, args.model_ms, args.watchers)
        case "minecraft":
            report = _bench_minecraft(args.seconds)
        case "hostile":
            from agent_core.bench.hostile import bench_hostile

            report = bench_hostile(args.seconds, args.model_ms, args.seed or 0)
        case _:
            report = bench.bench_env(args.seconds, args.game)
    remark(plain(bench.machine()))
    return answer(report, args.json, lambda: _show_speeds(report))


def _bench_minecraft(seconds: float) -> dict[str, Any]:
    from agent_core.bench.minecraft import bench_minecraft
    from bridges.minecraft.packages import find_requirements
    from bridges.minecraft.tasks import live_spec

    return bench_minecraft(live_spec(), seconds, find_requirements())


def _run_bench_crash(args: argparse.Namespace) -> int:
    from agent_core.bench.crash.report import SCENARIOS, bench_crash
    from agent_core.training.progress_bar import ProgressBar

    with ProgressBar("crashing") as update:
        report = bench_crash(args.kills, args.seed, args.scenarios or SCENARIOS, update)
    return answer(report, args.json, lambda: fields(report)) or int(bool(report["failed"]))


def _show_speeds(report: dict[str, Any]) -> None:
    """A row a figure; where transformers was measured too, a row a route."""
    if "configs" in report:
        return _show_configs(report["configs"])
    if "routes" not in report:
        return fields(report)
    routes = [
        ("iafm", report["engine"]),
        ("iafm, the same layers", report["engine_of_the_same_layers"]),
        *((route["route"], route) for route in report["routes"]),
    ]
    head = (
        "route",
        "precision",
        "p50 ms",
        "p95 ms",
        "actions/s",
        "iafm faster by",
        "same layers by",
    )
    return table(head, [_speed_row(name, figures) for name, figures in routes])


def _show_configs(configs: dict[str, Any]) -> None:
    columns = ("batch", "window_frames", "windows_per_s", "frames_per_s", "frames_per_s_ratio")
    rows = [(name, *(of[column] for column in columns)) for name, of in configs.items()]
    return table(("config", *(column.replace("_", " ") for column in columns)), rows)


def _speed_row(name: str, figures: dict[str, Any]) -> tuple[object, ...]:
    return (
        name,
        figures["precision"],
        *figures["ms"].values(),
        figures["actions_per_s"],
        figures.get("engine_is_faster_by", "–"),
        figures.get("engine_of_the_same_layers_by", "–"),
    )


def _bench_model(args: argparse.Namespace) -> dict[str, Any]:
    from agent_core.bench import infer
    from agent_core.bench.train import bench_train, compare_training
    from agent_core.config import load_config
    from agent_core.cpu.capability import require
    from agent_core.device import pick_device
    from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT

    preset = args.preset or "tiny"
    options = infer.BenchOptions(
        args.seconds, args.threads, args.precision, args.device, args.alternatives
    )
    if args.what == "train" and args.config:
        configs = {str(path): load_config(path) for path in args.config}
        return compare_training(configs, options, batch=args.batch or 0)
    if args.what == "train":
        return bench_train(preset, options, batch=args.batch or 0, compiled=args.compile)
    require(args.precision, pick_device(args.device))
    if args.against_transformers:
        return infer.compare(preset, options)
    checkpoint = args.checkpoint or DEFAULT_CHECKPOINT
    subject = infer.random_checkpoint(args.preset) if args.preset else checkpoint
    return infer.bench_infer(subject, options, args.sessions)


def run_describe(args: argparse.Namespace) -> int:
    from agent_core.evaluation.captioning import describe
    from games.registry import load

    text = describe(args.video, args.checkpoint, args.question, load("clips").spec)
    report = {"video": str(args.video), "question": args.question, "text": text}
    return answer(report, args.json, lambda: say(text))


def run_doctor(args: argparse.Namespace) -> int:
    from agent_core.cli.doctor import examine

    findings = examine()
    rows = [("ok" if f.ok else "PROBLEM", f.check, f.detail) for f in findings]
    answer(
        [asdict(f) for f in findings],
        args.json,
        lambda: table(("", "check", "finding"), rows),
    )
    return 0 if all(f.ok for f in findings) else 1
