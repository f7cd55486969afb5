"""Game spec from outside: bounded in tokens, numbers, names and counts, whatever its JSON says."""

from typing import Any

import pytest
from pydantic import ValidationError

from games import Axis, Button, Camera, Choice, GameSpec, Stick
from games.bins import even_levels, nearest
from games.registry import load
from games.spec import MAX_CONTROLS, MAX_TOKENS
from games.token_names import token_count
from games.validation_error import first_error


def short(value: object) -> str:
    """Name of a case."""
    return repr(value)[:24]


SHIPPED = ("voxel", "minecraft", "bleeding-edge", "language-table", "calvin", "frozen-lake")


def spec_of(*controls: Any, **fields: Any) -> GameSpec:
    """A spec as it comes from JSON."""
    base = {"id": "odd-v0", "title": "Odd", "frame": {"height": 64, "width": 64}, "step_hz": 20}
    return GameSpec.model_validate({**base, "controls": list(controls), **fields})


def control(kind: str, number: int = 0, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "name": f"c{number}", **fields}


def reason(*controls: Any, **fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        spec_of(*controls, **fields)
    assert caught.value.error_count() <= 3
    return str(first_error(caught.value))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_games_fit(name: str) -> None:
    spec = load(name).spec
    tokens = [len(control.tokens) for control in spec.controls]
    assert [token_count(control) for control in spec.controls] == tokens
    assert sum(tokens) < MAX_TOKENS / 10


@pytest.mark.parametrize("kind", ["button", "axis", "text"])
def test_as_many_controls_as_a_spec_may_have(kind: str) -> None:
    controls = [control(kind, i) for i in range(MAX_CONTROLS)]
    spec = spec_of(*controls)
    assert spec.decode(spec.encode({})) == spec.null_action()
    assert "at most 256" in reason(*controls, control(kind, 999))


def test_all_controls_share_one_budget_of_tokens() -> None:
    sticks = [control("stick", i, rotation_bins=1024, magnitude_bins=256) for i in range(10)]
    spec_of(*sticks[:6])
    assert "12800 tokens, a game has at most 8192" in reason(*sticks)


def test_tokens_are_not_made_before_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def tokens(stick: Stick) -> tuple[str, ...]:
        made.append(stick.name)
        return ()

    monkeypatch.setattr(Stick, "tokens", property(tokens))
    reason(*(control("stick", i, rotation_bins=1024) for i in range(256)))
    assert made == []


FORMS = ["{:>20000000}", "{x}", "{0}", "{}{}", "{{{}", "{!r}", "plain", "{} {}", "a b{}", "{", "}"]


@pytest.mark.parametrize("form", [*FORMS, "{}" + "x" * 63])
def test_a_token_form_has_one_plain_place(form: str) -> None:
    assert "token" in reason(control("axis", token=form))
    assert "token" in reason(control("choice", options=["a", "b"], token=form))
    assert "token" in reason(control("stick", rotation_token=form))
    assert "token" in reason(control("camera", pitch_bins=[-1, 0], yaw_bins=[0, 1], yaw_token=form))


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"low": -1.7e308, "high": 1.7e308}, "low"),
        ({"high": float("inf")}, "high"),
        ({"high": float("nan")}, "high"),
        ({"high": "inf"}, "high"),
        ({"high": 10**400}, "high"),
        ({"high": 1e10}, "high"),
        ({"low": 0, "high": 1e-320}, "apart"),
        ({"low": 1, "high": 1}, "below"),
        ({"low": 0, "high": 0.001, "bins": 1024}, "less than 1e-06 apart"),
        ({"bins": 1025}, "bins"),
    ],
    ids=short,
)
def test_an_axis_is_finite_with_levels_apart(fields: dict[str, Any], place: str) -> None:
    assert place in reason(control("axis", **fields))


@pytest.mark.parametrize("bins", [[], [1, 2], [1, 0], [0, 0], [0, 361], [0, float("nan")]])
def test_camera_bins_are_few_turns_in_order(bins: list[float]) -> None:
    assert "pitch_bins" in reason(control("camera", pitch_bins=bins, yaw_bins=[0]))
    assert "yaw_bins" in reason(control("camera", pitch_bins=[0], yaw_bins=bins))


def test_a_bin_of_minus_zero_is_zero() -> None:
    camera = Camera(name="look", pitch_bins=(-0.0,), yaw_bins=(-1.0, -0.0))
    assert camera.tokens == ("[CAMERAX0]", "[CAMERAY-1]", "[CAMERAY0]")


@pytest.mark.parametrize("step_hz", [1e-306, 0, -1, 241, float("nan"), "nan"])
def test_a_game_has_a_pace(step_hz: Any) -> None:
    assert "step_hz" in reason(step_hz=step_hz)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "x" * 201),
        ("hints", ["x" * 501]),
        ("hints", ["x"] * 60_000),
        ("exclusive", [["a", "b"]] * 30_000),
        ("exclusive", [["a"] * 60_000]),
        ("exclusive", [["x" * 49]]),
        ("controls", [[]] * 80_000),
        ("controls", [control("button", label="x" * 101)]),
        ("controls", [control("camera", pitch_bins=["x"] * 60_000, yaw_bins=[0])]),
        ("controls", [control("choice", options=[f"o{i}" for i in range(1025)])]),
        ("controls", [control("button", meaning="a" * 65)]),
        ("controls", [control("button") | {f"k{i}": 1 for i in range(20_000)}]),
        ("x" * 200_000, 1),
    ],
    ids=short,
)
def test_texts_and_lists_are_bounded(field: str, value: Any) -> None:
    line = reason(**{field: value})
    assert field[:48] in line
    assert len(line) < 400


def test_exclusive_groups_are_bounded_together() -> None:
    buttons = [control("button", i) for i in range(256)]
    names = [button["name"] for button in buttons]
    assert len(spec_of(*buttons, exclusive=[names] * 4).exclusive) == 4
    assert "1280 names, at most 1024" in reason(*buttons, exclusive=[names] * 5)


@pytest.mark.parametrize(
    ("exclusive", "problem"),
    [
        ([["c0", "c0"]], "twice: c0"),
        ([["c0", "c9"]], "no button: c9"),
        ([[f"x{i}" for i in range(100)]], "x0, x1, x10, x11, x12, …"),
    ],
)
def test_an_exclusive_group_has_different_buttons(exclusive: Any, problem: str) -> None:
    assert problem in reason(control("button"), exclusive=exclusive)


@pytest.mark.parametrize("name", ["STARTACTION", "ENDOFACTION"])
def test_the_marks_of_an_action_are_nobodys_token(name: str) -> None:
    assert "token declared twice" in reason({"kind": "button", "name": name})


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("Meadow-v0", "meadow-v0"),
        ("MeadowV2", "meadow-v2"),
        ("meadow", "meadow-v0"),
        ("My Game!", "my-game-v0"),
        ("x" * 64, "x" * 50 + "-v0"),
        ("meadow-v٣", "meadow-v-v0"),
        ("", "game-v0"),
    ],
)
def test_a_wrong_id_is_answered_with_the_right_one(wrong: str, right: str) -> None:
    assert f"call it {right!r}" in reason(id=wrong)
    assert spec_of(id=right).id == right


def test_a_changed_copy_has_its_own_tokens() -> None:
    axis = Axis(name="gas")
    assert axis.tokens[0] == "[gas:0]"
    assert axis.model_copy(update={"name": "brake"}).tokens[0] == "[brake:0]"
    spec = spec_of(control("button"))
    assert list(spec.by_name) == ["c0"]
    changed = spec.model_copy(update={"controls": (Button(name="other"),)})
    assert list(changed.by_name) == ["other"]
    assert changed.model_copy() == changed


def test_the_nearest_bin_is_that_of_a_search_through_all() -> None:
    for bins in (even_levels(-1, 1, 11), (-18.0, -1.5, 0.0, 1.5, 9.0), (0.0,), (2.0, 3.0)):
        for k in range(-200, 201):
            value = k / 10
            assert nearest(bins, value) == min(bins, key=lambda b: (abs(b - value), abs(b)))


def test_levels_close_together_have_their_own_words() -> None:
    spec = spec_of(control("axis", low=-1e-4, high=1e-4, bins=21))
    for level in spec.controls[0].levels:  # type: ignore[union-attr]
        action = {"c0": level}
        assert spec.from_words(spec.to_words(action)) == spec.normalize(action)


@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan")], ids=short)
def test_a_value_beyond_all_numbers_is_an_action_error(value: float) -> None:
    axis, stick = Axis(name="gas"), Stick(name="left")
    camera = Camera(name="look", pitch_bins=(0,), yaw_bins=(0,))
    for wrong in (lambda: axis.normalize(value), lambda: stick.normalize((value, 1)),
                  lambda: camera.normalize((0, value))):  # fmt: skip
        with pytest.raises(ValueError, match=r"finite|numbers"):
            wrong()


def test_a_choice_has_tokens_of_its_own_form() -> None:
    choice = Choice(name="grip", options=("open", "close"), token="<{}>")
    assert choice.tokens == ("<open>", "<close>")
