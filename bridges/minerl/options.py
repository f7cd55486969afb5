"""Options of a task's name: `MineRLTreechop-v0,port=9000,size=128x72,reward=1,steps=400`."""

from __future__ import annotations

from dataclasses import dataclass

from bridges.errors import BridgeError
from games import did_you_mean
from games.spec import MAX_SIDE

OPTIONS = ("port", "size", "reward", "steps")
TASK_SIZE = "task"
"""The size that asks for the picture that the task has by itself."""


class MinerlError(BridgeError):
    """MineRL is not installed, has no such task, or its Minecraft failed; one line says what and the way out."""


@dataclass(frozen=True)
class TaskOptions:
    """A task of MineRL and how it is played."""

    task: str
    port: int | None = None
    """Where a Minecraft process of MineRL listens; MineRL starts one of its own where None."""
    size: tuple[int, int] | None = None
    """Width and height of the picture that Minecraft is to render; the game's where None."""
    has_task_size: bool = False
    """Whether the picture has the size that the task has by itself."""
    reward: float | None = None
    """Sum of rewards at which an episode has succeeded, and ends; MineRL's own judgement where None."""
    steps: int | None = None
    """Steps after which an episode is truncated; the task's own limit where None."""


def parse_task(text: str) -> TaskOptions:
    """The task and its options; raises `MinerlError` for one that is wrong."""
    task, *pairs = text.split(",")
    values: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if name not in OPTIONS or not separator:
            near = "" if name in OPTIONS else did_you_mean(name, OPTIONS)
            hint = near or f"; there are {'=, '.join(OPTIONS)}="
            raise MinerlError(f"{pair!r} is no option of {task}{hint}")
        values[name] = value
    return TaskOptions(
        task,
        port=_whole("port", values["port"], 65535) if "port" in values else None,
        size=_size(values["size"]) if values.get("size", TASK_SIZE) != TASK_SIZE else None,
        has_task_size=values.get("size") == TASK_SIZE,
        reward=_positive("reward", values["reward"]) if "reward" in values else None,
        steps=_whole("steps", values["steps"], 10**9) if "steps" in values else None,
    )


def _size(text: str) -> tuple[int, int]:
    width, separator, height = text.partition("x")
    if not separator:
        raise MinerlError(f"size={text}: WIDTHxHEIGHT in pixels, or {TASK_SIZE}")
    return (_whole("size", width, MAX_SIDE, 8), _whole("size", height, MAX_SIDE, 8))


def _whole(name: str, text: str, high: int, low: int = 1) -> int:
    if not text.isdecimal() or not low <= int(text) <= high:
        raise MinerlError(f"{name}={text}: a whole number from {low} to {high}")
    return int(text)


def _positive(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise MinerlError(f"{name}={text}: a number above 0")
    return value
