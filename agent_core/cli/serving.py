"""demo, serve, play, ask, watch: everything that talks over the wire."""

from __future__ import annotations

import argparse
import itertools
import logging
from pathlib import Path
from typing import Any

from agent_core.cli.output import answer, err, out
from bridges.client import ask, watch
from bridges.errors import BridgeError
from bridges.play import Start, play
from bridges.policy import Policy
from bridges.protocol.messages import Act, State
from bridges.serving.random_policy import RandomPolicy
from bridges.serving.server import BridgeServer, run

URL = "ws://127.0.0.1:8765/v1"


def add(commands: Any) -> None:
    """Add the subcommands."""
    demo = commands.add_parser(
        "demo", help="the shipped checkpoint plays the embedded game; watch it in a browser"
    )
    demo.add_argument("--headless", action="store_true", help="open no browser")
    demo.add_argument(
        "--episodes", type=int, help="end after so many (default: go on until Ctrl-C)"
    )
    demo.add_argument(
        "--fast", action="store_true", help="as fast as possible instead of 20 steps a second"
    )
    _policy_options(demo)
    demo.add_argument("--json", action="store_true")
    demo.set_defaults(handler=run_demo)

    serve = commands.add_parser("serve", help="serve a policy to games over a websocket")
    _policy_options(serve)
    serve.add_argument("--host", default="127.0.0.1", help="another bind needs --token-file")
    serve.add_argument("--token-file", type=Path, help="file with the token that clients must send")
    serve.set_defaults(handler=run_serve)

    player = commands.add_parser(
        "play", help="attach a game with an environment to a running server"
    )
    player.add_argument("game", nargs="?", default="voxel")
    player.add_argument("--url", default=URL)
    player.add_argument("--episodes", type=int, default=1)
    player.add_argument("--task", help="one task instead of the seed's")
    player.add_argument("--seed", type=int, default=0)
    player.add_argument(
        "--realtime", action="store_true", help="newest frame wins, at the game's own pace"
    )
    player.add_argument("--json", action="store_true")
    player.set_defaults(handler=run_play)

    asking = commands.add_parser("ask", help="ask a running player what it will do next, or why")
    asking.add_argument(
        "question", nargs="?", default="next_action", choices=("next_action", "why", "caption")
    )
    asking.add_argument("--url", default=URL)
    asking.add_argument("--session", help="default: the newest")
    asking.set_defaults(handler=run_ask)

    watching = commands.add_parser("watch", help="print a running player's next actions in words")
    watching.add_argument("--url", default=URL)
    watching.add_argument("--session", help="default: the newest")
    watching.add_argument("--count", type=int, help="end after so many actions")
    watching.set_defaults(handler=run_watch)


def _policy_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--policy", default="agent", choices=("agent", "random"), help="random needs no model"
    )
    parser.add_argument("--checkpoint", type=Path, help="folder (default: the shipped one)")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--threads", type=int, help="CPU threads of the model")
    parser.add_argument("--device", default="auto", help="auto: the GPU where there is one")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "float32", "bfloat16", "int8"),
        help="auto: float32, or bfloat16 where it is faster; int8: large models on a processor",
    )
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="0 always takes the most probable action"
    )


def _policy(args: argparse.Namespace) -> Policy:
    if args.policy == "random":
        return RandomPolicy()
    from agent_core.agent import Agent
    from agent_core.weights.checkpoint import DEFAULT_CHECKPOINT

    return Agent.load(
        args.checkpoint or DEFAULT_CHECKPOINT,
        device=args.device,
        precision=args.precision,
        threads=args.threads,
        temperature=args.temperature,
    )


def run_demo(args: argparse.Namespace) -> int:
    from agent_core.cli.demo import Demo, show

    logging.getLogger("iafm").setLevel(logging.WARNING)
    demo = Demo(args.port, args.episodes, None if args.fast else 20.0, not args.headless)
    shown = show(_policy(args), demo, lambda text: err.print(text, highlight=False))
    report = shown.summary()
    line = f"{report['successes']} of {report['episodes']} goals reached at {report['hz']} Hz"
    return answer(report, args.json, lambda: out.print(line))


def run_serve(args: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    token = _token(args.token_file) if args.token_file else None
    server = BridgeServer(_policy(args), host=args.host, port=args.port, token=token)
    run(
        server, lambda s: err.print(f"serving at {s.url}, console at {s.console_url} (Ctrl-C ends)")
    )
    return 0


def _token(path: Path) -> str:
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
    from games.registry import make

    env = make(args.game)
    options = {"task": args.task} if args.task else {}
    starts = (
        Start(args.seed + n, options) for n in itertools.islice(itertools.count(), args.episodes)
    )
    mode = "realtime" if args.realtime else "lockstep"
    report = play(
        env, args.url, starts, mode=mode, pace_hz=env.game.step_hz if args.realtime else None
    ).summary()
    return answer(report, args.json, lambda: out.print(report))


def run_ask(args: argparse.Namespace) -> int:
    out.print(ask(args.url, args.question, session=args.session), highlight=False)
    return 0


def run_watch(args: argparse.Namespace) -> int:
    seen, last = 0, ""
    for message in watch(args.url, session=args.session):
        if isinstance(message, State) and not message.sessions:
            err.print("no game is attached yet")
        if isinstance(message, Act):
            seen += 1
            if message.words != last:
                out.print(f"{message.probability:4.0%}  {message.words}", highlight=False)
            last = message.words
            if args.count and seen >= args.count:
                break
    return 0
