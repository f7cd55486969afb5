"""record, episodes, train, evaluate: from play to a checkpoint and its report."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from agent_core.cli.output import answer, err, out, progress
from games import UnplayableError
from games.registry import load
from recorder import ActionColumns


def add(commands: Any) -> None:
    """Add the subcommands."""
    record = commands.add_parser(
        "record", help="record play as episodes: your own, or the scripted expert's"
    )
    record.add_argument("game", nargs="?", default="voxel")
    record.add_argument("--out", type=Path, help="folder (default: data/ and the game's name)")
    record.add_argument(
        "--expert", action="store_true", help="the scripted expert plays instead of you"
    )
    record.add_argument("--episodes", type=int, default=100)
    record.add_argument("--workers", type=int, default=2)
    record.add_argument(
        "--seed", type=int, default=0, help="first world; recorded seeds are skipped"
    )
    record.add_argument(
        "--noise-prob", type=float, default=0.02, help="chance per step that a stumble is injected"
    )
    record.add_argument("--tasks", nargs="+", help="only these tasks")
    record.add_argument(
        "--agent", type=Path, help="this checkpoint plays, the expert says what was right (DAgger)"
    )
    record.add_argument("--author", default="", help="your name in the episodes")
    record.add_argument("--json", action="store_true")
    record.set_defaults(handler=run_record)

    _add_episodes(commands)
    train = commands.add_parser("train", help="train a checkpoint on recorded episodes")
    train.add_argument(
        "config", type=Path, nargs="?", help="TOML file (default: the built-in settings)"
    )
    train.add_argument(
        "--run",
        type=Path,
        help="folder of the run (default: runs/voxel, or runs/baseline); run again to resume",
    )
    train.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="such as train.minutes=10"
    )
    train.add_argument("--fresh", action="store_true", help="start over instead of resuming")
    train.add_argument(
        "--baseline",
        action="store_true",
        help="train a plain CNN+GRU on the same episodes for the same minutes, to compare with",
    )
    train.add_argument("--json", action="store_true")
    train.set_defaults(handler=run_train)

    push = commands.add_parser("push", help="upload a checkpoint to the Hugging Face hub")
    push.add_argument("checkpoint", type=Path, help="folder")
    push.add_argument("target", help="hub:owner/name")
    push.add_argument("--private", action="store_true")
    push.set_defaults(handler=run_push)

    evaluate = commands.add_parser("evaluate", help="measure a checkpoint in worlds it never saw")
    evaluate.add_argument("game", nargs="?", default="voxel")
    evaluate.add_argument("--checkpoint", type=Path, help="folder (default: the shipped one)")
    evaluate.add_argument(
        "--baseline", type=Path, help="folder of a CNN+GRU that plays the same worlds beside it"
    )
    evaluate.add_argument(
        "--episodes", type=int, default=200, help="per condition, spread over the tasks"
    )
    evaluate.add_argument("--seed-range", default="held-out", help="held-out, or the first seed")
    evaluate.add_argument("--tasks", nargs="+")
    evaluate.add_argument("--conditions", nargs="+")
    evaluate.add_argument("--workers", type=int, default=2)
    evaluate.add_argument("--temperature", type=float, default=1.0)
    evaluate.add_argument(
        "--condition-on-actions", action="store_true", help="let the agent see its own past actions"
    )
    evaluate.add_argument(
        "--action-latency",
        type=int,
        default=0,
        metavar="STEPS",
        help="play as on a slow machine: meanwhile what earlier answers foretold, then the last of it again",
    )
    evaluate.add_argument("--next-action-episodes", type=int, default=28)
    evaluate.add_argument("--data", type=Path, help="recorded episodes for the next-action figures")
    evaluate.add_argument("--plot", type=Path, help="write a bar chart (PNG)")
    evaluate.add_argument("--json", action="store_true")
    evaluate.set_defaults(handler=run_evaluate)


def _add_episodes(commands: Any) -> None:
    episodes = commands.add_parser(
        "episodes",
        help="look after recorded episodes",
        description="Look after recorded episodes. What others recorded is imported from a folder: recordings of "
        "Minecraft as VPT's and BASALT's contractors made them (NAME.mp4 beside NAME.jsonl), a LeRobotDataset, or "
        "clips with a captions.jsonl.",
    )
    episodes.add_argument(
        "action", choices=("list", "show", "stats", "validate", "recover", "export", "import")
    )
    episodes.add_argument("path", type=Path, nargs="?", default=Path("data/voxel"))
    episodes.add_argument(
        "--out",
        type=Path,
        help="export: where the LeRobot v3.0 dataset is written, or extended; import: where the captures go",
    )
    episodes.add_argument(
        "--game",
        help="import: the game whose actions were recorded (minecraft for VPT's recordings, calvin)",
    )
    episodes.add_argument(
        "--camera", default="", help="import: which of the dataset's cameras, where it has several"
    )
    episodes.add_argument(
        "--action-column", default="action", help="import: the column with the robot's actions"
    )
    episodes.add_argument(
        "--numbers",
        type=int,
        nargs="+",
        default=[],
        help="import: which numbers of that column are the game's, in its order (0 1)",
    )
    episodes.add_argument("--json", action="store_true")
    episodes.set_defaults(handler=run_episodes)


def run_record(args: argparse.Namespace) -> int:
    game = load(args.game)
    out_dir = args.out or Path("data") / game.spec.name
    if not args.expert:
        if game.spec.name != "voxel":
            raise UnplayableError(
                f"{args.game} has no window for people, only voxel has; use --expert"
            )
        from agent_core.recording.human import record_human

        return answer(record_human(out_dir, args.seed, args.author), args.json, lambda: None)
    from agent_core.recording.expert import RecordingPlan, record_expert, success_rates

    tasks = tuple(args.tasks or ())
    plan = RecordingPlan(
        out_dir, args.episodes, args.seed, args.noise_prob, tasks, args.agent, game=args.game
    )
    count = [0]
    with progress("recording") as update:

        def note(_: object) -> None:
            count[0] += 1
            update(count[0], args.episodes)

        recorded = record_expert(plan, args.workers, note)
    failed = [r for r in recorded if r.error]
    for r in failed:
        err.print(f"seed {r.seed}, task {r.task}: {r.error}", markup=False, highlight=False)
    steps = sum(r.steps for r in recorded)
    report = {
        "episodes": len(recorded) - len(failed),
        "failed": len(failed),
        "steps": steps,
        "success": success_rates(recorded),
        "out": str(out_dir),
    }
    return answer(report, args.json, lambda: out.print(report)) or int(bool(failed))


def run_episodes(args: argparse.Namespace) -> int:
    from agent_core.recording.episodes import export_episodes, import_episodes, manage_episodes

    if args.action == "export":
        target = args.out or args.path.with_name(args.path.name + "-lerobot")
        with progress("exporting") as update:
            done = export_episodes(args.path, target, update)
        return answer(done, args.json, lambda: out.print(done))
    if args.action == "import":
        target = args.out or Path("data") / args.path.name
        with progress("importing") as update:
            numbers = ActionColumns(args.action_column, tuple(args.numbers))
            done = import_episodes(args.path, target, args.game, args.camera, numbers, update)
        return answer(done, args.json, lambda: out.print(done))
    report = manage_episodes(args.action, args.path)

    def show() -> None:
        for row in report:
            out.print(row, highlight=False)

    return answer(report, args.json, show)


def run_train(args: argparse.Namespace) -> int:
    import logging

    from agent_core.config import load_config

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = load_config(args.config, args.set)
    train = _train_baseline if args.baseline else _train
    report = train(config, args)
    if report.get("rank"):
        return 0
    facts = {k: _plain(v) for k, v in report.items()}
    return answer(facts, args.json, lambda: out.print(facts)) or int(report["exit_code"])


def _train(config: Any, args: argparse.Namespace) -> dict[str, Any]:
    from agent_core.training.trainer import train

    return vars(train(config, args.run or Path("runs/voxel"), resume=not args.fresh))


def _train_baseline(config: Any, args: argparse.Namespace) -> dict[str, Any]:
    from agent_core.baseline.trainer import train_baseline

    return vars(train_baseline(config, args.run or Path("runs/baseline"), resume=not args.fresh))


def _plain(value: object) -> object:
    """As JSON has it: a path is text, and what is no number is null."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return str(value) if isinstance(value, Path) else value


def run_push(args: argparse.Namespace) -> int:
    from agent_core.weights.checkpoint import load as load_checkpoint
    from agent_core.weights.hub import push

    found = load_checkpoint(args.checkpoint)
    known = {name: found.header.metadata.get(name, "?") for name in ("steps", "episodes", "frames")}
    size = sum(p.numel() for p in found.model.parameters()) / 1e6
    games = ", ".join(spec.title for spec in found.header.specs)
    facts = {"games": games, "parameters": size, **known}
    out.print(push(found.path, args.target, facts, private=args.private))
    return 0


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UnplayableError(
            f"--seed-range is held-out or the first seed, a whole number, not {text!r}"
        ) from None


def run_evaluate(args: argparse.Namespace) -> int:
    from agent_core.evaluation.closed_loop import CONDITIONS, HELD_OUT
    from agent_core.evaluation.report import Evaluation, evaluate, plot, table
    from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT

    plan = Evaluation(
        checkpoint=args.checkpoint or DEFAULT_CHECKPOINT,
        episodes=args.episodes,
        tasks=tuple(args.tasks or ()),
        conditions=tuple(args.conditions or CONDITIONS),
        first_seed=HELD_OUT if args.seed_range == "held-out" else _seed(args.seed_range),
        workers=args.workers,
        temperature=args.temperature,
        condition_on_actions=args.condition_on_actions,
        action_latency_steps=args.action_latency,
        next_action_episodes=args.next_action_episodes,
        data=args.data,
        game=args.game,
        baseline=args.baseline,
    )
    with progress("evaluating") as update:
        report = evaluate(plan, update)
    if args.plot:
        plot(report, args.plot)
    err.print(table(report))
    return answer(report, args.json, lambda: out.print(report.get("next_action", "")))
