"""Training budget and learning-rate schedule: warm-up by steps, then a cosine over the budget.

The budget is a number of steps, a time, or both: the larger spent share counts. The schedule's position is that share
as long as the budget stays as it was. Where a run is resumed with another budget, the cosine goes on from the position
where it stood and reaches its end with the new budget, so the rate never rises: a finished run that is extended
trains on at its final rate, `lr * lr_end`. For another cosine, begin a new run with `train.init_from`.
"""

from __future__ import annotations

import math

from agent_core.config import RunConfig, TrainConfig


def spent_share(train: TrainConfig, step: int, seconds: float) -> float:
    """Share of the budget that is spent after so many steps and seconds, in [0, 1]."""
    by_steps = step / train.steps if train.steps else 0.0
    by_time = seconds / (60 * train.minutes) if train.minutes else 0.0
    return min(1.0, max(by_steps, by_time))


class LrSchedule:
    """Position on the learning-rate curve as a function of the spent share of the budget.

    `spent` and `position` are where the run was resumed (both 0 at its beginning).
    """

    def __init__(self, spent: float = 0.0, position: float = 0.0) -> None:
        self._spent, self._position = spent, position

    def position(self, spent: float) -> float:
        """In [0, 1]: linear in the spent share from the point of resumption to the end of the budget."""
        if self._spent >= 1:
            return self._position
        ahead = (spent - self._spent) / (1 - self._spent)
        return min(1.0, self._position + (1 - self._position) * max(0.0, ahead))


def learning_rate(config: RunConfig, step: int, position: float) -> float:
    """Linear warm-up over `warmup_steps`, times a cosine from `lr` down to `lr * lr_end` at position 1."""
    train = config.train
    warmup = min(1.0, (step + 1) / max(1, train.warmup_steps))
    cosine = 0.5 + 0.5 * math.cos(math.pi * position)
    return train.lr * warmup * (train.lr_end + (1 - train.lr_end) * cosine)
