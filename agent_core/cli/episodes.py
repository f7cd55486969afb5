"""The `episodes` command: list, show, stats, validate, recover, export and import."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent_core.cli.arguments import add_command, non_negative_int, words, writable_folder
from agent_core.cli.episode_tables import show_list, show_stats, show_steps, show_validation
from agent_core.cli.output import answer, fields, records, remark, remarks
from agent_core.training.progress_bar import ProgressBar


def add(commands: Any) -> None:
    """Add the subcommand."""
    episodes = add_command(
        commands,
        "episodes",
        "look after recorded episodes",
        run_episodes,
        "iafm episodes stats data/voxel\niafm episodes export data/voxel --out data/voxel-lerobot\n"
        "iafm episodes export data/minecraft --format vpt --out data/minecraft-vpt\n"
        "iafm episodes import RECORDINGS --game minecraft --out data/minecraft\n"
        "iafm episodes import MineRLBasaltFindCave-v0 --instruction 'find a cave' --out data/caves",
    )
    episodes.description = (
        "Look after recorded episodes. What others recorded is imported from a folder: recordings of "
        "Minecraft as VPT's and BASALT's contractors made them (NAME.mp4 beside NAME.jsonl), Bleeding Edge's .npz "
        "files, Doom's demos (a WAD, or .lmp files beside one), a LeRobotDataset, or clips with a captions.jsonl."
    )
    episodes.add_argument(
        "action",
        choices=("list", "show", "stats", "validate", "recover", "export", "import"),
        help="what to do",
    )
    episodes.add_argument(
        "path", type=Path, nargs="?", default=Path("data/voxel"), help="folder of episodes"
    )
    episodes.add_argument(
        "--out",
        type=Path,
        help="export: where it is written, or extended (default: PATH-FORMAT); "
        "import: where the captures go (default: data/ and the folder's name)",
    )
    episodes.add_argument(
        "--format",
        choices=("lerobot", "bleeding-edge", "vpt", "doom", "captions"),
        help="export: lerobot (v3.0, the default), bleeding-edge, an .npz file an episode of a game with two "
        "sticks, or vpt, an .mp4 and a .jsonl an episode of Minecraft; import: what the files are (default: by their "
        "names)",
    )
    _import_options(episodes)
    episodes.add_argument(
        "--strict",
        action="store_true",
        help="stop at the first that cannot be read, instead of skipping it (exit 1 where anything was skipped)",
    )
    episodes.add_argument("--json", action="store_true", help="print the report as JSON")


def _import_options(episodes: argparse.ArgumentParser) -> None:
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
        type=non_negative_int,
        nargs="+",
        default=[],
        help="import: which numbers of that column are the game's, in its order (0 1)",
    )
    episodes.add_argument(
        "--instruction",
        default="",
        help="import: what the player of Minecraft was told (default: by BASALT's folder)",
    )
    episodes.add_argument(
        "--task",
        type=words,
        default="",
        help="import: the task's name (default: by BASALT's folder)",
    )
    episodes.add_argument(
        "--recorder-version",
        type=words,
        default="",
        metavar="VERSION",
        help="import: of Minecraft's recorder, such as 6.9 (default: by index file or folder)",
    )


def run_episodes(args: argparse.Namespace) -> int:
    if args.action in ("export", "import"):
        report = (_export if args.action == "export" else _import)(args)
        answer(report, args.json, lambda: fields(_counted(report)))
        return int(bool(report["skipped"] or report.get("dropped")))
    from agent_core.recording.episodes import manage_episodes

    with ProgressBar("validating", shown=args.action == "validate") as update:
        result = manage_episodes(args.action, args.path, strict=args.strict, progress=update)
    name_skipped(result.skipped)
    rows = result.rows
    answer(rows, args.json, lambda: _VIEWS[args.action](rows))
    return int(result.has_problems)


_VIEWS = {
    "list": show_list,
    "show": show_steps,
    "stats": show_stats,
    "validate": show_validation,
    "recover": records,
}


def name_skipped(skipped: Sequence[Any]) -> None:
    """A remark for each capture that cannot be read, and how many there are."""
    for each in skipped:
        remark(f"skipped {each.source}: {each.why}")
    if skipped:
        remark(f"{len(skipped):,} skipped; --strict stops at the first")


def _counted(report: dict[str, Any]) -> dict[str, Any]:
    """A report for people, in which what was skipped is a number: standard error names it."""
    return {**report, "skipped": len(report["skipped"])}


def _export(args: argparse.Namespace) -> dict[str, Any]:
    from agent_core.recording.episodes import export_episodes

    name = args.format or "lerobot"
    target = writable_folder(args.out or args.path.with_name(f"{args.path.name}-{name}"))
    with remarks("iafm.export"), ProgressBar("exporting") as update:
        return export_episodes(args.path, target, update, format_name=name, strict=args.strict)


def _import_name(path: Path) -> str:
    """The folder's name, or a single file's without its suffix."""
    return path.stem if path.is_file() else path.name


def _import(args: argparse.Namespace) -> dict[str, Any]:
    from agent_core.recording.episodes import ImportOptions, import_episodes
    from recorder import ActionColumns

    target = writable_folder(args.out or Path("data") / _import_name(args.path))
    options = ImportOptions(
        camera=args.camera,
        columns=ActionColumns(args.action_column, tuple(args.numbers)),
        instruction=args.instruction,
        task=args.task,
        recorder_version=args.recorder_version,
        format_name=args.format or "",
    )
    with remarks("iafm.import"), ProgressBar("importing") as update:
        return import_episodes(args.path, target, args.game, options, update, strict=args.strict)
