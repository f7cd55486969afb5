"""Record command: play as episodes, a person's or the scripted expert's."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agent_core.cli import minecraft
from agent_core.cli.arguments import (
    UsageError,
    add_command,
    game_argument,
    game_at_port,
    non_negative_number,
    positive_int,
    probability,
    seed,
    words,
    writable_folder,
)
from agent_core.cli.output import answer, fields, remark
from agent_core.training.progress_bar import ProgressBar


def add(commands: Any) -> None:
    """Add the subcommand."""
    record = add_command(
        commands,
        "record",
        "record play as episodes: your own in any game's window, or the scripted expert's",
        run_record,
        "iafm record voxel --author you --tasks chop_tree dig_down --episodes 10\n"
        "iafm record frozen-lake --controls my-keys.toml\n"
        "iafm record voxel --agent runs/voxel/best      the agent plays until you press a key; Tab: it goes on\n"
        "iafm record voxel --expert --episodes 1100 --out data/voxel",
    )
    game_argument(record)
    record.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder (default: data/ and the game's name)"
    )
    record.add_argument(
        "--expert", action="store_true", help="the scripted expert plays instead of you"
    )
    record.add_argument(
        "--episodes",
        type=positive_int,
        help="how many to keep (default: yours, until you close the window; the expert's, 100)",
    )
    record.add_argument("--workers", type=positive_int, help="processes of the expert (default: 2)")
    record.add_argument(
        "--seed",
        type=seed,
        help="first world; others are skipped where recorded (default: the first not recorded)",
    )
    record.add_argument(
        "--noise-prob",
        type=probability,
        help="chance per step that random actions are injected into the expert's (default: 0.02)",
    )
    record.add_argument("--tasks", nargs="+", type=words, help="only these tasks (default: all)")
    record.add_argument(
        "--agent",
        type=Path,
        metavar="CHECKPOINT",
        help="this checkpoint plays until you take over; with --expert: the expert says what was right (DAgger)",
    )
    record.add_argument("--author", type=words, default="", help="your name in the episodes")
    record.add_argument(
        "--controls",
        type=Path,
        metavar="FILE",
        help="TOML file with keys, gamepad and quick tags of your own (F1 shows them; games/human/controls.toml)",
    )
    record.add_argument(
        "--countdown",
        type=non_negative_number,
        metavar="SECONDS",
        help="before each of your episodes (default: 3); Enter skips it",
    )
    minecraft.add_record_options(record)
    record.add_argument("--json", action="store_true", help="print the report as JSON")


def run_record(args: argparse.Namespace) -> int:
    from games.registry import load

    args.game = game_at_port(args)
    _check_record(args)
    out_dir = args.out or Path("data") / load(args.game).spec.name
    _check_folder(out_dir)
    report = _record_expert(args, out_dir) if args.expert else _record_human(args, out_dir)
    return answer(report, args.json, lambda: fields(report)) or int(bool(report.get("failed")))


def _check_record(args: argparse.Namespace) -> None:
    """Raise `UsageError` for an option that means nothing to the one who plays."""
    experts = {"--noise-prob": args.noise_prob, "--workers": args.workers}
    persons = {
        "--author": args.author or None,
        "--controls": args.controls,
        "--countdown": args.countdown,
    }
    unused = persons if args.expert else experts
    for option, value in unused.items():
        if value is not None:
            cure = "leave it or --expert out" if args.expert else "add --expert or leave it out"
            whose = "a person's" if args.expert else "the scripted expert's"
            raise UsageError(f"record: {option} is {whose} option; {cure}")
    if args.agent is not None and args.noise_prob is not None:
        raise UsageError("record: --noise-prob has no effect where --agent plays; leave it out")


def _check_folder(out_dir: Path) -> None:
    from recorder import CaptureError
    from recorder.formats.lerobot.reader import is_dataset

    writable_folder(out_dir)
    if is_dataset(out_dir):
        raise CaptureError(f"{out_dir} is a LeRobot dataset; name a folder for captures with --out")


def _record_human(args: argparse.Namespace, out_dir: Path) -> dict[str, Any]:
    from agent_core.recording.human import HumanPlan, record_human

    plan = HumanPlan(
        out_dir, args.game, args.author, args.seed, args.tasks or (), args.episodes, args.controls,
        3.0 if args.countdown is None else args.countdown,
    )  # fmt: skip
    if args.agent is None:
        return record_human(plan)
    from agent_core.agent import Agent

    return record_human(plan, Agent.load(args.agent, num_candidates=0))


def _record_expert(args: argparse.Namespace, out_dir: Path) -> dict[str, Any]:
    from agent_core.recording.expert import RecordingPlan, record_expert, success_rates

    tasks = tuple(args.tasks or ())
    episodes = 100 if args.episodes is None else args.episodes
    noise_prob = 0.02 if args.noise_prob is None else args.noise_prob
    plan = RecordingPlan(
        out_dir, episodes, args.seed or 0, noise_prob, tasks, args.agent, game=args.game
    )
    with ProgressBar("recording") as update:
        recorded = record_expert(
            plan,
            args.workers or 2,
            lambda done, steps: update(done, episodes, f"{steps:,} steps"),
        )
    failed = [episode for episode in recorded if episode.error]
    for episode in failed:
        remark(f"seed {episode.seed}, task {episode.task}: {episode.error}")
    return {
        "episodes": len(recorded) - len(failed),
        "failed": len(failed),
        "steps": sum(episode.steps for episode in recorded),
        "success": success_rates(recorded),
        "out": str(out_dir),
    }
