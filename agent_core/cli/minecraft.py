"""Commands of live Minecraft: install its packages, play on a server, record the scripted player."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_core.cli.arguments import (
    UsageError,
    add_command,
    port,
    positive_number,
    words,
    writable_folder,
)
from agent_core.cli.early_end import exit_code, remark_failures
from agent_core.cli.output import answer, fields, remark, say, table
from agent_core.cli.termination import leaves_on_sigterm

if TYPE_CHECKING:
    from bridges.minecraft.process import Event, PlayerOptions
    from bridges.policy import Policy

Handler = Callable[[argparse.Namespace], int]
ReadToken = Callable[[Path | None], str | None]
GAMES = ("minecraft", "minecraft-v0")
SIZES = ("128x72", "224x224", "640x360")
DEFAULT_SIZE = "224x224"
SERVER_PORT = 25565


def add(commands: Any) -> None:
    """Add the subcommand `minecraft`."""
    parser = add_command(
        commands,
        "minecraft",
        "prepare live Minecraft: install its packages from npm, once",
        run_minecraft,
        "iafm minecraft install",
    )
    parser.add_argument("what", choices=("install",), help="1 GB, into the cache folder of iafm")
    parser.add_argument("--json", action="store_true", help="print the folder as JSON")


def _add_server_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Options of `play` and `record` that are live Minecraft's; returns their group."""
    group = parser.add_argument_group("live Minecraft (iafm minecraft install)")
    group.add_argument(
        "--embedded", action="store_true", help="minecraft: on a small server that is started too"
    )
    _add_size(group)
    return group


def _add_size(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--size", choices=SIZES, help=f"minecraft: size of the pictures (default: {DEFAULT_SIZE})"
    )


def add_play_options(parser: argparse.ArgumentParser, read_token: ReadToken) -> None:
    """Options of `play` that are live Minecraft's; `read_token` reads that of the policy's server."""
    group = _add_server_options(parser)
    group.add_argument("--host", help="minecraft: play on this server")
    group.add_argument("--port", type=port, help=f"minecraft: its port (default: {SERVER_PORT})")
    group.add_argument(
        "--name", help="minecraft: the player's name, shown behind AI_ (default: iafm)"
    )
    group.add_argument(
        "--seconds", type=positive_number, help="minecraft: end after so long (default: Ctrl-C)"
    )
    _handle(parser, lambda args: run_play_live(args, read_token(args.token_file)))


def add_record_options(parser: argparse.ArgumentParser) -> None:
    """Options of `record` that are live Minecraft's."""
    group = _add_server_options(parser)
    group.add_argument(
        "--scripted", action="store_true", help="minecraft: a program plays, with --embedded"
    )
    _handle(parser, run_record_live)


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    """Options of `evaluate` that are live Minecraft's."""
    group = parser.add_argument_group("live Minecraft (iafm minecraft install)")
    _add_size(group)
    _handle(parser, run_evaluate_live)


def _handle(parser: argparse.ArgumentParser, live: Handler) -> None:
    """Let a command go to `live` where its game is live Minecraft."""
    other: Handler = parser.get_default("handler")
    parser.set_defaults(handler=lambda args: (live if is_live(args) else other)(args))


def is_live(args: argparse.Namespace) -> bool:
    """Whether a command is about live Minecraft; raises `UsageError` for its options without it."""
    if args.game in GAMES:
        return True
    for name in ("embedded", "size", "host", "port", "name", "seconds", "scripted"):
        if getattr(args, name, None):
            raise UsageError(f"{args.command}: --{name} is an option of the game minecraft")
    return False


def run_minecraft(args: argparse.Namespace) -> int:
    from bridges.minecraft.packages import install

    remark("npm installs the packages of live Minecraft: a minute or two")
    folder = install(remark)
    return answer({"packages": str(folder)}, args.json, lambda: say(f"installed in {folder}"))


def run_play_live(args: argparse.Namespace, token: str | None) -> int:
    """A policy's server plays on a Minecraft server; the report counts episodes and steps."""
    from bridges.minecraft.packages import find_requirements
    from bridges.minecraft.process import PlayerProcess

    options = _play_options(args, token)
    report: dict[str, Any] = {"episodes": 0, "successes": 0, "frames": 0, "seconds": 0.0}
    with leaves_on_sigterm(), PlayerProcess(options, find_requirements()) as player:
        try:
            for event in player.events():
                _follow(event, report)
        except KeyboardInterrupt:
            remark("stopped")
    return answer(report, args.json, lambda: fields(report))


def _follow(event: Event, report: dict[str, Any]) -> None:
    """Tell people of an event, and count it."""
    match event:
        case {"event": "started", "version": version, "name": name, "port": number}:
            remark(f"{name} is on the server (Minecraft {version}, port {number})")
        case {"event": "connection", "state": "reconnecting" as state, "detail": detail}:
            remark(f"{state}: {detail}")
        case {"event": "episode", "success": success, "instruction": text, "steps": steps}:
            report["episodes"] += 1
            report["successes"] += success
            remark(f"{'reached' if success else 'missed'}: {text!r} after {steps} steps")
        case {"event": "alive" | "done", "frames": frames, "seconds": seconds}:
            report.update(frames=frames, seconds=round(seconds, 1))


def _play_options(args: argparse.Namespace, token: str | None) -> PlayerOptions:
    from bridges.minecraft.process import PlayerOptions
    from bridges.minecraft.tasks import TASKS, live_spec
    from bridges.protocol.address import websocket_url

    if args.human:
        raise UsageError("play: --human is for games with an environment, not for minecraft")
    if args.embedded == (args.host is not None):
        raise UsageError("play: minecraft needs the --host of a server, or --embedded; not both")
    if args.embedded and args.task and args.task not in TASKS:
        raise UsageError(f"play: {args.task!r} is no task; there are {', '.join(TASKS)}")
    tasks = ((args.task,) if args.task else TASKS) if args.embedded else ()
    return PlayerOptions(
        live_spec(args.size or DEFAULT_SIZE), url=websocket_url(args.url), token=token,
        host=args.host, port=args.port or SERVER_PORT, name=player_name(args.name),
        instruction=None if args.embedded else args.task or "", tasks=tasks,
        episodes=args.episodes, seed=args.seed, seconds=args.seconds,
    )  # fmt: skip


def player_name(name: str | None) -> str:
    """The name above a player's head, which says that it is an AI; raises `UsageError` for one that cannot be."""
    tag = f"AI_{name or 'iafm'}"
    if len(tag) > 16 or not tag.isascii() or not tag.replace("_", "").isalnum():
        raise UsageError(f"--name {words(str(name))!r}: at most 13 letters, digits and _")
    return tag


def run_record_live(args: argparse.Namespace) -> int:
    """The scripted player's episodes on the embedded server."""
    from agent_core.recording.minecraft import NOISE_PROB, ScriptedPlan, record_scripted
    from agent_core.training.progress_bar import ProgressBar
    from bridges.minecraft.packages import find_requirements
    from bridges.minecraft.tasks import TASKS, live_spec

    if not (args.embedded and args.scripted):
        raise UsageError(
            "record: minecraft needs --embedded --scripted: a program that plays there"
        )
    if unknown := [task for task in args.tasks or () if task not in TASKS]:
        raise UsageError(f"record: {unknown[0]!r} is no task; there are {', '.join(TASKS)}")
    out_dir = writable_folder(args.out or Path("data") / "minecraft")
    spec = live_spec(args.size or DEFAULT_SIZE)
    tasks, episodes = tuple(args.tasks or TASKS), args.episodes or len(TASKS)
    if args.agent is not None and args.noise_prob is not None:
        raise UsageError("record: --noise-prob has no effect where --agent plays; leave it out")
    noise_prob = NOISE_PROB if args.noise_prob is None else args.noise_prob
    plan = ScriptedPlan(
        out_dir, spec, episodes, args.seed or 0, tasks, noise_prob, _agent(args.agent)
    )
    with leaves_on_sigterm(), ProgressBar("recording") as update:
        report = record_scripted(plan, find_requirements(), update)
    return answer(report, args.json, lambda: fields(report))


def _agent(checkpoint: Path | None) -> Policy | None:
    if checkpoint is None:
        return None
    from agent_core.agent import Agent

    return Agent.load(checkpoint, num_candidates=0)


def run_evaluate_live(args: argparse.Namespace) -> int:
    """A checkpoint on the embedded server, beside the scripted player and random play."""
    from agent_core.evaluation.minecraft import (
        EPISODES,
        LiveEvaluation,
        evaluate_live,
        real_time_table,
    )
    from agent_core.evaluation.plan import CONDITIONS, HELD_OUT
    from agent_core.evaluation.report import plot, success_table
    from agent_core.evaluation.tally import WITHIN
    from agent_core.training.progress_bar import ProgressBar
    from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT
    from bridges.minecraft.packages import find_requirements
    from bridges.minecraft.tasks import TASKS, live_spec

    _check_evaluate(args)
    plan = LiveEvaluation(
        args.checkpoint or DEFAULT_CHECKPOINT, live_spec(args.size or DEFAULT_SIZE),
        args.episodes or EPISODES, tuple(args.tasks or TASKS), tuple(args.conditions or CONDITIONS),
        HELD_OUT if args.seed_range == "held-out" else args.seed_range,
        args.temperature, args.condition_on_actions,
    )  # fmt: skip
    plan.check()
    with leaves_on_sigterm(), ProgressBar("evaluating") as update:
        report = evaluate_live(plan, find_requirements(), update)
    if args.plot:
        plot(report, args.plot)

    def show() -> None:
        table(*success_table(report), title="success in held-out worlds (Wilson 95 %)")
        table(*success_table(report, WITHIN), title="within 3 x the scripted player's steps")
        table(*real_time_table(report), title="real time")

    remark_failures(report)
    for line in report["warnings"]:
        remark(line)
    return answer(report, args.json, show) or exit_code(report)


def _check_evaluate(args: argparse.Namespace) -> None:
    """Raise `UsageError` for what the evaluation in real time has not."""
    for name in ("baseline", "data", "next_action_episodes", "action_latency"):
        if getattr(args, name):
            raise UsageError(f"evaluate: --{name.replace('_', '-')} is not for minecraft")
    if args.checkpoint is None and set(args.conditions or ("agent",)) - {"expert", "random"}:
        raise UsageError(
            "evaluate: minecraft needs a --checkpoint that learned it: the shipped one has not"
        )
