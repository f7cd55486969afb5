"""BabyAI's levels as games: missions, the bot as the expert, noise that it recovers from."""

from pathlib import Path

import pytest

pytest.importorskip("minigrid")

from agent_core.evaluation.closed_loop import options_of
from agent_core.evaluation.plan import EpisodeSpec, Evaluation
from agent_core.recording.expert import RecordingPlan, record_one
from examples.babyai import GO_TO_LOCAL, PICKUP_LOC, PUT_NEXT_LOCAL
from games import Game
from games.check import check_env, check_expert
from recorder import open_episodes


@pytest.mark.parametrize("game", [GO_TO_LOCAL, PICKUP_LOC, PUT_NEXT_LOCAL], ids=lambda g: g.spec.id)
def test_a_level_keeps_the_contract(game: Game, capsys: pytest.CaptureFixture[str]) -> None:
    assert game.make is not None
    assert check_env(game.make()) == []
    assert check_expert(game, steps=3) == []
    assert capsys.readouterr().out == ""  # MiniGrid prints about worlds that it drew in vain


def test_missions_are_recorded_with_what_the_bot_does(tmp_path: Path) -> None:
    plan = RecordingPlan(tmp_path, 4, noise_prob=0.1, game="examples.babyai:GO_TO_LOCAL")
    recorded = [record_one(plan, seed) for seed in range(4)]
    assert [each.success for each in recorded] == [True] * 4
    episodes = open_episodes(tmp_path)
    instructions = {episode.header.instruction for episode in episodes}
    assert len(instructions) > 1
    assert all(text.startswith("go to ") for text in instructions)
    assert any(episode.executed != episode.actions for episode in episodes)
    assert episodes[0].spec.frame.shape == (56, 56, 3)


def test_evaluation_swaps_missions() -> None:
    name, task = "examples.babyai:GO_TO_LOCAL", "babyai-go-to-local"
    plan = Evaluation(game=name, episodes=2)
    assert {spec.condition for spec in plan.episode_specs} >= {
        "agent_swapped",
        "agent_no_instruction",
    }
    assert GO_TO_LOCAL.make is not None
    env = GO_TO_LOCAL.make()
    for seed in range(5):
        own = env.reset(seed=seed, options={"task": task})[0]["instruction"]
        options = options_of(EpisodeSpec(task, "agent_swapped", seed), GO_TO_LOCAL)
        assert options["instruction"] != own
        assert options["instruction"].startswith("go to ")
        assert env.reset(seed=seed, options=options)[0]["instruction"] == options["instruction"]
    env.close()
