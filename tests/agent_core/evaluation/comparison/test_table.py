"""Comparison without training: recipes, means and ranges over seeds, what is finished is not done again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent_core.__main__ import main
from agent_core.cli.compare import RECIPE as SHIPPED
from agent_core.errors import ConfigError
from agent_core.evaluation.comparison.chart import draw_chart
from agent_core.evaluation.comparison.recipe import Recipe, load_recipe
from agent_core.evaluation.comparison.results import Result, Results
from agent_core.evaluation.comparison.runner import run_comparison, write_table
from agent_core.evaluation.comparison.scoring import SIDE_BY_SIDE, baseline_scores, policy_scores
from agent_core.evaluation.comparison.stages import Plan, Stage, Training, trainings_of
from agent_core.evaluation.comparison.table import UNFINISHED, spread, success
from agent_core.evaluation.match_scores import NAMES
from agent_core.evaluation.teacher_forced import predict_teacher_forced
from agent_core.recording.expert import RecordingPlan, record_one
from bridges.policy import Decision, PolicyRequest
from bridges.serving.random_policy import RandomPolicy
from recorder import open_episodes

TEXT = """
seeds = [3, 5]
matches = 2
play_episodes = 4
workers = 1
[games.frozen-lake]
episodes = 2
[games.voxel]
episodes = 2
[pretrain.train]
steps = 10
[finetune.train]
steps = 4
lr = 1e-4
"""


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up results need not outlive a loss of power."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def recipe(recipe_file: Path) -> Recipe:
    return load_recipe(recipe_file)


def scores(bleu4: float) -> dict[str, float | None]:
    return {name: bleu4 if name == "bleu4" else None for name in NAMES}


def made_up(stage: Stage) -> Result:
    """A result in the form of a stage's: of seed 5 everything is 0.2 better than of seed 3."""
    better = "seed-5" in stage.name
    if stage.name.endswith("/train"):
        return {"steps": 1, "windows": 2, "frames": 100 + 10 * better}
    if "references" in stage.name:
        if stage.name.endswith("scores"):
            return {"noop": scores(0.1), "repeat_last": scores(0.6)}
        return {"expert": {"a": [4, 4]}, "random": {"a": [0, 4]}}
    if stage.name.endswith("scores"):
        return {"with_actions": scores(0.4 + 0.2 * better), "frames_only": scores(0.3)}
    if stage.name.endswith("play"):
        return {"agent": {"a": [1, 2], "b": [better, 2]}}
    return {"episodes": 2, "steps": 20}


def fill(plan: Plan, results: Results, leave_out: str = " ") -> None:
    for stage in plan.stages():
        if leave_out not in stage.name:
            results.put(stage.name, stage.settings, made_up(stage))


def test_the_shipped_recipes_can_be_run() -> None:
    for path in SHIPPED.parent.glob("table-2*.toml"):
        recipe = load_recipe(path)
        assert set(recipe.games) == {"voxel", "brawl"}
        assert recipe.steps("scratch_long") == recipe.steps("pretrain") + recipe.steps("finetune")
        assert recipe.settings("scratch").train.steps == recipe.settings("finetune").train.steps
        assert recipe.settings("pretrain").loss.mae_mask_ratio == (0.75,)
        assert recipe.settings("finetune").loss.mae_mask_ratio == (0.5,)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seeds=[1,1]", "names one twice"),
        ("matchs=3", "did you mean 'matches'"),
        ("conditions=[]", "conditions"),
        ("train.seed=1", "train.seed cannot be set here"),
        ("train.steps=1", "train.steps cannot be set here"),
        ("games.voxel-v0.episodes=1", "are not all different"),
        ("finetune.data.single_frame_prob=0", "finetune.data.single_frame_prob cannot be set here"),
        ("finetune.train.batch=2", "finetune.train.batch cannot be set here"),
        ("scratch.train.steps=2", "scratch.train.steps cannot be set here"),
        ("pretrain.train.steps=0", "a number of steps from 1 on, not 0"),
        ("pretrain.model.width=8", "no section 'model'"),
        ("finetune.train.lrr=1", "finetune: no setting called 'train.lrr'; did you mean 'lr'?"),
        ("games.voxel.tasks=['dig']", "no task 'dig' in voxel"),
        ("games.voxle.episodes=1", "did you mean 'voxel'"),
        ("games.voxel.episodes.x=1", "has no settings"),
        ("seeds", "an override is"),
    ],
)
def test_mistakes_in_a_recipe_are_one_line(
    recipe_file: Path, override: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["compare", str(recipe_file), "--run", str(recipe_file.parent / "run"), "--set"]
    assert main([*argv, override]) == 2
    text = capsys.readouterr().err
    assert line in text
    assert text.count("\n") == 1


def test_conditions_have_the_steps_that_they_are_compared_by(recipe: Recipe) -> None:
    plan = Plan(recipe, Path("runs/x"))
    steps = {
        condition: sum(recipe.steps(t.kind) for t in trainings_of(condition, 3, "voxel"))
        for condition in recipe.conditions
    }
    assert steps == {"scratch": 4, "scratch_long": 14, "pretrained": 10, "finetuned": 14}
    tuned, scratch = (plan.config(Training(kind, 3, "voxel")) for kind in ("finetune", "scratch"))
    assert tuned.train.init_from == "runs/x/seed-3/pretrain/last"
    assert (tuned.train.seed, tuned.train.minutes, tuned.train.lr) == (3, 0, 1e-4)
    assert scratch.train.init_from == ""
    assert scratch.train.lr != 1e-4
    both = plan.config(Training("pretrain", 5))
    assert both.data.episodes == ("runs/x/data/frozen-lake", "runs/x/data/voxel")


def test_every_training_is_once_among_the_stages_and_its_predecessor_before_it(
    recipe: Recipe,
) -> None:
    names = [stage.name for stage in Plan(recipe, Path("x")).stages()]
    assert len(names) == len(set(names)) == 4 + 4 + 2 * (7 + 2 * 8)
    for seed in (3, 5):
        begin = names.index(f"seed-{seed}/pretrain/train")
        assert begin < names.index(f"seed-{seed}/voxel-finetune/train")
    assert names.index("seed-3/voxel-scratch_long/voxel-play") < names.index(
        "seed-5/pretrain/train"
    )


def test_values_over_seeds() -> None:
    assert spread([0.5, None, 0.25]) == {"mean": 0.375, "min": 0.25, "max": 0.5, "seeds": 2}
    assert spread([None]) is None
    assert success([None, None]) is None
    share = success([{"a": [1, 2], "b": [0, 2]}, {"a": [2, 2], "b": [1, 2]}])
    assert share == {
        "mean": 0.5, "min": 0.25, "max": 0.75, "seeds": 2, "low": 0.2152, "high": 0.7848, "episodes": 8
    }  # fmt: skip


def test_the_table_has_means_and_ranges_and_what_is_unfinished(
    recipe: Recipe, tmp_path: Path
) -> None:
    plan, results = Plan(recipe, tmp_path), Results(tmp_path)
    fill(plan, results, leave_out="seed-5/voxel-finetune")
    table = write_table(plan, results)
    assert (table["finished"], table["stages"]) == (51, 54)
    voxel = table["games"]["voxel"]["conditions"]
    assert voxel["scratch"]["with_actions"]["bleu4"] == spread([0.4, 0.6])
    assert voxel["finetuned"]["with_actions"]["bleu4"] == spread([0.4])
    assert voxel["finetuned"]["frames"] == spread([200])  # pre-training's and fine-tuning's
    assert voxel["finetuned"]["seeds"]["5"] == {"frames": None, "scores": None, "play": None}
    assert voxel["pretrained"]["success"]["mean"] == 0.375
    lines = (tmp_path / "table.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    assert len({len(row) for row in rows}) == 1
    (scratch,) = (row for row in rows if row[:2] == ["voxel", "from scratch, steps of both"])
    assert scratch[2:] == [
        "14", "105", "2", "0.500 (0.400–0.600)", UNFINISHED, "0.300 (0.300–0.300)", UNFINISHED,
        "38% (25%–50%) [14%, 69%]",
    ]  # fmt: skip
    assert ["voxel", "repeat the last", "", "", "", "0.600", UNFINISHED, "", "", ""] in rows
    assert json.loads((tmp_path / "table.json").read_text()) == table
    draw_chart(table, tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_an_empty_table_has_no_figures(recipe: Recipe, tmp_path: Path) -> None:
    table = write_table(Plan(recipe, tmp_path), Results(tmp_path))
    assert table["finished"] == 0
    assert table["games"]["voxel"]["conditions"]["scratch"]["success"] is None
    draw_chart(table, tmp_path / "table.png")


def test_what_is_finished_is_not_done_again(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, results = Plan(recipe, tmp_path), Results(tmp_path)
    fill(plan, results, leave_out="voxel-scratch/")
    done: list[str] = []
    interrupted = ["scores"]

    def work(name: str, *details: Any) -> Any:
        def run(_: Plan, *arguments: Any) -> Result:
            done.append(name)
            if interrupted and name == interrupted[0]:
                raise KeyboardInterrupt(interrupted.pop())
            return made_up(Stage(f"seed-3/x/{name}", "", {}, dict))

        return run

    monkeypatch.setattr(Plan, "_train", work("train"))
    monkeypatch.setattr(Plan, "_score", work("scores"))
    monkeypatch.setattr(Plan, "_play", work("play"))
    with pytest.raises(KeyboardInterrupt):
        run_comparison(recipe, tmp_path)
    assert done == ["train", "scores"]
    assert json.loads((tmp_path / "table.json").read_text())["finished"] == 49
    assert not (tmp_path / "table.png").exists()
    assert run_comparison(recipe, tmp_path)["finished"] == 54
    assert done == ["train", "scores", "scores", "play", "train", "scores", "play"]
    assert run_comparison(recipe, tmp_path)["finished"] == 54
    assert len(done) == 7


def test_another_recipe_is_refused(recipe: Recipe, recipe_file: Path, tmp_path: Path) -> None:
    fill(Plan(recipe, tmp_path), Results(tmp_path))
    other = load_recipe(recipe_file, ["finetune.train.lr=0.5"])
    with pytest.raises(ConfigError, match=r"finetune.train.lr was 0.0001, now 0.5"):
        run_comparison(other, tmp_path)
    more = load_recipe(recipe_file, ["seeds=[3,5,7]", "games.voxel.data='elsewhere'"])
    table = write_table(Plan(more, tmp_path), Results(tmp_path))
    assert (table["finished"], table["stages"]) == (54, 77)
    (tmp_path / "results" / "record" / "voxel.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged"):
        write_table(Plan(more, tmp_path), Results(tmp_path))


def test_matches_side_by_side_are_predicted_as_one_by_one(tmp_path: Path) -> None:
    plan = RecordingPlan(tmp_path, 3, noise_prob=0.2, game="frozen-lake")
    for seed in (0, 1, 2):
        record_one(plan, seed)
    matches = open_episodes(tmp_path)
    assert len({len(match) for match in matches}) > 1  # some end before others
    assert len(matches) < SIDE_BY_SIDE
    calls: list[tuple[int, int]] = []
    side_by_side = policy_scores(matches, {"x": RandomPolicy()}, lambda *done: calls.append(done))
    assert calls == [(3, 3)]
    one_by_one = [
        predict_teacher_forced(match, RandomPolicy(), [match.instructions])[0] for match in matches
    ]
    exact = [
        sum(p == w for p, w in zip(run, match.actions, strict=True)) / len(match)
        for run, match in zip(one_by_one, matches, strict=True)
    ]
    assert side_by_side["x"]["exact"] == pytest.approx(sum(exact) / 3, abs=1e-4)
    echoed, baselines = policy_scores(matches, {"x": Echo()})["x"], baseline_scores(matches)
    for name in NAMES:
        assert echoed[name] == baselines["repeat_last"][name]


class Echo(RandomPolicy):
    """Repeats what it is told was done before."""

    def act(self, requests: Sequence[PolicyRequest]) -> list[Decision]:
        return [
            Decision(action=r.executed or r.player.spec.null_action(), words="", probability=0.0)
            for r in requests
        ]
