"""Commands from episodes to a checkpoint and its report: train, push, evaluate."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent_core.cli import minecraft
from agent_core.cli.arguments import (
    CHECKPOINT_HELP,
    TEMPERATURE_HELP,
    add_command,
    game_argument,
    game_at_port,
    non_negative_int,
    non_negative_number,
    picture_file,
    positive_int,
    seed_or_held_out,
    words,
)
from agent_core.cli.early_end import exit_code, remark_failures
from agent_core.cli.output import answer, fields, remark, say, table
from agent_core.cli.own_game import own_game
from agent_core.cli.termination import leaves_on_sigterm
from agent_core.training.progress_bar import ProgressBar


def add(commands: Any) -> None:
    """Add the subcommands."""
    _add_train(commands)
    _add_push(commands)
    _add_evaluate(commands)


def _add_train(commands: Any) -> None:
    train = add_command(
        commands,
        "train",
        "train a checkpoint on recorded episodes",
        run_train,
        "iafm train --game my_game:GAME --data data/mine data/yours\n"
        "iafm train --data data/voxel --set train.minutes=10\n"
        "iafm train agent_core/recipes/voxel-tiny.toml --run runs/voxel",
    )
    train.add_argument(
        "config",
        type=Path,
        nargs="?",
        help="TOML file (default: the built-in settings; with --game, recipes/own-game.toml)",
    )
    train.add_argument(
        "--game",
        metavar="GAME",
        help="choose settings for this game from its episodes, and say why: a name, an id or module:NAME",
    )
    train.add_argument(
        "--data",
        nargs="+",
        metavar="FOLDER",
        type=words,
        help="recorded episodes (data.episodes; default with --game: data/ and the game's name)",
    )
    train.add_argument(
        "--run",
        type=Path,
        metavar="FOLDER",
        help="folder of the run (default: runs/voxel or runs/baseline, with --game runs/ and its name); "
        "run again to resume",
    )
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of agent_core/config.py, such as train.minutes=10; may be given several times",
    )
    train.add_argument("--fresh", action="store_true", help="start over instead of resuming")
    train.add_argument(
        "--baseline",
        action="store_true",
        help="train a plain CNN+GRU on the same episodes for the same minutes, to compare with",
    )
    train.add_argument(
        "--strict",
        action="store_true",
        help="stop at the first episode that cannot be read, instead of training without it (data.strict)",
    )
    train.add_argument("--json", action="store_true", help="print the report as JSON")


def _add_push(commands: Any) -> None:
    push = add_command(
        commands,
        "push",
        "upload a checkpoint to the Hugging Face hub",
        run_push,
        "iafm push runs/voxel/best hub:owner/name --private",
    )
    push.add_argument("checkpoint", type=Path, help="folder")
    push.add_argument("target", help="hub:owner/name")
    push.add_argument("--private", action="store_true", help="only you can see it")
    push.add_argument("--json", action="store_true", help="print the address as JSON")


def _add_evaluate(commands: Any) -> None:
    evaluate = add_command(
        commands,
        "evaluate",
        "measure a checkpoint in worlds it never saw",
        run_evaluate,
        "iafm evaluate voxel --checkpoint runs/voxel/best --episodes 200 --plot report.png\n"
        "iafm evaluate voxel --conditions agent random --episodes 140 --json\n"
        "iafm evaluate brawl --checkpoint runs/brawl-2/best --episodes 0 --matches 100 --grades regular\n"
        "iafm evaluate minerl:MineRLTreechop-v0,reward=1,steps=400 --malmo-port 9000",
    )
    game_argument(evaluate)
    evaluate.add_argument("--checkpoint", type=Path, help=CHECKPOINT_HELP)
    evaluate.add_argument(
        "--baseline",
        type=Path,
        metavar="FOLDER",
        help="folder of a CNN+GRU that plays the same worlds beside it",
    )
    evaluate.add_argument(
        "--episodes",
        type=non_negative_int,
        help="per condition, spread over the tasks; 0: none (default: 200; of minecraft, in real time, 80)",
    )
    _team_options(evaluate)
    evaluate.add_argument(
        "--seed-range",
        type=seed_or_held_out,
        default="held-out",
        metavar="SEED",
        help="first world: its seed, or held-out for those that are never recorded",
    )
    evaluate.add_argument("--tasks", nargs="+", type=words, help="only these (default: all)")
    evaluate.add_argument(
        "--conditions",
        nargs="+",
        type=words,
        help="of agent, agent_no_instruction, agent_swapped, expert, random (default: all that the game has)",
    )
    evaluate.add_argument("--workers", type=positive_int, default=2, help="processes that play")
    evaluate.add_argument(
        "--temperature", type=non_negative_number, default=1.0, help=TEMPERATURE_HELP
    )
    _agent_options(evaluate)
    evaluate.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="recorded episodes for the next-action figures (default: new ones of the scripted expert)",
    )
    evaluate.add_argument(
        "--plot", type=picture_file, metavar="FILE", help="write a bar chart (.png, .pdf, .svg)"
    )
    minecraft.add_evaluate_options(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print the report as JSON")


def _team_options(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "--matches",
        type=non_negative_int,
        default=0,
        help="whole matches of a team of agents against each grade of bots, where the game has teams",
    )
    evaluate.add_argument(
        "--grades", nargs="+", type=words, help="only bots of these grades (default: all)"
    )
    evaluate.add_argument(
        "--rival-matches",
        type=non_negative_int,
        default=0,
        help="with --matches: matches of the scripted expert's team, and of bots of the middle grade",
    )
    evaluate.add_argument(
        "--words",
        nargs="+",
        type=words,
        help="what the team's players are told, in turn (default: to win the match)",
    )


def _agent_options(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "--condition-on-actions", action="store_true", help="let the agent see its own past actions"
    )
    evaluate.add_argument(
        "--action-latency",
        type=non_negative_int,
        default=0,
        metavar="STEPS",
        help="play as on a slow machine: until an answer is there, the player does what earlier ones planned",
    )
    evaluate.add_argument(
        "--next-action-episodes",
        type=non_negative_int,
        help="episodes for the next-action figures; 0 leaves them out (default: 28; 0 without expert and --data)",
    )


def run_train(args: argparse.Namespace) -> int:
    import logging

    from agent_core.config import load_config

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    data = [f"data.episodes={json.dumps(args.data)}"] if args.data else []
    overrides = [*data, *args.set, *["data.strict=true"] * args.strict]
    settings: dict[str, Any] = {}
    if args.game is None:
        config = load_config(args.config, overrides)
        run_dir = args.run or Path("runs/baseline" if args.baseline else "runs/voxel")
    else:
        own = own_game(args, overrides)
        config, run_dir, settings = own.config, own.run_dir, {"settings": own.record}
        if os.environ.get("RANK", "0") == "0":
            own.save(args.fresh)
            own.show(args.json)
    report = asdict(_trainer(args.baseline)(config, run_dir, resume=not args.fresh))
    if report["rank"]:
        return 0
    show = {name: value for name, value in report.items() if name not in ("rank", "exit_code")}
    show["skipped"] = len(report["skipped"])
    return answer({**report, **settings}, args.json, lambda: fields(show)) or report["exit_code"]


def _trainer(baseline: bool) -> Callable[..., Any]:
    """The training of the CNN+GRU, or of the IAFM."""
    if baseline:
        from agent_core.baseline.trainer import train_baseline

        return train_baseline
    from agent_core.training.trainer import train

    return train


def run_push(args: argparse.Namespace) -> int:
    from agent_core.weights.checkpoint import load as load_checkpoint
    from agent_core.weights.hub import push

    checkpoint = load_checkpoint(args.checkpoint)
    metadata = checkpoint.header.metadata
    facts = {
        "games": ", ".join(spec.title for spec in checkpoint.header.specs),
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()) / 1e6,
        **{name: metadata.get(name, "?") for name in ("steps", "episodes", "frames")},
    }
    address = push(checkpoint.path, args.target, facts, private=args.private)
    return answer({"url": address}, args.json, lambda: say(address))


def run_evaluate(args: argparse.Namespace) -> int:
    args.game = game_at_port(args)
    plan = _plan(args)
    plan.check()
    from agent_core.evaluation.report import (
        evaluate,
        next_action_table,
        plot,
        success_table,
        team_table,
    )
    from agent_core.evaluation.tally import WITHIN

    with leaves_on_sigterm(), ProgressBar("evaluating") as update:
        report = evaluate(plan, update)
    if args.plot:
        plot(report, args.plot)

    def show() -> None:
        if report["tasks"]:
            table(*success_table(report), title="success in held-out worlds (Wilson 95 %)")
            within = "success within 3 x the expert's steps, as above"
            table(*success_table(report, WITHIN), title=within)
        if report.get("team"):
            table(*team_table(report), title="matches won, a draw is half a win (Wilson 95 %)")
        if report.get("next_action"):
            table(*next_action_table(report), title="next actions of recorded play")

    skipped = report.get("skipped", [])
    for each in skipped:
        remark(f"skipped {each['source']}: {each['why']}")
    remark_failures(report)
    for line in report["warnings"]:
        remark(line)
    return answer(report, args.json, show) or exit_code(report) or int(bool(skipped))


def _plan(args: argparse.Namespace) -> Any:
    from agent_core.evaluation.plan import EPISODES, HELD_OUT, Evaluation, default_conditions
    from games.registry import load

    game = load(args.game)
    if (next_action := args.next_action_episodes) is None:
        next_action = 28 if game.make_expert is not None or args.data is not None else 0
    return Evaluation(
        checkpoint=args.checkpoint,
        episodes=EPISODES if args.episodes is None else args.episodes,
        tasks=tuple(args.tasks or ()),
        conditions=tuple(args.conditions or default_conditions(game)),
        first_seed=HELD_OUT if args.seed_range == "held-out" else args.seed_range,
        workers=args.workers,
        temperature=args.temperature,
        condition_on_actions=args.condition_on_actions,
        action_latency_steps=args.action_latency,
        next_action_episodes=next_action,
        data=args.data,
        game=args.game,
        baseline=args.baseline,
        matches=args.matches,
        grades=tuple(args.grades or ()),
        rival_matches=args.rival_matches,
        words=tuple(args.words or ()),
    )
