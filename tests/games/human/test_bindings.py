"""Bindings: every control of every game has an input, and a user's file changes only what it names."""

from pathlib import Path

import pytest

from games import (
    Axis,
    Button,
    Camera,
    Choice,
    FrameSize,
    GameSpec,
    Stick,
    Text,
    UnplayableError,
)
from games.controls import Control
from games.human.bindings import Target, bind, read_controls, targets_of
from games.human.inputs import WINDOW_KEYS
from games.human.key_help import controls_in_words, help_rows
from games.meanings import MEANINGS
from games.registry import load, names
from games.voxel import SPEC


def spec(*controls: Control) -> GameSpec:
    frame = FrameSize(height=8, width=8)
    return GameSpec(id="toy-v0", title="Toy", frame=frame, step_hz=10, controls=controls)


def buttons(*meanings: str) -> GameSpec:
    return spec(*(Button(name=f"b{i}", meaning=meaning) for i, meaning in enumerate(meanings)))


@pytest.mark.parametrize("name", [n for n in names() if load(n).spec.controls])
def test_every_control_of_a_shipped_game_has_an_input(name: str) -> None:
    game = load(name).spec
    bindings = bind(game, read_controls())
    bound = set(bindings.targets.values())
    for control in game.controls:
        assert isinstance(control, Text) or bound & set(targets_of(control)), control.name
    assert not set(bindings.targets) & set(WINDOW_KEYS)


def test_every_meaning_of_a_button_has_an_input_of_its_own_accord() -> None:
    shared = [m for m in MEANINGS if m not in ("look", "chat", "move.stick", "look.stick")]
    for meaning in shared:
        if meaning in ("steer", "throttle"):
            continue
        assert bind(buttons(meaning), read_controls()).targets, meaning


def test_an_input_goes_to_the_control_that_has_it_in_front() -> None:
    both = bind(buttons("move.left", "look.left"), read_controls()).targets
    assert (both["a"].control, both["left"].control) == ("b0", "b1")
    assert both["pad left stick left"].control == "b0"
    alone = bind(buttons("look.left"), read_controls()).targets
    assert {alone["a"].control, alone["left"].control} == {"b0"}


def test_what_has_no_input_gets_a_spare_key() -> None:
    game = spec(
        Button(name="cast", meaning="toy/cast"), Choice(name="hat", options=("no", "red", "blue")),
        Axis(name="depth"), Stick(name="arm"), Camera(name="view", pitch_bins=(-1, 0, 1), yaw_bins=(0,)),
    )  # fmt: skip
    bindings = bind(game, read_controls())
    bound = {target: name for name, target in bindings.targets.items()}
    assert Target("cast") in bound
    assert Target("hat", "red") in bound
    assert {Target("depth", "low"), Target("depth", "high")} <= set(bound)
    shown = dict(controls_in_words(game, bindings, has_pad=False))
    assert shown["cast"] == bound[Target("cast")]
    assert shown["hat blue"] == bound[Target("hat", "blue")]


def test_the_help_names_keys_before_the_gamepad() -> None:
    game = load("minecraft").spec
    rows = dict(controls_in_words(game, bind(game, read_controls()), has_pad=True))
    assert rows["drop the item"] == "q / pad dpdown"
    assert rows["camera"] == "mouse / up down left right / pad right stick"


def test_the_help_has_say_where_the_game_has_a_text_control() -> None:
    for has_chat in (True, False):
        chat = (Text(name="chat"),) if has_chat else ()
        game = spec(Button(name="cast", meaning="toy/cast"), *chat)
        rows = dict(help_rows(game, bind(game, read_controls()), has_pad=False))
        assert "cast" in rows
        assert "/goal WORDS" in rows
        assert ("/say WORDS" in rows) == has_chat


def test_a_file_of_the_users_changes_only_what_it_names(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[inputs]\njump = ["j"]\n"voxel/attack" = ["x"]\n[tags]\n3 = "creeper"\n'
        "[mouse]\ndegrees_per_pixel = 0.3\n"
    )
    bindings = bind(SPEC, read_controls(mine))
    assert bindings.targets["j"] == Target("jump")
    assert "space" not in bindings.targets
    assert bindings.targets["x"] == bindings.targets["mouse left"] == Target("attack")
    assert bindings.targets["w"] == Target("forward")
    assert (bindings.tags["3"], bindings.tags["1"]) == ("creeper", "good")
    assert (bindings.degrees_per_pixel, bindings.degrees_per_second) == (0.3, 120.0)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[inputs]\njmup = ["j"]', "no meaning called 'jmup'; did you mean 'jump'"),
        ('[inputs]\njump = ["spcae"]', "no input called 'spcae'; did you mean 'space'"),
        ('[inputs]\njump = ["t"]', "no input called 't'"),
        ('[inputs]\njump = "space"', "at inputs.jump"),
        ('[tags]\n0 = "x"', "at tags.0"),
        ("[tag]\n", "at tag"),
        ("[look]\ndegrees_per_second = nan", "look.degrees_per_second"),
        ("jump", "no TOML"),
        ("\xff", "no TOML"),
        ('[spare]\nkeys = ["nokey"]', "spare: no key called 'nokey'"),
    ],
)
def test_a_wrong_file_is_one_line(text: str, error: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UnplayableError) as raised:
        read_controls(path)
    assert error in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnplayableError, match=r"cannot be read"):
        read_controls(tmp_path / "missing.toml")
