"""Goals by their words: what a sentence asks for, and the judge of it in a match under way."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from games.brawl.env import FREE, BrawlEnv
from games.brawl.order import Order
from games.brawl.tasks import TASKS, Goal, Judge

_CLOSE_ENOUGH = 0.8
_KNOWN = {
    sentence.lower(): (task.name, order)
    for task in TASKS.values()
    for order, sentences in task.paraphrases.items()
    for sentence in sentences
}


def goal_of(text: str) -> Goal:
    """The goal a sentence means: the closest known paraphrase, else free play with these words."""
    words = text.strip().lower()
    close = difflib.get_close_matches(words, _KNOWN, n=1, cutoff=_CLOSE_ENOUGH)
    task, order = _KNOWN[close[0]] if close else (FREE, Order("wait"))
    if order.kind == "defend" and order.about.lower() not in re.findall(r"\w+", words):
        return Goal(FREE, text, Order("wait"))  # "point D" is as close to "point A" as can be
    return Goal(task, text, order)


def other_judge(env: BrawlEnv, instruction: str) -> Callable[[], bool]:
    """Whether what another instruction asks is done in an environment that was just reset; ask after each step."""
    judge = Judge(goal_of(instruction), env.match, env.seat)
    return lambda: judge.update().success
