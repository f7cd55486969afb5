"""Comparison chart: BLEU-4 and success of every condition, a point a seed, beside baselines and references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent_core.evaluation.comparison.recipe import TITLES
from agent_core.evaluation.comparison.table import PLAYER_TITLES, Table
from recorder.format.atomic import replaced_file

PANELS = {"with_actions": "BLEU-4", "frames_only": "BLEU-4, frames only", "success": "success"}


def draw_chart(table: Table, path: Path) -> None:
    """Write a PNG: a row of panels a game. Bars are means, whiskers the range over seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    games = table["games"]
    figure = Figure(figsize=(13, 3 * len(games)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(games), len(PANELS), squeeze=False, sharey="row")
    for row, (game, figures) in zip(grid, games.items(), strict=True):
        for axes, (panel, title) in zip(row, PANELS.items(), strict=True):
            _draw_bars(axes, figures["conditions"], panel)
            _draw_references(axes, figures, panel)
            axes.set(
                title=f"{game}: {title}", xlim=(0, 1), ylim=(len(figures["conditions"]) - 0.5, -0.5)
            )
    with replaced_file(path) as draft:
        figure.savefig(draft, dpi=100, format="png")


def _draw_bars(axes: Any, conditions: Table, panel: str) -> None:
    axes.set_yticks(range(len(conditions)), [TITLES[name] for name in conditions])  # type: ignore[index]
    for place, each in enumerate(conditions.values()):
        values = each["success"] if panel == "success" else each[panel]["bleu4"]
        if values is None:
            axes.text(0.01, place, "–", va="center")
            continue
        mean = values["mean"]
        whiskers = [[mean - values["min"]], [max(0.0, values["max"] - mean)]]
        axes.barh(place, mean, xerr=whiskers, capsize=3, color="tab:blue", alpha=0.6)


def _draw_references(axes: Any, figures: Table, panel: str) -> None:
    """Vertical lines: the baselines' BLEU-4, or the success of the expert and of random play."""
    if panel == "success":
        lines = {n: share and share["mean"] for n, share in figures["players"].items()}
    else:
        lines = {n: scores and scores["bleu4"] for n, scores in figures["baselines"].items()}
    for (name, value), style in zip(lines.items(), ("--", ":"), strict=True):
        if value is not None:
            axes.axvline(value, linestyle=style, color="black", label=PLAYER_TITLES[name])
    if any(value is not None for value in lines.values()):
        axes.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.08))
