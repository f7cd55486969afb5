"""games, check, bench, describe, doctor: what is there, is it right, and how fast is it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent_core.cli.output import answer, err, out
from agent_core.config import PRESETS
from bridges.testing.load_test import batching_load
from games.registry import load, make, names

PRESET_NAMES = tuple(PRESETS)


def add(commands: Any) -> None:
    """Add the subcommands."""
    games = commands.add_parser("games", help="list the games, or show one game's controls")
    games.add_argument("game", nargs="?", help="a name, an id or module:NAME")
    games.add_argument("--json", action="store_true")
    games.set_defaults(handler=run_games)

    check = commands.add_parser("check", help="check that an environment keeps the contract")
    check.add_argument("game", help="a name or module:NAME of a games.Game")
    check.add_argument("--json", action="store_true")
    check.set_defaults(handler=run_check)

    bench = commands.add_parser("bench", help="measure speed on this machine")
    bench.add_argument(
        "what",
        choices=("play", "infer", "train", "env", "wire"),
        help="play over the wire, the model alone, its training, the game, many players on one server",
    )
    bench.add_argument("--seconds", type=float, default=20.0)
    bench.add_argument(
        "--threads", type=int, default=1, help="cores that server, model and game share"
    )
    bench.add_argument(
        "--pace-hz", type=float, help="play: in real time at this pace instead of flat out"
    )
    bench.add_argument(
        "--sessions",
        type=int,
        default=1,
        help="infer: players in one batch, and one after the other",
    )
    bench.add_argument(
        "--alternatives",
        type=int,
        default=0,
        help="infer: actions weighed beside each one drawn (`iafm serve` weighs 3 to show them)",
    )
    bench.add_argument(
        "--preset", choices=PRESET_NAMES, help="infer, train: these sizes with random weights"
    )
    bench.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "int8"),
        help="infer: float32 where not given; train (no int8): bfloat16 on a GPU, else float32",
    )
    bench.add_argument(
        "--batch",
        type=int,
        default=0,
        help="train: windows in a step (default: 48 of tiny, 2 of larger presets); "
        "they have 9 frames in the paper's presets, 6 in others",
    )
    bench.add_argument("--device", default="auto", help="infer, train: cpu, cuda")
    bench.add_argument("--compile", action="store_true", help="train: as with train.compile")
    bench.add_argument(
        "--against-transformers",
        action="store_true",
        help="infer: the same sizes, frames and tokens through CLIP and OPT of transformers, in the same run",
    )
    bench.add_argument("--checkpoint", type=Path, help="folder (default: the shipped one)")
    bench.add_argument("--json", action="store_true")
    bench.set_defaults(handler=run_bench)

    describe = commands.add_parser("describe", help="say what a video shows, or its label")
    describe.add_argument("video", type=Path)
    describe.add_argument("--checkpoint", required=True, help="one trained on captions")
    describe.add_argument("--question", default="", help="as asked in training")
    describe.add_argument("--json", action="store_true")
    describe.set_defaults(handler=run_describe)

    doctor = commands.add_parser("doctor", help="look for what is wrong with this installation")
    doctor.add_argument("--json", action="store_true")
    doctor.set_defaults(handler=run_doctor)


def run_games(args: argparse.Namespace) -> int:
    if args.game:
        spec = load(args.game).spec
        rows = [(c.name, c.kind, c.meaning or "-", len(c.tokens)) for c in spec.controls]
        return answer(
            spec.model_dump(),
            args.json,
            lambda: _table(("control", "kind", "meaning", "tokens"), rows),
        )
    found = [(name, load(name)) for name in names()]
    listing = [
        {"name": n, "id": g.spec.id, "title": g.spec.title, "playable": g.make is not None}
        for n, g in found
    ]
    lines = [(n, g.spec.id, "yes" if g.make else "over a bridge", g.spec.title) for n, g in found]
    head = ("name", "id", "playable here", "title")
    return answer(listing, args.json, lambda: _table(head, lines))


def run_check(args: argparse.Namespace) -> int:
    from games.check import check_env, check_expert

    problems = [*check_env(make(args.game)), *check_expert(load(args.game))]
    rows = [(p.code, p.message, p.hint) for p in problems]
    shown = [asdict(p) for p in problems]
    answer(
        shown,
        args.json,
        lambda: _table(("code", "problem", "hint"), rows) if rows else out.print("no problems"),
    )
    return 1 if problems else 0


def run_bench(args: argparse.Namespace) -> int:
    from agent_core.bench import play as bench
    from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT

    checkpoint = args.checkpoint or DEFAULT_CHECKPOINT
    match args.what:
        case "play":
            report = bench.bench_play(checkpoint, args.seconds, args.threads, args.pace_hz)
        case "infer" | "train":
            report = _bench_model(args)
        case "wire":
            report = asdict(batching_load(seconds=args.seconds))
        case _:
            report = bench.bench_env(args.seconds)
    err.print(bench.machine())
    return answer(report, args.json, lambda: _speeds(report))


def _speeds(report: dict[str, Any]) -> None:
    """What was measured line by line; where several ways were, the ways side by side."""
    if "routes" not in report:
        _table(("", "measured"), list(report.items()))
        return
    ways = [
        ("iafm", report["engine"]),
        ("iafm, the same layers", report["engine_of_the_same_layers"]),
    ]
    ways += [(route["route"], route) for route in report["routes"]]
    rows = [
        (
            name,
            way["precision"],
            *way["ms"].values(),
            way["actions_per_s"],
            way.get("engine_is_faster_by", "-"),
            way.get("engine_of_the_same_layers_by", "-"),
        )
        for name, way in ways
    ]
    _table(
        ("way", "precision", "p50 ms", "p95 ms", "actions/s", "iafm faster by", "same layers by"),
        rows,
    )


def _bench_model(args: argparse.Namespace) -> dict[str, Any]:
    from agent_core.bench import infer as b
    from agent_core.bench.train import bench_train, usual_precision
    from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT

    preset = args.preset or "tiny"
    usual = usual_precision(args.device) if args.what == "train" else "float32"
    precision = args.precision or usual
    timing = b.BenchOptions(args.seconds, args.threads, precision, args.device, args.alternatives)
    if args.what == "train":
        return bench_train(preset, timing, batch=args.batch, compiled=args.compile)
    subject = (
        b.random_checkpoint(args.preset) if args.preset else args.checkpoint or DEFAULT_CHECKPOINT
    )
    if args.against_transformers:
        return b.compare(preset, timing)
    return b.bench_infer(subject, timing, args.sessions)


def run_describe(args: argparse.Namespace) -> int:
    from agent_core.evaluation.captioning import describe

    said = describe(args.video, args.checkpoint, args.question, load("clips").spec)
    report = {"video": str(args.video), "question": args.question, "text": said}
    return answer(report, args.json, lambda: out.print(said))


def run_doctor(args: argparse.Namespace) -> int:
    from agent_core.cli.doctor import examine

    findings = examine()
    rows = [("ok" if f.ok else "PROBLEM", f.check, f.detail) for f in findings]
    answer([asdict(f) for f in findings], args.json, lambda: _table(("", "check", "found"), rows))
    return 0 if all(f.ok for f in findings) else 1


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.table import Table

    grid = Table(*head)
    for row in rows:
        grid.add_row(*[str(cell) for cell in row])
    out.print(grid)
