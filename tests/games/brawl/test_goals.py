"""Goals by their words, and the judge of another task's."""

import pytest

from games.brawl import FREE, TASKS, BrawlEnv, Task
from games.brawl.goals import goal_of, other_judge


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_every_paraphrase_means_its_own_goal(task: Task) -> None:
    for order, sentences in task.paraphrases.items():
        for sentence in sentences:
            goal = goal_of(f" {sentence.capitalize()} ")
            assert (goal.task, goal.order) == (task.name, order)


@pytest.mark.parametrize(
    ("words", "task"),
    [
        ("defend the point B", "defend_point"),
        ("focus thier support", "focus_support"),
        ("defend point D", FREE),
        ("sing a song", FREE),
        ("", FREE),
    ],
)
def test_words_that_are_typed(words: str, task: str) -> None:
    goal = goal_of(words)
    assert (goal.task, goal.instruction) == (task, words)


def test_what_other_words_ask_is_judged_in_the_same_match() -> None:
    env = BrawlEnv()
    env.reset(seed=3, options={"task": "stay_with_healer"})
    done = {words: other_judge(env, words) for words in ("hunt their tank", "hunt their support")}
    assert not any(is_done() for is_done in done.values())
    fighter = env.match.fighters[env.seat]
    tank = next(g for g in env.match.fighters if fighter.enemy_of(g) and g.kind.name == "tank")
    fighter.damage[tank.seat] += 1000
    assert {words: is_done() for words, is_done in done.items()} == {
        "hunt their tank": True,
        "hunt their support": False,
    }
