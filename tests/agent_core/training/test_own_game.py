"""Settings chosen for a game: sizes, time, words, weights and budget, each with its reason."""

import tomllib
from typing import Any

import pytest

from agent_core.config import load_config
from agent_core.data.episode_statistics import EpisodeStatistics
from agent_core.training.own_game import RULES, own_game_settings, settings_toml
from games import Button, Camera, FrameSize, GameSpec

LOOK = Camera(name="look", pitch_bins=(-9, 0, 9), yaw_bins=(-9, 0, 9))


def statistics(
    height: int = 56, width: int = 56, step_hz: float = 5, **changes: Any
) -> EpisodeStatistics:
    spec = GameSpec(
        id="own-v0", title="Own", frame=FrameSize(height=height, width=width), step_hz=step_hz,
        controls=(Button(name="go"), Button(name="use"), LOOK),
    )  # fmt: skip
    about: dict[str, Any] = {
        "episodes": 300, "steps": 2400, "median_steps": 8,
        "instructions": ("go to the red ball", "go to the blue key"), "noop_share": 0.1, "change_share": 0.5,
    }  # fmt: skip
    return EpisodeStatistics(spec, **{**about, **changes})


def chosen(data: EpisodeStatistics, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """Values by name; what is chosen must be a configuration that loads."""
    choices = own_game_settings(data, given)
    assert all(choice.reason for choice in choices)
    values = {choice.name: choice.value for choice in choices}
    names = [choice.override for choice in choices]
    assert load_config(None, names).model.frame_height == values["model.frame_height"]
    return values


@pytest.mark.parametrize(
    ("recorded", "size", "grid"),
    [
        ((56, 56), (56, 56), [1, 1]),  # pixel art stays
        ((72, 72), (72, 72), [1, 1]),
        ((50, 60), (48, 64), [1, 1]),
        ((10, 10), (40, 40), [1, 1]),
        ((72, 128), (72, 128), [3, 4]),
        ((360, 640), (72, 128), [3, 4]),
        ((480, 640), (72, 96), [3, 4]),
        ((84, 84), (96, 96), [4, 4]),
        ((210, 160), (96, 72), [4, 3]),
        ((1280, 720), (128, 72), [4, 3]),
        ((8, 2000), (72, 128), [3, 4]),
    ],
)
def test_frames(recorded: tuple[int, int], size: tuple[int, int], grid: list[int]) -> None:
    values = chosen(statistics(*recorded))
    assert (values["model.frame_height"], values["model.frame_width"]) == size
    assert values["model.pooled_grid"] == grid


@pytest.mark.parametrize(
    ("median", "step_hz", "stride", "context", "window"),
    [
        (8, 5, 1, 4, 4),
        (3, 5, 1, 3, 3),
        (1, 5, 1, 1, 1),
        (19, 60, 1, 4, 4),
        (20, 5, 1, 4, 6),
        (300, 10, 2, 4, 6),
        (300, 20, 4, 4, 6),
        (300, 60, 4, 4, 6),
    ],
)
def test_time(median: float, step_hz: float, stride: int, context: int, window: int) -> None:
    values = chosen(statistics(median_steps=median, step_hz=step_hz))
    names = ("model.frame_stride", "model.context_frames", "data.window_frames")
    assert tuple(values[name] for name in names) == (stride, context, window)


def test_most_windows_have_one_frame_where_frames_are_alike_and_words_are_not() -> None:
    names = ("data.single_frame_prob", "train.batch")
    for values, expected in (
        (statistics(), [0.75, 64]),
        (statistics(instructions=("go",)), [0, 24]),
        (statistics(median_steps=300), [0, 24]),
    ):
        assert [chosen(values)[name] for name in names] == expected


def test_words_reach_the_picture_where_they_differ() -> None:
    names = ("model.text_conditioning", "model.global_token", "model.stem_blocks")
    assert [chosen(statistics())[name] for name in names] == [True, True, [0, 1, 1]]
    for texts in (("",), ("go on",)):
        values = chosen(statistics(instructions=texts))
        assert [values[name] for name in names] == [False, False, [0, 0, 0]]
    assert chosen(statistics())["model.max_text_tokens"] == RULES.min_text_tokens
    long = " ".join(f"{chr(97 + k % 26)}{k}xyz" for k in range(60))
    assert chosen(statistics(instructions=("a", long)))["model.max_text_tokens"] > 90


def test_actions_have_room() -> None:
    assert (
        chosen(statistics())["model.max_action_tokens"] == 6
    )  # markers, two buttons, pitch and yaw


def test_rare_steps_are_drawn_more_often() -> None:
    values = chosen(statistics())
    assert values["data.noop_sample_weight"] == values["data.change_sample_weight"] == 1
    values = chosen(statistics(noop_share=0.8, change_share=0.05))
    assert values["data.noop_sample_weight"] == 0.25  # 0.8 * 0.25 is as much as 0.2
    assert values["data.change_sample_weight"] == 2.11  # 0.05 * 2.11 of 1.0555 is a tenth
    values = chosen(statistics(noop_share=1.0, change_share=0.0))
    assert (values["data.noop_sample_weight"], values["data.change_sample_weight"]) == (1, 1)
    assert (
        chosen(statistics(change_share=0.001))["data.change_sample_weight"]
        == RULES.max_change_weight
    )


def test_the_budget_grows_with_the_data() -> None:
    few = chosen(statistics(72, 128))
    many = chosen(statistics(72, 128, steps=2_000_000, episodes=20_000))
    assert (few["train.minutes"], few["loss.mae"]) == (5, 0)
    assert (many["train.minutes"], many["loss.mae"]) == (60, 1)
    assert chosen(statistics(steps=2_000_000))["loss.mae"] == 0  # a picture of one token
    assert (few["data.validation"], many["data.validation"]) == (0.1, 0.05)


def test_what_is_given_stays_and_the_grid_follows() -> None:
    given = {"model.frame_height": 64, "train.steps": 10, "model.global_token": False}
    values = chosen(statistics(72, 128), given)
    assert values["model.frame_height"] == 64
    assert values["model.pooled_grid"] == [1, 1]
    assert values["train.minutes"] == 0
    assert values["model.global_token"] is False
    own_game_settings(statistics(), {"model.frame_height": "x", "model.frame_width": -8})


def test_the_recipe_reads_back() -> None:
    data = statistics()
    choices = own_game_settings(data)
    sections = tomllib.loads(settings_toml(data, choices))
    values = {f"{s}.{name}": value for s, part in sections.items() for name, value in part.items()}
    assert values == {choice.name: choice.value for choice in choices}
    assert "# half of the episodes have no more than 8 steps" in settings_toml(data, choices)
