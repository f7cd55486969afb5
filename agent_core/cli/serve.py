"""Serve command: a policy for games over a websocket."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_core.cli.arguments import add_command, words
from agent_core.cli.output import remark, say_json
from agent_core.cli.serving import build_policy, policy_options, read_token
from bridges.errors import BridgeError

if TYPE_CHECKING:  # the help of every command loads none of these
    from bridges.listener import Listener
    from bridges.serving.server import BridgeServer


def add(commands: Any) -> None:
    """Add the subcommand."""
    serve = add_command(
        commands,
        "serve",
        "serve a policy to games over a websocket",
        run_serve,
        "iafm serve\niafm serve --policy random --port 0 --json\n"
        "iafm serve --host 0.0.0.0 --token-file token.txt\niafm serve --record data/served\n"
        "iafm serve --policy none --record data/mine\n"
        "iafm serve --policy random --page examples/canvas_game.html",
    )
    policy_options(serve, "agent", "random", "none")
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; any but loopback needs --token-file",
    )
    serve.add_argument(
        "--token-file", type=Path, metavar="FILE", help="file with the token that clients must send"
    )
    serve.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="record in DIR what every attached game plays, and what people play in games that only record",
    )
    serve.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        help="an HTML file to serve at /game, such as a game in JavaScript",
    )
    serve.add_argument(
        "--allow-origin",
        type=words,
        action="append",
        default=[],
        metavar="ORIGIN",
        help="pages of this origin may connect too, such as http://localhost:5173",
    )
    serve.add_argument("--json", action="store_true", help="print the addresses as a line of JSON")


def run_serve(args: argparse.Namespace) -> int:
    from bridges.serving.run import run
    from bridges.serving.server import BridgeServer
    from bridges.serving.site import Site

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.policy == "none" and not args.record:
        raise BridgeError("--policy none plays nothing: say with --record DIR where to record")
    token = read_token(args.token_file)
    listeners = [_tap(args.record)] if args.record else []
    site = Site.of(args.page, args.allow_origin)
    server = BridgeServer(
        build_policy(args),
        host=args.host,
        port=args.port,
        token=token,
        listeners=listeners,
        site=site,
    )
    run(server, lambda listening: announce(listening, args.json))
    return 0


def _tap(root: Path) -> Listener:
    """What records all games that attach."""
    from recorder import Tap

    remark(f"every game that attaches is recorded in {root}")
    return Tap(root)


def announce(server: BridgeServer, as_json: bool) -> None:
    """Say where a server listens; as JSON for a script that asked for any free port."""
    game = f", game at {server.game_url}" if server.game_url else ""
    remark(f"serving at {server.url}, console at {server.console_url}{game} (Ctrl-C ends)")
    if as_json:
        addresses = {"url": server.url, "console_url": server.console_url, "port": server.port}
        say_json({**addresses, "game_url": server.game_url})
