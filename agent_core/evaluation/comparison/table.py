"""Comparison table: means and ranges over seeds of what is finished, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent_core.evaluation.comparison.recipe import TITLES, Condition
from agent_core.evaluation.comparison.results import Result, Results
from agent_core.evaluation.comparison.scoring import BASELINES
from agent_core.evaluation.comparison.stages import PROTOCOLS, Plan, Stage, trainings_of
from agent_core.evaluation.metrics import wilson_interval

Table = dict[str, Any]
SCORES = ("bleu4", "exact", "button_f1", "change_f1", "camera_deg", "stick_deg")
PLAYER_TITLES = {
    "noop": "no action",
    "repeat_last": "repeat the last",
    "expert": "scripted expert",
    "random": "random play",
}
HEAD = (
    *("game", "condition", "steps", "frames", "seeds", "BLEU-4", "F1 at changes"),
    *("BLEU-4, frames only", "F1 at changes, frames only", "success"),
)
UNFINISHED = "–"


def build_table(plan: Plan, results: Results) -> Table:
    """The table of the stages that are finished; null is what is not."""
    recipe = plan.recipe
    stages = list(plan.stages())
    finished = sum(results.get(stage.name, stage.settings) is not None for stage in stages)
    return {
        "stages": len(stages),
        "finished": finished,
        "seeds": list(recipe.seeds),
        "matches": recipe.matches,
        "play_episodes": recipe.play_episodes,
        "weights": recipe.weights,
        "games": {game: _game(plan, results, game) for game in recipe.games},
    }


def _game(plan: Plan, results: Results, game: str) -> Table:
    def of(stage: Stage) -> Result | None:
        return results.get(stage.name, stage.settings)

    played = of(plan.reference_play(game)) or {}
    return {
        "episodes": of(plan.recording(game)),
        "matches": of(plan.match_recording(game)),
        "baselines": of(plan.baselines(game)) or dict.fromkeys(BASELINES),
        "players": {name: success([played.get(name)]) for name in ("expert", "random")},
        "conditions": {
            condition: _condition(plan, results, condition, game)
            for condition in TITLES
            if condition in plan.recipe.conditions
        },
    }


def _condition(plan: Plan, results: Results, condition: Condition, game: str) -> Table:
    recipe = plan.recipe
    by_seed: dict[str, Table] = {}
    for seed in recipe.seeds:
        trainings = trainings_of(condition, seed, game)
        stages = (plan.scores(trainings[-1], game), plan.play(trainings[-1], game))
        scores, played = (results.get(stage.name, stage.settings) for stage in stages)
        runs = [results.get((s := plan.training(t)).name, s.settings) for t in trainings]
        by_seed[str(seed)] = {
            "frames": sum(run["frames"] for run in runs if run) if all(runs) else None,
            "scores": scores,
            "play": None if played is None else played["agent"],
        }
    return {
        "steps": sum(recipe.steps(training.kind) for training in trainings),
        "frames": spread(each["frames"] for each in by_seed.values()),
        **{
            protocol: {name: spread(_score(by_seed, protocol, name)) for name in SCORES}
            for protocol in PROTOCOLS
        },
        "success": success([each["play"] for each in by_seed.values()]),
        "seeds": by_seed,
    }


def _score(by_seed: Mapping[str, Table], protocol: str, name: str) -> list[float | None]:
    return [each["scores"] and each["scores"][protocol][name] for each in by_seed.values()]


def spread(values: Iterable[float | None]) -> Table | None:
    """Mean, least, largest and number of the values that there are; None of none."""
    defined = [value for value in values if value is not None]
    if not defined:
        return None
    return {
        "mean": round(sum(defined) / len(defined), 4),
        "min": round(min(defined), 4),
        "max": round(max(defined), 4),
        "seeds": len(defined),
    }


def success(played: Sequence[Mapping[str, Sequence[int]] | None]) -> Table | None:
    """Share of successes over seeds, each [successes, episodes] by task; None where nothing was played.

    `low` and `high` are Wilson's 95 % interval of all episodes together: checkpoints of all seeds meet the same worlds,
    so that it says how sure these figures are for these worlds' kind, and `min` and `max` how far trainings differ.
    """
    totals = [
        (sum(k for k, _ in by_task.values()), sum(n for _, n in by_task.values()))
        for by_task in played
        if by_task
    ]
    shares = spread(round(k / n, 4) for k, n in totals)
    if shares is None:
        return None
    successes, episodes = (sum(column) for column in zip(*totals, strict=True))
    low, high = wilson_interval(successes, episodes)
    return {**shares, "low": round(low, 4), "high": round(high, 4), "episodes": episodes}


def rows(table: Table) -> list[tuple[str, ...]]:
    """A row for each game and condition, baseline or reference, as `HEAD`."""
    return [
        (game, *row)
        for game, figures in table["games"].items()
        for row in (*_condition_rows(figures), *_reference_rows(figures))
    ]


def _condition_rows(figures: Table) -> Iterable[tuple[str, ...]]:
    for condition, each in figures["conditions"].items():
        scores = [
            _range(each[protocol][name])
            for protocol in PROTOCOLS
            for name in ("bleu4", "change_f1")
        ]
        frames = each["frames"]
        budget = (
            f"{each['steps']:,}",
            UNFINISHED if frames is None else f"{frames['mean']:,.0f}",
            f"{sum(seed['play'] is not None for seed in each['seeds'].values())}",
        )
        yield (TITLES[condition], *budget, *scores, _share(each["success"]))


def _reference_rows(figures: Table) -> Iterable[tuple[str, ...]]:
    for name, scores in figures["baselines"].items():
        cells = [_number(scores and scores[score]) for score in ("bleu4", "change_f1")]
        yield (PLAYER_TITLES[name], *[""] * 3, *cells, *[""] * 3)
    for name, share in figures["players"].items():
        yield (PLAYER_TITLES[name], *[""] * 7, _share(share))


def _number(value: float | None) -> str:
    return UNFINISHED if value is None else f"{value:.3f}"


def _range(values: Table | None) -> str:
    """Mean, and least to largest where there are several."""
    if values is None:
        return UNFINISHED
    mean = f"{values['mean']:.3f}"
    return mean if values["seeds"] == 1 else f"{mean} ({values['min']:.3f}–{values['max']:.3f})"


def _share(values: Table | None) -> str:
    """Mean, range over the seeds where there are several, and the interval."""
    if values is None:
        return UNFINISHED
    text = f"{values['mean']:.0%}"
    if values["seeds"] > 1:
        text += f" ({values['min']:.0%}–{values['max']:.0%})"
    return f"{text} [{values['low']:.0%}, {values['high']:.0%}]"


def markdown(table: Table) -> str:
    """The table for people, with what it is of."""
    lines = [
        f"{table['matches']} held-out matches of the scripted expert; mean by match, then over the training seeds "
        f"{', '.join(map(str, table['seeds']))} (least–largest). BLEU-4 of action tokens, the player told what was "
        "really done before; frames only: not told.",
        f"Success in closed loop, {table['play_episodes']} episodes a checkpoint or a few more, with Wilson's 95 % "
        "interval of all of them.",
        f"{table['finished']} of {table['stages']} stages are finished; – is not measured yet, or undefined. Seeds: "
        "how many are finished.",
        "",
        *(f"| {' | '.join(row)} |" for row in (HEAD, ("---",) * len(HEAD), *rows(table))),
    ]
    return "\n".join(lines) + "\n"
