"""The `replay` command: recorded matches replayed to a player, and its actions beside the recorded player's."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_core.cli.arguments import UsageError, add_command, video_file, words
from agent_core.cli.early_end import exit_code, remark_failures
from agent_core.cli.output import answer, plain, remark, remarks, say_json, table
from agent_core.cli.serving import build_policy, policy_options, read_token
from agent_core.cli.termination import leaves_on_sigterm
from agent_core.training.progress_bar import ProgressBar
from bridges.errors import BridgeError

if TYPE_CHECKING:  # the help of every command loads none of these
    from recorder import EpisodeSet, Skipped


def add(commands: Any) -> None:
    """Add the subcommand."""
    replay = add_command(
        commands,
        "replay",
        "replay recorded matches to a player, and score what it would do against what was done",
        run_replay,
        "iafm replay data/voxel\niafm replay data/voxel --checkpoint runs/voxel/best --video both.mp4\n"
        "iafm replay RECORDINGS --game minecraft --url ws://127.0.0.1:8765/v1 --json\n"
        "iafm replay data/voxel --live",
    )
    replay.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="folder of episodes, or of recordings that `iafm episodes import` takes",
    )
    replay.add_argument("--game", type=words, help="the game of what others recorded")
    replay.add_argument(
        "--url", type=words, help="ask the player of this server (default: serve one here)"
    )
    replay.add_argument("--token-file", type=Path, help="file with that server's token")
    replay.add_argument(
        "--realtime", action="store_true", help="at the recording's own pace, not flat out"
    )
    replay.add_argument(
        "--video",
        type=video_file,
        metavar="FILE",
        help="write a video of the frames with recorded and predicted controls side by side (.mp4)",
    )
    replay.add_argument(
        "--live",
        action="store_true",
        help="score nothing: let the console follow, pause, step and scrub, and ask with another goal",
    )
    policy_options(replay)
    replay.set_defaults(temperature=0.0, port=0)
    replay.add_argument(
        "--strict", action="store_true", help="stop at the first match that cannot be read"
    )
    replay.add_argument("--json", action="store_true", help="print the report as JSON")


def run_replay(args: argparse.Namespace) -> int:
    _check(args)
    with leaves_on_sigterm(), ExitStack() as stack:
        imported = stack.enter_context(tempfile.TemporaryDirectory(prefix="iafm-replay-"))
        episodes = _open(args, Path(imported))
        url = args.url or stack.enter_context(_served(args, episodes[0].spec.name))
        if args.live:
            return _live(args, episodes, url)
        report = _replay(args, episodes, url)
    if report["agent"] == report["agent_free_running"]:
        how = "" if args.url else "; --condition-on-actions lets it"
        remark(f"running freely the player did the same: it does not look at earlier actions{how}")
    remark_failures(report)
    shown = answer(report, args.json, lambda: show_report(report))
    return shown or exit_code(report) or int(bool(report["skipped"]))


def _check(args: argparse.Namespace) -> None:
    """Raise `UsageError` for options that exclude each other."""
    if args.url and args.checkpoint:
        raise UsageError("replay: --checkpoint is for a player served here; leave it or --url out")
    if args.live and args.video:
        raise UsageError("replay: --video is of a replay from end to end; leave it or --live out")


def _open(args: argparse.Namespace, imported: Path) -> EpisodeSet:
    from agent_core.evaluation.replay import gaps
    from agent_core.recording.matches import open_matches

    with remarks("iafm.import"), ProgressBar("reading") as update:
        episodes = open_matches(
            args.paths, imported, game=args.game, strict=args.strict, progress=update
        )
    for line in filter(None, map(gaps, episodes)):
        remark(line)
    if not len(episodes):
        raise UsageError(f"replay: none of {len(episodes.skipped)} matches can be read")
    return episodes


def _name_skipped(skipped: Skipped, *, strict: bool = False) -> None:
    """Name what is left out, or raise `CaptureError` with it."""
    from recorder import CaptureError

    if strict:
        raise CaptureError(f"{skipped.source}: {skipped.why}")
    remark(f"skipped {skipped.source}: {skipped.why}")


@contextmanager
def _served(args: argparse.Namespace, game: str) -> Iterator[str]:
    """The address of a server of the policy that the options name."""
    from bridges.testing.background_server import background_server

    with background_server(build_policy(args, game), port=args.port) as server:
        yield server.url


def _replay(args: argparse.Namespace, episodes: EpisodeSet, url: str) -> dict[str, Any]:
    from agent_core.evaluation.replay import MatchReplay
    from agent_core.evaluation.side_by_side import SideBySideVideo
    from bridges.replay import ReplayClient

    spec, done = episodes[0].spec, 0
    pace_hz = spec.step_hz if args.realtime else None
    with ExitStack() as stack:
        client = stack.enter_context(
            ReplayClient(url, spec, pace_hz=pace_hz, token=read_token(args.token_file))
        )
        for warning in client.warnings:
            remark(warning)
        video = stack.enter_context(SideBySideVideo(args.video, spec)) if args.video else None
        update = stack.enter_context(ProgressBar("replaying"))
        replay = MatchReplay(client, spec)
        replay.skip(*episodes.skipped)

        def on_step(*step: Any) -> None:
            nonlocal done
            done += 1
            update(done, episodes.steps)
            if video is not None:
                video.write(*step)

        interrupted, stopped = False, None
        try:
            for episode in episodes:
                if skipped := replay.run(episode, on_step):
                    _name_skipped(skipped, strict=args.strict)
        except (KeyboardInterrupt, BridgeError) as error:
            if not replay.matches:
                raise
            interrupted = isinstance(error, KeyboardInterrupt)
            stopped = None if interrupted else str(error)
    return {**replay.report(), "interrupted": interrupted, "stopped": stopped}


def _live(args: argparse.Namespace, episodes: EpisodeSet, url: str) -> int:
    """Replay until Ctrl-C, as consoles ask."""
    from agent_core.evaluation.replay import recorded_match
    from bridges.live_replay import LiveReplay
    from bridges.protocol.address import console_url

    token = read_token(args.token_file)
    with LiveReplay(url, episodes[0].spec, token=token) as replay:
        for warning in replay.warnings:
            remark(warning)
        page = console_url(url)
        if args.json:
            say_json({"console_url": page})
        remark(f"console: {page}   (Ctrl-C ends)")
        with suppress(KeyboardInterrupt):
            replay.run([recorded_match(episode) for episode in episodes])
    return 0


def show_report(report: dict[str, Any]) -> None:
    """The scores, a column a player, with 95 % intervals."""
    from agent_core.evaluation.match_scores import NAMES
    from agent_core.evaluation.replay import TITLES

    rows = [
        (title, *(_cell(report[player], name) for player in TITLES))
        for name, title in NAMES.items()
        if any(report[player][name] is not None for player in TITLES)
    ]
    buttons = report["agent"]["buttons"]
    rows += [
        (f"F1 of {button}", *(plain(report[player]["buttons"][button]) for player in TITLES))
        for button in buttons
        if any(report[player]["buttons"][button] is not None for player in TITLES)
    ]
    matches = f"{report['matches']} match{'es' * (report['matches'] != 1)}"
    title = (
        f"{report['game']}: {matches}, {report['steps']:,} steps; mean by match (bootstrap 95 %)"
    )
    table(("score", *TITLES.values()), rows, title=title)


def _cell(scores: dict[str, Any], name: str) -> str:
    interval = scores["intervals"][name]
    value = plain(scores[name])
    return value if interval is None else f"{value}  [{plain(interval[0])}–{plain(interval[1])}]"
