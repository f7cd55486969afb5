"""Commands over the wire: demo, play, ask, watch, instruct."""

from __future__ import annotations

import argparse
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_core.cli import minecraft
from agent_core.cli.arguments import (
    CHECKPOINT_HELP,
    TEMPERATURE_HELP,
    UsageError,
    add_command,
    game_argument,
    game_at_port,
    non_negative_number,
    port,
    positive_int,
    seed,
    words,
)
from agent_core.cli.output import answer, fields, remark, say, say_json
from agent_core.cli.policy_module import load_policy, policy_name
from agent_core.training.progress_bar import ProgressBar
from bridges.errors import BridgeError

if TYPE_CHECKING:  # the help of every command loads none of these
    from bridges.console_client import WatchMessage
    from bridges.policy import Policy
    from bridges.protocol.messages import Act

URL = "ws://127.0.0.1:8765/v1"
PORT = 8765


def add(commands: Any) -> None:
    """Add the subcommands."""
    _add_demo(commands)
    _add_play(commands)
    _add_ask(commands)
    _add_watch(commands)
    _add_instruct(commands)


def _add_demo(commands: Any) -> None:
    demo = add_command(
        commands,
        "demo",
        "a shipped checkpoint plays an embedded game; watch it in a browser",
        run_demo,
        "iafm demo\niafm demo brawl      four fighters of one match\n"
        "iafm demo --headless --episodes 4 --fast --json",
    )
    demo.add_argument(
        "game", nargs="?", default="voxel", choices=("voxel", "brawl"), help="what is played"
    )
    demo.add_argument("--headless", action="store_true", help="open no browser")
    demo.add_argument(
        "--episodes",
        type=positive_int,
        help="end after so many goals (default: go on until Ctrl-C)",
    )
    demo.add_argument(
        "--fast",
        action="store_true",
        help="as fast as possible instead of the game's steps a second",
    )
    policy_options(demo)
    demo.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_play(commands: Any) -> None:
    player = add_command(
        commands,
        "play",
        "attach a game with an environment to a running server, or play it yourself",
        run_play,
        "iafm play voxel --episodes 3 --task chop_tree\niafm play my_game:GAME --realtime\n"
        "iafm play frozen-lake --human      nothing is recorded; F1 shows the keys\niafm play minecraft --embedded",
    )
    game_argument(player)
    player.add_argument("--episodes", type=positive_int, default=1, help="how many to play")
    player.add_argument(
        "--task",
        type=words,
        help="one task (default: the seed's own); minecraft with --host: what the player is told",
    )
    player.add_argument("--seed", type=seed, default=0, help="first world")
    player.add_argument(
        "--realtime",
        action="store_true",
        help="at the game's own pace: only the newest frame is answered",
    )
    player.add_argument(
        "--human",
        action="store_true",
        help="you play, in a window, without a server; iafm record does the same and records it",
    )
    minecraft.add_play_options(player, read_token)
    _connection_options(player)


def _add_ask(commands: Any) -> None:
    asking = add_command(
        commands,
        "ask",
        "ask a running player what it will do next, or why",
        run_ask,
        "iafm ask\niafm ask why --session 5f0c2a91",
    )
    asking.add_argument(
        "question",
        nargs="?",
        default="next_action",
        choices=("next_action", "why", "caption"),
        help="what to ask",
    )
    _session_option(asking)
    _connection_options(asking)


def _add_watch(commands: Any) -> None:
    watching = add_command(
        commands,
        "watch",
        "print a running player's next actions in words",
        run_watch,
        "iafm watch --count 100\niafm watch --json | jq .words",
    )
    watching.add_argument(
        "--count", type=positive_int, help="end after so many actions (default: go on until Ctrl-C)"
    )
    _session_option(watching)
    _connection_options(watching)


def _add_instruct(commands: Any) -> None:
    instructing = add_command(
        commands,
        "instruct",
        "give a running player another goal",
        run_instruct,
        'iafm instruct "chop a tree"\niafm instruct "hunt the cow" --session 5f0c2a91\n'
        "iafm instruct --release",
    )
    goal = instructing.add_mutually_exclusive_group(required=True)
    goal.add_argument("text", nargs="?", type=words, help="the goal in words")
    goal.add_argument(
        "--release", action="store_true", help="give the goal back: the game's own counts again"
    )
    _session_option(instructing)
    _connection_options(instructing)


def _session_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--session",
        type=words,
        help="which of several games; an unknown session names them all (default: the newest)",
    )


def _connection_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", default=URL, help="the server, as `iafm serve` prints it")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="file with the server's token"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def policy_options(parser: argparse.ArgumentParser, *policies: str) -> None:
    """The options of a policy that this process serves."""
    names = policies or ("agent", "random")
    parser.add_argument(
        "--policy",
        default="agent",
        type=policy_name(names),
        metavar=f"{{{','.join(names)},module:NAME}}",
        help="random needs no model; module:NAME is an object of your own (bridges/policy.py)"
        + "; none only records (--record)" * ("none" in names),
    )
    parser.add_argument("--checkpoint", type=Path, help=CHECKPOINT_HELP)
    parser.add_argument("--port", type=port, default=PORT, help="port; 0 takes a free one")
    parser.add_argument(
        "--threads", type=positive_int, help="CPU threads of the model (default: all cores)"
    )
    parser.add_argument("--device", default="auto", help="auto takes the GPU where there is one")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "float32", "bfloat16", "int8"),
        help="auto: float32, or bfloat16 where it is faster; int8: large models on a processor",
    )
    parser.add_argument(
        "--temperature",
        type=non_negative_number,
        default=1.0,
        help=TEMPERATURE_HELP,
    )
    parser.add_argument(
        "--condition-on-actions",
        action="store_true",
        help="let the model see what the game did before, be it a person's actions",
    )


def build_policy(args: argparse.Namespace, game: str = "") -> Policy:
    """The policy that the options name; without a checkpoint the shipped one for each game, or for this one alone."""
    if args.policy == "random":
        from bridges.serving.random_policy import RandomPolicy

        return RandomPolicy()
    if args.policy == "none":
        from bridges.serving.no_policy import NoPolicy

        return NoPolicy()
    if ":" in args.policy:
        return load_policy(args.policy)
    from agent_core.agent import Agent, ShippedAgents
    from agent_core.weights.checkpoint import shipped_checkpoint

    def load(path: Path) -> Agent:
        return Agent.load(
            path,
            device=args.device,
            precision=args.precision,
            threads=args.threads,
            temperature=args.temperature,
            condition_on_actions=args.condition_on_actions,
        )

    if args.checkpoint is None and not game:
        return ShippedAgents(load)
    return load(args.checkpoint or shipped_checkpoint(game))


def run_demo(args: argparse.Namespace) -> int:
    from agent_core.cli.demo import Demo, play_demo
    from agent_core.weights.checkpoint import has_shipped
    from games.registry import load

    logging.getLogger("iafm").setLevel(logging.WARNING)
    if args.policy == "agent" and args.checkpoint is None and not has_shipped(args.game):
        raise UsageError(
            f"demo: no checkpoint of {args.game} comes with the package; train one (agent_core/README.md) and name it "
            "with --checkpoint, or take --policy random"
        )
    pace_hz = None if args.fast else load(args.game).spec.step_hz
    demo = Demo(args.port, args.episodes, pace_hz, not args.headless, args.game)
    report = play_demo(build_policy(args, args.game), demo, remark).summary()
    judged = report["episodes"] - report["unjudged"]
    line = f"{report['successes']} of {judged} goals reached at {report['hz']} Hz"
    return answer(report, args.json, lambda: say(line))


def read_token(path: Path | None) -> str | None:
    """The token in a file, None without a file; raises `BridgeError` for one without a token."""
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BridgeError(f"--token-file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BridgeError(f"--token-file {path} is no text") from None
    if not token:
        raise BridgeError(f"--token-file {path} is empty: write the token into it")
    return token


def run_play(args: argparse.Namespace) -> int:
    from bridges.play import Start, play
    from games.registry import load, make

    args.game = game_at_port(args)
    if args.task and args.task != load(args.game).free_task:
        load(args.game).select_tasks([args.task])
    options = {"task": args.task} if args.task else {}
    if args.human:
        return _play_yourself(args, options)
    env, token = make(args.game), read_token(args.token_file)
    starts = (Start(args.seed + n, options) for n in range(args.episodes))
    mode, pace_hz = ("realtime", env.game.step_hz) if args.realtime else ("lockstep", None)
    with ProgressBar("playing") as update:
        report = play(
            env, args.url, starts, mode=mode, pace_hz=pace_hz, token=token,
            on_episode=lambda _, report: update(report.episodes, args.episodes),
            on_state=connection_remarks(), on_error=lambda error: remark(f"{error.code}: {error}"),
        ).summary()  # fmt: skip
    return answer(report, args.json, lambda: fields(report))


def _play_yourself(args: argparse.Namespace, options: dict[str, Any]) -> int:
    from games.human.play import play_human
    from games.human.unrecorded import Unrecorded
    from games.registry import make

    env, recorder = make(args.game), Unrecorded(args.episodes)
    pace = play_human(env, recorder, ((seed, options) for seed in itertools.count(args.seed)))
    env.close()
    report = {"episodes": recorder.episodes, "successes": recorder.reached, "hz": pace.mean_rate}
    return answer(report, args.json, lambda: fields(report))


def connection_remarks() -> Callable[[str, str], None]:
    """A remark when the connection is lost, and one when it is there again."""
    lost = False

    def on_state(state: str, detail: str) -> None:
        nonlocal lost
        if state == "reconnecting" or (state == "playing" and lost):
            remark(f"{state}: {detail}")
        lost = state == "reconnecting"

    return on_state


def run_ask(args: argparse.Namespace) -> int:
    from bridges.console_client import ask

    text = ask(args.url, args.question, session=args.session, token=read_token(args.token_file))
    report = {"session": args.session, "question": args.question, "text": text}
    return answer(report, args.json, lambda: say(text))


def run_instruct(args: argparse.Namespace) -> int:
    from bridges.console_client import instruct

    session = instruct(
        args.url, args.text or "", release=args.release, session=args.session,
        token=read_token(args.token_file),
    )  # fmt: skip
    report = {"session": session, "text": args.text}
    line = "back to the game's goals" if args.release else args.text
    return answer(report, args.json, lambda: say(f"{session}: {line}"))


def run_watch(args: argparse.Namespace) -> int:
    from bridges.console_client import watch

    messages = watch(args.url, session=args.session, token=read_token(args.token_file))
    last = ""
    for count, act in enumerate(watched_actions(messages), 1):
        if args.json:
            say_json(act.model_dump(mode="json"))
        elif act.words != last:
            say(f"{act.probability:4.0%}  {act.words}")
        last = act.words
        if count == args.count:
            return 0
    remark(f"session {args.session} has ended")
    return 0


def watched_actions(messages: Iterable[WatchMessage]) -> Iterator[Act]:
    """The actions among a watcher's messages; a remark whenever no game is attached any more."""
    from bridges.protocol.messages import Act, State

    attached = True
    for message in messages:
        if isinstance(message, Act):
            yield message
        if isinstance(message, State):
            if attached and not message.sessions:
                remark("no game is attached yet; waiting for one (Ctrl-C ends)")
            attached = bool(message.sessions)
