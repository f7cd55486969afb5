"""The `iafm` command: exit 0 is fine, 2 is the user's mistake (one line says which), a traceback is our bug."""

from __future__ import annotations

import argparse
import sys

from agent_core.cli import data_and_training, inspect, serving
from bridges.errors import BridgeError, PolicyError
from games import ActionError, UnplayableError
from games.registry import UnknownGameError
from recorder import CaptureError

EPILOG = """\
examples:
  iafm demo                                  watch the shipped checkpoint play, in your browser
  iafm serve                                 let your own game attach (bridges/PROTOCOL.md)
  iafm record voxel                          play yourself and record it
  iafm record voxel --expert --episodes 100  let the scripted expert play
  iafm train --set data.episodes='["data/voxel"]' --set train.minutes=10
  iafm evaluate voxel --checkpoint runs/voxel/best
  iafm ask why                               ask the running player why
"""


def parser() -> argparse.ArgumentParser:
    """All subcommands and their options."""
    top = argparse.ArgumentParser(
        prog="iafm",
        description="An AI player that any game can attach over a websocket.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (serving, data_and_training, inspect):
        module.add(commands)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = parser().parse_args(argv)
    try:
        return int(args.handler(args))
    except (
        ActionError,
        BridgeError,
        CaptureError,
        PolicyError,
        UnknownGameError,
        UnplayableError,
    ) as error:
        return _mistake(error)
    except (ValueError, RuntimeError) as error:
        if type(error).__module__.startswith("agent_core."):
            return _mistake(error)
        raise
    except KeyboardInterrupt:
        return 130


def _mistake(error: Exception) -> int:
    sys.stderr.write(f"iafm: {error}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
