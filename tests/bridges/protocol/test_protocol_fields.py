"""PROTOCOL.md: every field of every control with its limits, every codec and every meaning."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import bridges
from bridges.protocol import frames, image_bytes
from bridges.protocol.fields import MAX_INT, MAX_REWARD
from bridges.protocol.messages import Hello, from_client
from bridges.protocol.schema import schema
from games import MEANINGS, Axis, Button, Camera, Choice, GameSpec, Stick, Text, bins, spec

TEXT = Path(bridges.__file__).with_name("PROTOCOL.md").read_text(encoding="utf-8")
FLAT = " ".join(TEXT.split())
KINDS = (Button, Camera, Stick, Axis, Choice, Text)
COMPLETE = next(
    example
    for example in re.findall(r"```json client\n(.*?)```", TEXT, re.DOTALL)
    if '"tank-v0"' in example
)


def test_the_complete_example_has_every_field() -> None:
    hello = from_client(COMPLETE)
    assert isinstance(hello, Hello)
    assert hello.spec is not None
    raw = json.loads(COMPLETE)["spec"]
    assert set(raw) == set(GameSpec.model_fields)
    by_kind: dict[str, set[str]] = {}
    for control in raw["controls"]:
        by_kind.setdefault(control["kind"], set()).update(control)
    fields = {str(model.model_fields["kind"].default): set(model.model_fields) for model in KINDS}
    assert by_kind == fields


def test_every_kind_has_a_row_with_its_fields_and_defaults() -> None:
    shared = {"kind", "name", "meaning"}
    for model in KINDS:
        kind = model.model_fields["kind"].default
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{kind}` |"))
        for name, field in model.model_fields.items():
            assert name in shared or f"`{name}`" in row
            if isinstance(field.default, int) and not isinstance(field.default, bool):
                assert re.search(rf"\b{field.default}\)", row)


def _patterns(node: Any) -> set[str]:
    """All patterns of a JSON Schema."""
    if isinstance(node, dict):
        inner: set[str] = set().union(*map(_patterns, node.values()))
        pattern = node.get("pattern")
        return inner | ({pattern} if isinstance(pattern, str) else set())
    return set().union(*map(_patterns, node)) if isinstance(node, list) else set()


def test_every_pattern_is_shown() -> None:
    patterns = _patterns(schema()["client"])
    optional = {"^([^{}\\s]*\\{\\}[^{}\\s]*)?$"}  # a token form, or nothing
    assert optional < patterns
    assert len(patterns) == 5
    for pattern in patterns - optional:
        assert f"`{pattern}`" in TEXT


@pytest.mark.parametrize(
    "figure",
    [
        f"at most {spec.MAX_CONTROLS}, with at most {spec.MAX_TOKENS} tokens together",
        f"at most {spec.MAX_CONTROLS} groups with {spec.MAX_EXCLUSIVE} names in all",
        f"at most {spec.MAX_HINTS} of at most 500 characters",
        f"8 to {spec.MAX_SIDE} each",
        f"1 to {bins.MAX_BINS} ascending numbers of -{bins.MAX_TURN_DEG:g} to {bins.MAX_TURN_DEG:g}",
        f"at most {bins.MAX_NUMBER:.0e} in magnitude".replace("e+0", "e"),
        f"at least {bins.MIN_SPACING:g} apart",
        f"1 to {frames.MAX_PIXELS:,} pixels (1920×1080) and sides of at most {spec.MAX_SIDE}",
        f"at most {image_bytes.MAX_SCANS} scans, a PNG at most {image_bytes.MAX_CHUNKS} chunks",
        f"a `reward` up to {MAX_REWARD:.0e} in magnitude".replace("+", ""),
        f'"max_pixels": {frames.MAX_PIXELS}',
    ],
)
def test_every_limit_is_the_codes(figure: str) -> None:
    assert figure in FLAT


def test_integers_are_the_codes() -> None:
    assert MAX_INT == 2**53 - 1
    assert FLAT.count("2^53 - 1") == 2


def test_every_codec_is_named_by_its_number() -> None:
    (row,) = [line for line in TEXT.splitlines() if line.startswith("| 5 | 1 |")]
    for codec in frames.Codec:
        name = codec.name if codec in (frames.Codec.JPEG, frames.Codec.PNG) else f"raw {codec.name}"
        assert f"{codec.value} {name}".replace("GRAY", "gray") in row
    assert f"+ {frames.BOTTOM_UP}" in row


def test_every_meaning_is_listed_in_order_with_its_explanation() -> None:
    part = TEXT.partition("| meaning | what it does |")[2].partition("\n\n")[0]
    rows = [re.findall(r"`([^`]+)`", line.split("|")[1]) for line in part.splitlines()[2:]]
    listed: list[str] = []
    for names in rows:
        family = names[0].rpartition(".")[0]
        last = int(names[-1].rpartition(".")[2]) if len(names) == 2 else 1
        listed += names if len(names) == 1 else [f"{family}.{i}" for i in range(1, last + 1)]
    assert listed == list(MEANINGS)
    for meaning, explained in MEANINGS.items():
        assert re.search(r"\.\d$", meaning) or f"| `{meaning}` | {explained} |" in part


def test_the_orientation_is_the_codes() -> None:
    stick = Stick(name="move")
    assert "0° is up or away from the player, 90° right, 180° down, 270° left" in FLAT
    assert stick.null == (0, 0)
    camera = Camera(name="look", pitch_bins=(-1, 0, 1), yaw_bins=(-1, 0, 1))
    assert camera.to_words((1, 1)) == ("turn right 1°", "look down 1°")
    assert "pitch > 0 looks down, yaw > 0 to the right" in FLAT
