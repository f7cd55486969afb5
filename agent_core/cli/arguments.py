"""Arguments of the command line: one type per kind of number, defaults in every help, mistakes in one line."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

SEED_MAX = 2**63 - 1
"""Seeds are stored as signed 64-bit integers."""
PICTURE_SUFFIXES = (".png", ".pdf", ".svg")
VIDEO_SUFFIXES = (".mp4",)
CHECKPOINT_HELP = "folder or hub:owner/name (default: the shipped one of the game)"
TEMPERATURE_HELP = "0 always takes the most probable action"
GAME_HELP = "a name, an id, module:NAME or minerl:TASK"
SHELLS = ("bash", "zsh", "tcsh")


class UsageError(RuntimeError):
    """The command line is wrong; one line says what, the value, and the way out."""


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UsageError` with the closest known word, and shows defaults in its help."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", HelpFormatter)
        if examples:
            lines = "\n".join(f"  {line}" for line in examples.strip().splitlines())
            kwargs.setdefault("epilog", f"examples:\n{lines}")
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition(" ")[2]
        about = f"{command}: " if command else ""
        raise UsageError(f"{about}{message.removeprefix('argument ')} (see `{self.prog} --help`)")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but what is unknown gets a suggestion from the subcommand's own options."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parser = subparsers(self).get(getattr(parsed, "command", None) or "", self)
            options = [option for action in parser._actions for option in action.option_strings]
            hint = _closest(unknown[0].partition("=")[0], options)
            parser.error(f"unknown argument {unknown[0]!r}{hint}")
        return parsed

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        hint = _closest(str(value), choices) or f"; there are {', '.join(choices)}"
        if isinstance(action, argparse._SubParsersAction):
            raise UsageError(f"no command {value!r}{hint} (see `{self.prog} --help`)")
        raise argparse.ArgumentError(action, f"no choice {value!r}{hint}")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Appends the default to an option's help, unless the help names it; descriptions wrap, examples do not."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        hidden = (not action.default and action.default != 0) or isinstance(action.default, bool)
        if hidden or action.default == argparse.SUPPRESS or "default" in text:
            return text
        if not action.option_strings and action.nargs != argparse.OPTIONAL:
            return text
        return f"{text} (default: %(default)s)".strip()

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


class ShowVersion(argparse.Action):
    """Prints the installed version and exits."""

    def __init__(self, option_strings: list[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"iafm {version('iafm')}\n")
        parser.exit()


class PrintCompletion(argparse.Action):
    """Prints a shell's completion script and exits; files are completed where a path is expected."""

    def __init__(self, option_strings: list[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, choices=SHELLS, default=argparse.SUPPRESS, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, _: Any, shell: Any, *rest: Any) -> None:
        import shtab

        for command in (parser, *subparsers(parser).values()):
            for action in command._actions:
                if action.type in (Path, path_or_address, picture_file, video_file):
                    action.complete = shtab.FILE  # type: ignore[attr-defined]
        sys.stdout.write(shtab.complete(parser, shell) + "\n")
        parser.exit()


def add_command(
    commands: Any,
    name: str,
    summary: str,
    handler: Callable[[argparse.Namespace], int],
    examples: str = "",
) -> argparse.ArgumentParser:
    """Add a subcommand; `examples` are command lines, one a line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", examples=examples
    )
    parser.set_defaults(handler=handler)
    return parser


def game_argument(parser: argparse.ArgumentParser) -> None:
    """The game that a command is about, and the port of a Minecraft process for MineRL's."""
    parser.add_argument("game", nargs="?", default="voxel", help=GAME_HELP)
    parser.add_argument(
        "--malmo-port",
        type=port,
        metavar="PORT",
        help="minerl: attach to the Minecraft process, or `iafm voxel --malmo-port`, that listens there",
    )


def game_at_port(args: argparse.Namespace) -> str:
    """The game's name, with the port of `--malmo-port` among its options."""
    if args.malmo_port is None:
        return str(args.game)
    if not args.game.startswith("minerl:"):
        raise UsageError(f"--malmo-port is for minerl:TASK, not {args.game!r}; leave it out")
    return f"{args.game},port={args.malmo_port}"


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a parser's commands by name; empty where it has none."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def words(text: str) -> str:
    """Text that can be sent and stored: valid Unicode."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"text in UTF-8, not {text!r}") from None
    return text


def path_or_address(text: str) -> Path | str:
    """A path, or as it is the address of something on a server."""
    return text if "://" in text else Path(text)


def positive_int(text: str) -> int:
    """A count: a whole number from 1 on."""
    return _whole(text, 1, "a whole number from 1 on")


def non_negative_int(text: str) -> int:
    """A whole number from 0 on."""
    return _whole(text, 0, "a whole number from 0 on")


def seed(text: str) -> int:
    """A world's seed: 0 to 2⁶³-1."""
    return _whole(text, 0, "a whole number from 0 to 2**63-1", SEED_MAX)


def seed_or_held_out(text: str) -> int | str:
    """`held-out`, or a seed."""
    if text == "held-out":
        return text
    return _whole(text, 0, "held-out or the first seed, a whole number from 0 on", SEED_MAX)


def port(text: str) -> int:
    """A TCP port; 0 takes a free one."""
    return _whole(text, 0, "a port from 0 to 65535 (0: any free one)", 65535)


def positive_number(text: str) -> float:
    """A finite number above 0: seconds, steps per second."""
    return _number(text, lambda value: value > 0, "a number above 0")


def non_negative_number(text: str) -> float:
    """A finite number from 0 on: a temperature."""
    return _number(text, lambda value: value >= 0, "a number from 0 on")


def probability(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, lambda value: 0 <= value <= 1, "a probability from 0 to 1")


def picture_file(text: str) -> Path:
    """A file to write a picture to, in a folder that can be written."""
    return _written_file(text, "picture", PICTURE_SUFFIXES)


def video_file(text: str) -> Path:
    """A file to write a video to, in a folder that can be written."""
    return _written_file(text, "video", VIDEO_SUFFIXES)


def _written_file(text: str, what: str, suffixes: tuple[str, ...]) -> Path:
    path = Path(text)
    if path.suffix.lower() not in suffixes:
        names = ", ".join(suffixes)
        raise argparse.ArgumentTypeError(f"a {what}'s name ends in {names}, got {text!r}")
    reason = _no_writing(path.parent)
    if reason or path.is_dir():
        raise argparse.ArgumentTypeError(f"cannot write {path}: {reason or 'Is a directory'}")
    return path


def writable_folder(path: Path) -> Path:
    """`path` where episodes can be written there, or in the folder that is to be made; else raises `UsageError`."""
    if reason := _no_writing(path):
        raise UsageError(f"cannot write to {path}: {reason}; name another folder with --out")
    return path


def _no_writing(folder: Path) -> str | None:
    """Why no file can be made in `folder`, or in its nearest parent that exists; None where one can."""
    try:
        while not _exists(folder):
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            return None
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _whole(text: str, low: int, wanted: str, high: float = math.inf) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{wanted}, not {text!r}")
    return value


def _number(text: str, allowed: Callable[[float], bool], wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and allowed(value)):
        raise argparse.ArgumentTypeError(f"{wanted}, not {text!r}")
    return value


def _closest(word: str, known: Iterable[str]) -> str:
    from games.spec import did_you_mean

    return did_you_mean(word, known)
