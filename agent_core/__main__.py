"""The `iafm` command: exit code 0 for success, 2 for the user's mistake in one line, a traceback for our bug."""

from __future__ import annotations

import errno
import os
import sys

from agent_core.cli import (
    compare,
    episodes,
    inspect,
    minecraft,
    record,
    replay,
    serve,
    serving,
    training,
    voxel,
)
from agent_core.cli.arguments import Parser, PrintCompletion, ShowVersion, UsageError
from agent_core.cli.output import remark

EXAMPLES = """\
iafm demo                                  watch the shipped checkpoint play, in your browser
iafm serve                                 let your own game attach (bridges/PROTOCOL.md)
iafm record voxel                          play yourself and record it
iafm record voxel --expert --episodes 100  let the scripted expert play
iafm train --game voxel                    settings from its episodes in data/voxel
iafm evaluate voxel --checkpoint runs/voxel/best
iafm replay data/voxel                     what it would do in recorded matches
iafm ask why                               ask the running player why
iafm instruct "chop a tree"                give it another goal
"""
FULL_OR_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""Errors of the system that the user can mend: no permission, a read-only or full disk."""
AGENT_EXTRA = ("torch", "safetensors", "tokenizers", "sacrebleu", "matplotlib", "tensorboard")
"""Packages of the extra `agent`; a bare install has none of them."""


def parser() -> Parser:
    """All subcommands and their options."""
    top = Parser(
        prog="iafm",
        description="An AI player that any game can attach over a websocket.",
        examples=EXAMPLES,
    )
    top.add_argument("--version", action=ShowVersion, help="print the version and exit")
    top.add_argument(
        "--print-completion",
        action=PrintCompletion,
        metavar="SHELL",
        help="print a completion script for bash, zsh or tcsh and exit",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = (
        *(serving, serve, record, training, compare, episodes, replay),
        *(inspect, minecraft, voxel),
    )
    for module in modules:
        module.add(commands)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        args = parser().parse_args(argv)
        return int(args.handler(args))
    except BrokenPipeError:
        return _reader_left()
    except OSError as error:
        if error.errno in FULL_OR_FORBIDDEN:
            return _mistake(f"{error.strerror}: {error.filename or 'while writing'}")
        raise
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in AGENT_EXTRA:
            raise
        return _mistake(f"this command needs {error.name}: pip install 'iafm[agent]'")
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not isinstance(error, user_errors()):
            raise
        return _mistake(error)


def user_errors() -> tuple[type[Exception], ...]:
    """The errors that a user can cause and mend; loaded only when something was raised."""
    from agent_core import errors
    from bridges.errors import BridgeError, PolicyError
    from games import ActionError, UnplayableError
    from games.registry import UnknownGameError
    from recorder import CaptureError

    elsewhere = (
        ActionError,
        BridgeError,
        CaptureError,
        PolicyError,
        UnknownGameError,
        UnplayableError,
    )
    return (UsageError, *elsewhere, *errors.ALL)


def _mistake(error: Exception | str) -> int:
    remark(f"iafm: {error}")
    return 2


def _reader_left() -> int:
    """The reader of a pipe has gone (`| head`): nothing more is written, also not at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + 13  # as of a process that SIGPIPE ended


if __name__ == "__main__":
    sys.exit(main())
