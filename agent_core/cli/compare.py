"""The `compare` command: the paper's comparison of pre-training, fine-tuning and training from scratch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agent_core.cli.arguments import UsageError, add_command
from agent_core.cli.output import answer, remark, table
from agent_core.cli.termination import leaves_on_sigterm

RECIPE = Path(__file__).parents[1] / "recipes" / "table-2.toml"


def add(commands: Any) -> None:
    """Add the subcommand."""
    compare = add_command(
        commands,
        "compare",
        "train from scratch, pre-train and fine-tune on several games, and compare: the paper's Table 2",
        run_compare,
        "iafm compare --run runs/table-2\n"
        "iafm compare agent_core/recipes/table-2-small.toml --run runs/table-2-small\n"
        "iafm compare --run runs/table-2 --set seeds=[0] --set games.voxel.data=data/voxel\n"
        "iafm compare --run runs/table-2 --table",
    )
    compare.add_argument(
        "recipe", type=Path, nargs="?", help="TOML file (default: recipes/table-2.toml)"
    )
    compare.add_argument(
        "--run",
        type=Path,
        default=Path("runs/table-2"),
        help="folder of everything; run again to go on",
    )
    compare.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="such as seeds=[0,1] or finetune.train.steps=500",
    )
    compare.add_argument(
        "--table", action="store_true", help="run nothing, show the table of what is finished"
    )
    compare.add_argument("--json", action="store_true", help="print the table as JSON")


def run_compare(args: argparse.Namespace) -> int:
    import logging

    from agent_core.evaluation.comparison.chart import draw_chart
    from agent_core.evaluation.comparison.recipe import load_recipe
    from agent_core.evaluation.comparison.results import Results
    from agent_core.evaluation.comparison.runner import CHART, MARKDOWN, run_comparison, write_table
    from agent_core.evaluation.comparison.stages import Plan, StoppedError
    from agent_core.evaluation.comparison.table import HEAD, rows

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = load_recipe(args.recipe or RECIPE, args.set)
    if args.table:
        if not args.run.is_dir():
            raise UsageError(f"compare: no folder {args.run}; name one with --run")
        report = write_table(Plan(recipe, args.run), Results(args.run))
        draw_chart(report, args.run / CHART)
    else:
        try:
            with leaves_on_sigterm():
                report = run_comparison(recipe, args.run)
        except (StoppedError, KeyboardInterrupt) as stopped:
            remark("stopped; run it again to go on")
            return stopped.exit_code if isinstance(stopped, StoppedError) else 130
    remark(f"{args.run / MARKDOWN}: {report['finished']} of {report['stages']} stages")
    return answer(report, args.json, lambda: table(HEAD, rows(report)))
