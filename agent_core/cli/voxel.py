"""Command `voxel`: the embedded game in the place of a Minecraft process, for MineRL."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_core.cli.arguments import add_command, port, seed
from agent_core.cli.output import answer, remark, say, say_json

if TYPE_CHECKING:  # the help loads none of this
    from bridges.malmo.server import MalmoServer


def add(commands: Any) -> None:
    """Add the subcommand."""
    voxel = add_command(
        commands,
        "voxel",
        "stand in for Minecraft: the package minerl plays the embedded game",
        run_voxel,
        "iafm voxel --malmo-port 9000\niafm voxel --malmo-launcher ~/voxel-as-minecraft",
    )
    what = voxel.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--malmo-port",
        type=port,
        metavar="PORT",
        help="listen on loopback as a Minecraft process does; 0 takes a free port",
    )
    what.add_argument(
        "--malmo-launcher",
        type=Path,
        metavar="DIR",
        help="write a folder from which minerl itself starts such processes",
    )
    voxel.add_argument(
        "--seed", type=seed, help="first world, where the client names none (default: any)"
    )
    voxel.add_argument(
        "--detail",
        type=int,
        choices=(1, 3, 5),
        default=3,
        help="of large pictures: 1 is the fastest, 5 draws each pixel of 640 x 360",
    )
    voxel.add_argument("--json", action="store_true", help="print the answer as JSON")


def run_voxel(args: argparse.Namespace) -> int:
    if args.malmo_launcher:
        return _write_launcher(args)
    from bridges.malmo.server import MalmoServer, run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    server = MalmoServer(args.malmo_port, args.seed, args.detail)
    run(server, lambda listening: announce(listening, args.json))
    return 0


def announce(server: MalmoServer, as_json: bool) -> None:
    """Say where it listens in the words that minerl waits for, or as a line of JSON."""
    from bridges.malmo.launcher import READY, STARTED

    if as_json:
        say_json({"port": server.port})
    else:
        say(STARTED.format(server.port))
        say(READY)
    remark("minerl may connect now (Ctrl-C ends)")


def _write_launcher(args: argparse.Namespace) -> int:
    from bridges.malmo.launcher import write_launcher

    folder = str(write_launcher(args.malmo_launcher.absolute()))
    line = f"minerl.env.malmo.InstanceManager.MINECRAFT_DIR = {folder!r}"
    return answer({"minecraft_dir": folder}, args.json, lambda: say(line))
