"""Goals by their words, and the judge of another task's."""

import pytest

from games.brawl import FREE, GAME, TASKS, BrawlEnv, Task
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
    env.reset(seed=3, options={"task": "focus_tank"})
    expert, is_done = GAME.expert()(env), other_judge(env, "focus their tank")
    other = other_judge(env, "bring the cells home")
    ended = success = False
    while not ended:
        _, _, terminated, truncated, info = env.step(expert()[0])
        ended, success = terminated or truncated, bool(info["success"])
        assert is_done() == success
        assert not other()
    assert success
