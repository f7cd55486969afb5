"""Settings chosen for a game from its recorded episodes, each with the reason in words.

`RULES` holds every number that a choice depends on. What is the same for every game is in recipes/own-game.toml.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent_core.config import ModelConfig
from agent_core.data.episode_statistics import EpisodeStatistics
from agent_core.tokens.action_codec import ActionCodec
from agent_core.tokens.instruction_room import MARKERS
from agent_core.tokens.vocabulary import build_vocabulary

CELL = 8
"""Pixels per side of what the stem makes one cell of."""


@dataclass(frozen=True)
class Rules:
    """The numbers behind the choices."""

    max_cells: int = 81
    """Pictures of whole cells stay as they are up to this many. The stem mixes them into one visual token."""
    min_side: int = 40
    """Pictures with a shorter side are enlarged by a whole factor."""
    shapes: tuple[tuple[int, int, int, int], ...] = (
        (72, 128, 3, 4),
        (72, 96, 3, 4),
        (96, 96, 4, 4),
        (96, 72, 4, 3),
        (128, 72, 4, 3),
    )
    """Height, width, rows and columns of tokens for all other pictures: the nearest in proportions is taken."""
    short_episode: int = 20
    """Median steps below which every frame is looked at."""
    strides_per_s: float = 5.0
    """Frames a second that the context has of longer episodes."""
    max_stride: int = 4
    context_frames: int = 4
    extra_window_frames: int = 2
    """Frames beyond the context in a training window of long episodes."""
    single_frame_prob: float = 0.75
    """Share of windows of one frame, for short episodes in which instructions differ."""
    mixing_blocks: tuple[int, int, int] = (0, 1, 1)
    """Residual blocks of the stem where instructions differ: they mix words and cells."""
    text_room: float = 1.5
    """Room for instructions, as a multiple of the longest that was recorded."""
    min_text_tokens: int = 16
    noop_share: float = 0.5
    """Steps without action are drawn less often where there are more of them; then they come to this share."""
    min_noop_weight: float = 0.05
    change_share: float = 0.1
    """Changes of the action are drawn more often where there are fewer of them; then they come to this share."""
    max_change_weight: float = 4.0
    mae_steps: int = 1_000_000
    """Recorded steps from which pictures are rebuilt too."""
    batch: int = 24
    single_frame_batch: int = 64
    """Where most windows have one frame."""
    steps_per_minute: int = 5_000
    """Recorded steps for which training takes another minute."""
    minutes: tuple[int, int] = (5, 60)
    """The fewest and the most."""
    few_episodes: int = 400
    validation: tuple[float, float] = (0.1, 0.05)
    """Share held out: of fewer episodes than that, of more."""


RULES = Rules()


@dataclass(frozen=True)
class Choice:
    """The value of one setting, and why."""

    name: str
    """As `--set` takes it: `model.frame_stride`."""
    value: Any
    reason: str

    @property
    def override(self) -> str:
        """As `--set` takes it, with its value: JSON's numbers, strings and lists are TOML's."""
        return f"{self.name}={json.dumps(self.value)}"


def own_game_settings(
    data: EpisodeStatistics, given: Mapping[str, Any] | None = None, rules: Rules = RULES
) -> list[Choice]:
    """Settings for a game's episodes.

    Those `given` ("model.frame_height": 64) keep their value, and what depends on a frame's size follows them.
    """
    given = given or {}
    chosen = [
        *_frame(data, given, rules),
        *_time(data, rules),
        *_words(data, rules),
        *_action_tokens(data),
        *_weights(data, rules),
        *_losses(data, rules),
        *_budget(data, rules),
    ]
    return [_with_given(choice, given) for choice in chosen]


def _with_given(choice: Choice, given: Mapping[str, Any]) -> Choice:
    if choice.name == "train.minutes" and "train.steps" in given and choice.name not in given:
        return Choice(choice.name, 0, "given: the budget is train.steps")
    if choice.name not in given:
        return choice
    return Choice(choice.name, given[choice.name], f"given; else it would be {choice.value}")


def _frame(data: EpisodeStatistics, given: Mapping[str, Any], rules: Rules) -> list[Choice]:
    """Height, width and grid of the model's frames."""
    recorded = data.spec.frame.height, data.spec.frame.width
    (height, width), grid, why = _shape(*recorded, rules)
    if {"model.frame_height", "model.frame_width"} & given.keys():
        grid = (1, 1)  # which every size has
    tokens = "one visual token a frame, of all its cells"
    if grid != (1, 1):
        tokens = f"a visual token for each {height // grid[0]}x{width // grid[1]} pixels"
    reason = f"pictures are {recorded[0]}x{recorded[1]}: {why}"
    return [
        Choice("model.frame_height", height, reason),
        Choice("model.frame_width", width, reason),
        Choice("model.pooled_grid", list(grid), tokens),
    ]


def _shape(height: int, width: int, rules: Rules) -> tuple[tuple[int, int], tuple[int, int], str]:
    """The model's frame size, its grid, and what happens to pictures."""
    factor = max(1, math.ceil(rules.min_side / min(height, width)))
    size = [max(CELL, CELL * round(factor * side / CELL)) for side in (height, width)]
    grid = 1, 1
    why = f"enlarged {factor} times" if factor > 1 else f"resized to whole cells of {CELL} pixels"
    if math.prod(size) > rules.max_cells * CELL**2:
        ratio = math.log(height / width)
        *size, rows, columns = min(
            rules.shapes, key=lambda shape: abs(math.log(shape[0] / shape[1]) - ratio)
        )
        grid, why = (rows, columns), "resized to the nearest shape that trains in minutes"
    if size == [height, width]:
        why = "kept as they are"
    return (size[0], size[1]), grid, why


def _is_short(data: EpisodeStatistics, rules: Rules) -> bool:
    return data.median_steps < rules.short_episode


def _time(data: EpisodeStatistics, rules: Rules) -> list[Choice]:
    """Stride, context and window."""
    steps, step_hz = f"{data.median_steps:g}", f"{data.spec.step_hz:g}"
    if is_short := _is_short(data, rules):
        stride, why = 1, f"half of the episodes have no more than {steps} steps"
    else:
        stride = min(rules.max_stride, max(1, round(data.spec.step_hz / rules.strides_per_s)))
        why = f"episodes are long (median {steps} steps), with {step_hz} steps a second"
    context = max(1, min(rules.context_frames, math.ceil(data.median_steps / stride)))
    window, beyond = context, "the context"
    if not is_short:
        window += rules.extra_window_frames
        beyond = "the context, and what deep layers see beyond it"
    is_single = is_short and _differ(data)
    alike = "frames of a short episode are alike, instructions are not"
    if not is_single:
        alike = "instructions do not differ" if is_short else "episodes are long"
    seconds = f"{(context - 1) * stride / data.spec.step_hz:.2g}"
    return [
        Choice("model.frame_stride", stride, why),
        Choice("model.context_frames", context, f"the model looks back {seconds} seconds"),
        Choice("data.window_frames", window, beyond),
        Choice(
            "data.single_frame_prob",
            rules.single_frame_prob if is_single else 0.0,
            alike,
        ),
        Choice(
            "train.batch",
            rules.single_frame_batch if is_single else rules.batch,
            f"{'most' if is_single else 'no'} windows are cut to one frame",
        ),
    ]


def _differ(data: EpisodeStatistics) -> bool:
    return len(data.instructions) > 1


def _words(data: EpisodeStatistics, rules: Rules) -> list[Choice]:
    """How the instruction reaches the picture, and the room for it."""
    differ = _differ(data)
    why = "all instructions are the same" if any(data.instructions) else "there are no instructions"
    if differ:
        why = f"{len(data.instructions)} different instructions"
    vocabulary = build_vocabulary([data.spec], data.instructions, ModelConfig().text_vocab_size)
    longest = max((len(vocabulary.encode_text(text)) for text in data.instructions), default=0)
    room = max(rules.min_text_tokens, 8 * math.ceil(rules.text_room * (longest + MARKERS) / 8))
    blocks = rules.mixing_blocks if differ else (0, 0, 0)
    return [
        Choice("model.text_conditioning", differ, why),
        Choice(
            "model.stem_blocks",
            list(blocks),
            f"{why}{': they mix with the cells of the picture' * differ}",
        ),
        Choice(
            "model.global_token",
            differ,
            f"{why}{': what they name in the picture reaches the action' * differ}",
        ),
        Choice(
            "model.max_text_tokens", room, f"the longest instruction has about {longest} tokens"
        ),
    ]


def _action_tokens(data: EpisodeStatistics) -> list[Choice]:
    codec = ActionCodec(data.spec, build_vocabulary([data.spec], []))
    needed = codec.max_chunk_tokens(1)
    return [Choice("model.max_action_tokens", needed, "the longest action of the game's controls")]


def _weights(data: EpisodeStatistics, rules: Rules) -> list[Choice]:
    """Sampling by what is done."""
    noop = 1.0
    if rules.noop_share < data.noop_share < 1:
        noop = max(rules.min_noop_weight, _factor(data.noop_share, rules.noop_share))
    change = 1.0
    if 0 < data.change_share < rules.change_share:
        change = min(rules.max_change_weight, _factor(data.change_share, rules.change_share))
    return [
        Choice(
            "data.noop_sample_weight", noop, f"{data.noop_share:.0%} of the steps have no action"
        ),
        Choice(
            "data.change_sample_weight",
            change,
            f"the action changes at {data.change_share:.0%} of the steps",
        ),
    ]


def _factor(share: float, wanted: float) -> float:
    """The weight with which a share of steps comes to the wanted one, the others having weight 1."""
    return round(wanted * (1 - share) / (share * (1 - wanted)), 2)


def _losses(data: EpisodeStatistics, rules: Rules) -> list[Choice]:
    """Whether pictures are rebuilt beside actions."""
    _, grid, _ = _shape(data.spec.frame.height, data.spec.frame.width, rules)
    mae = float(math.prod(grid) > 1 and data.steps >= rules.mae_steps)
    reason = f"{data.steps:,} steps are recorded: rebuilding pictures takes time from actions"
    if mae:
        reason = f"{data.steps:,} steps are recorded, enough to learn by rebuilding pictures too"
    return [Choice("loss.mae", mae, reason)]


def _budget(data: EpisodeStatistics, rules: Rules) -> list[Choice]:
    """Minutes and held-out share."""
    steps, low, high = data.steps, *rules.minutes
    reason = f"{steps:,} steps are recorded: a minute for every {rules.steps_per_minute:,}, {low} to {high}"
    minutes = min(high, max(low, round(steps / rules.steps_per_minute)))
    share = rules.validation[data.episodes >= rules.few_episodes]
    return [
        Choice("train.minutes", minutes, reason),
        Choice("data.validation", share, f"{data.episodes:,} episodes"),
    ]


def settings_toml(data: EpisodeStatistics, choices: Iterable[Choice]) -> str:
    """The choices as a recipe, with their reasons as comments."""
    lines = [
        f"# Chosen for {data.spec.id} from {data.episodes:,} episodes, {data.steps:,} steps.",
    ]
    sections: dict[str, list[str]] = {}
    for choice in choices:
        section, _, key = choice.name.partition(".")
        row = f"{key} = {json.dumps(choice.value)} # {choice.reason}"
        sections.setdefault(section, []).append(row)
    for section, rows in sections.items():
        lines += ["", f"[{section}]", *rows]
    return "\n".join(lines) + "\n"
