"""Comparison run: the stages one after the other, each kept when it is finished, and the table of what there is.

In a comparison's folder: recipe.json, data/ and matches/ (recordings), cache/ (decoded frames), seed-N/ (the runs of
the trainings), results/ (finished stages), table.json and table.md after each stage, table.png at the end. Ended in
whatever way, it goes on with the stage that was under way when it is run again.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from agent_core.evaluation.comparison.chart import draw_chart
from agent_core.evaluation.comparison.recipe import Recipe
from agent_core.evaluation.comparison.results import Results
from agent_core.evaluation.comparison.stages import Plan
from agent_core.evaluation.comparison.table import Table, build_table, markdown
from agent_core.training.run_dir import locked_run_dir
from recorder.format.atomic import write_atomic

logger = logging.getLogger("iafm.compare")
JSON, MARKDOWN, CHART = "table.json", "table.md", "table.png"


def run_comparison(recipe: Recipe, root: Path) -> Table:
    """Run what is not finished; returns the table.

    Raises `StoppedError` where a signal ended a training, `ConfigError` for the folder of another recipe, and what
    recording, training and evaluation raise. Finished stages stay.
    """
    with locked_run_dir(root):
        plan, results = Plan(recipe, root), Results(root)
        stages = list(plan.stages())
        is_finished = [results.get(stage.name, stage.settings) is not None for stage in stages]
        write_atomic(root / "recipe.json", recipe.model_dump_json(indent=1))
        for number, stage in enumerate(stages, 1):
            if is_finished[number - 1]:
                continue
            logger.info("stage %d of %d: %s", number, len(stages), stage.title)
            results.put(stage.name, stage.settings, stage.work())
            write_table(plan, results)
        table = write_table(plan, results)
        draw_chart(table, root / CHART)
        return table


def write_table(plan: Plan, results: Results) -> Table:
    """Write the table of what is finished, as JSON and Markdown."""
    table = build_table(plan, results)
    write_atomic(plan.root / JSON, json.dumps(table, indent=1))
    write_atomic(plan.root / MARKDOWN, markdown(table))
    return table
