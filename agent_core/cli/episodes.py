"""The `episodes` command: list, show, stats, validate, recover, export, import and download."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_core.cli.arguments import (
    UsageError,
    add_command,
    non_negative_int,
    path_or_address,
    positive_number,
    words,
    writable_folder,
)
from agent_core.cli.episode_tables import show_list, show_stats, show_steps, show_validation
from agent_core.cli.output import answer, fields, records, remark, remarks
from agent_core.cli.termination import leaves_on_sigterm
from agent_core.training.progress_bar import ProgressBar

if TYPE_CHECKING:  # the help of every command loads none of it
    from recorder import DownloadPlan


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
        "iafm episodes import MineRLBasaltFindCave-v0 --instruction 'find a cave' --out data/caves\n"
        "iafm episodes download find-cave-Jul-28.json --limit-gb 5 --out recordings",
    )
    episodes.description = (
        "Look after recorded episodes. What others recorded is imported from a folder: recordings of "
        "Minecraft as VPT's and BASALT's contractors made them (NAME.mp4 beside NAME.jsonl), Bleeding Edge's .npz "
        "files, the arena's replay files (.npz too), Doom's demos (a WAD, or .lmp files beside one), a LeRobotDataset, "
        "or clips with a captions.jsonl. "
        "`download` fetches the recordings that an index file of VPT or BASALT lists, and goes on where it was stopped."
    )
    episodes.add_argument(
        "action",
        choices=("list", "show", "stats", "validate", "recover", "export", "import", "download"),
        help="what to do",
    )
    episodes.add_argument(
        "path",
        type=path_or_address,
        nargs="?",
        default=Path("data/voxel"),
        help="folder of episodes; download: the index file, or its address",
    )
    episodes.add_argument(
        "--out",
        type=Path,
        help="export: where it is written, or extended (default: PATH-FORMAT); "
        "import: where the captures go (default: data/ and the folder's name); download: where the files go",
    )
    episodes.add_argument(
        "--format",
        choices=("lerobot", "bleeding-edge", "vpt", "brawl", "doom", "captions"),
        help="export: lerobot (v3.0, the default), bleeding-edge, an .npz file an episode of a game with two "
        "sticks, or vpt, an .mp4 and a .jsonl an episode of Minecraft; import: what the files are (default: by their "
        "names)",
    )
    _import_options(episodes)
    _download_options(episodes)
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


def _download_options(episodes: argparse.ArgumentParser) -> None:
    episodes.add_argument(
        "--limit-gb",
        type=positive_number,
        default=5.0,
        help="download: size of all recordings in the folder, 10^9 bytes (default: %(default)s)",
    )
    episodes.add_argument(
        "--match",
        type=words,
        default="",
        metavar="PATTERN",
        help="download: only recordings whose path in the index holds this (6.13/, find-cave, *-20220715-*)",
    )
    episodes.add_argument("--yes", action="store_true", help="download: begin without asking")


def run_episodes(args: argparse.Namespace) -> int:
    if args.action == "download":
        report = _download(args)
        answer(report, args.json, lambda: fields(_counted(report)))
        return int(bool(report["skipped"]))
    if isinstance(args.path, str):
        raise UsageError(f"episodes: {args.action} takes a folder, not {args.path}; see download")
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
    with leaves_on_sigterm(), remarks("iafm.import"), ProgressBar("importing") as update:
        return import_episodes(args.path, target, args.game, options, update, strict=args.strict)


def _download(args: argparse.Namespace) -> dict[str, Any]:
    from recorder import plan_download, read_index, run_download

    name = str(args.path).rstrip("/").rpartition("/")[2].removesuffix(".json")
    out = writable_folder(args.out or Path("data") / name)
    try:
        with remarks("iafm.download"):
            index = read_index(str(args.path)).matching(args.match)
            if not index.recordings:
                raise UsageError(f"download: {args.path} has no recording like {args.match!r}")
            with ProgressBar("asking for sizes") as update:
                plan = plan_download(index, out, args.limit_gb * 1e9, progress=update)
            missing = plan.missing
            _confirm(plan, args.yes)
            with ProgressBar("downloading") as update:
                report = run_download(plan, progress=Rate(update))
    except KeyboardInterrupt:
        remark("stopped; the same command goes on from here")
        raise
    return {
        "added": report.added,
        "held": plan.held,
        "skipped": [{"source": each.source, "why": each.why} for each in report.skipped],
        "left_out": plan.left_out,
        "bytes": missing - plan.missing,
        "out": str(out),
    }


def _confirm(plan: DownloadPlan, is_confirmed: bool) -> None:
    """Say what a download takes, and ask; raises `UsageError` where nobody wants it or can be asked."""
    new = f"{len(plan.recordings):,} recordings of {plan.size / 1e9:.2f} GB"
    rest = f"{plan.held:,} are there, {plan.left_out:,} more are beyond --limit-gb"
    remark(f"{new} go to {plan.out}, of which {plan.missing / 1e9:.2f} GB are missing; {rest}")
    if is_confirmed or not plan.recordings:
        return
    if not sys.stdin.isatty():
        raise UsageError("download: nobody can be asked here; --yes begins")
    sys.stderr.write("Download them? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("download: nothing was downloaded")


class Rate:
    """Bytes as a share of a progress bar, with the rate since the first call and the time that is left."""

    def __init__(
        self,
        update: Callable[[float, float, str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._update, self._clock = update, clock
        self._begin: tuple[float, float] | None = None

    def __call__(self, done: float, total: float, name: str) -> None:
        now = self._clock()
        if self._begin is None or done < self._begin[1]:
            self._begin = (now, done)
        rate = (done - self._begin[1]) / max(now - self._begin[0], 1e-3)
        left = f", {(total - done) / rate / 60:.0f} min left" if rate else ""
        size = f"{done / 1e9:.2f} of {total / 1e9:.2f} GB"
        share = done / total if total else 1.0
        self._update(share, 1.0, f"{size}, {rate / 1e6:.1f} MB/s{left}, {name}")
