"""Messages: every number is finite and bounded, and an error names the field, never its value."""

import json
from typing import Any

import pytest

from bridges.protocol.fields import MAX_INT
from bridges.protocol.messages import (
    Event,
    Hello,
    MessageError,
    build,
    from_client,
    from_server,
)
from games.voxel import SPEC


def short(value: object) -> str:
    """Name of a case."""
    return repr(value)[:24]


SECRET = "s3cret-t0ken"
ACT = {
    "type": "act", "session": "a", "observation": 1, "action": {}, "words": "", "probability": 1, "valid_ms": 1,
    "latency": {"queue_ms": 0, "infer_ms": 0, "age_ms": 0},
}  # fmt: skip


def wrong_path(message: dict[str, Any], *, server: bool = False) -> str:
    with pytest.raises(MessageError) as caught:
        (from_server if server else from_client)(json.dumps(message))
    assert str(caught.value).startswith(f"{message['type']}.{caught.value.path}: ")
    return caught.value.path


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("seed", MAX_INT + 1),
        ("seed", 10**4000),
        ("seed", 0.5),
        ("version", -1),
        ("version", 10**4000),
        ("role", "god"),
        ("token", "x" * 501),
        ("instruction", "x" * 501),
        ("sdk", "x" * 101),
        ("mode", None),
    ],
    ids=short,
)
def test_a_hellos_fields_are_bounded(field: str, value: Any) -> None:
    assert wrong_path({"type": "hello", field: value}) == field


def test_a_seed_is_any_integer_that_all_readers_take() -> None:
    for seed in (0, MAX_INT):
        assert from_client(json.dumps({"type": "hello", "seed": seed})) == Hello(seed=seed)
    with pytest.raises(MessageError, match=r"hello\.seed"):
        build(Hello, seed=-1)


@pytest.mark.parametrize("reward", ["nan", "inf", 1e16, 10**400, None], ids=short)
def test_a_reward_is_a_finite_number(reward: Any) -> None:
    assert wrong_path({"type": "event", "reward": reward}) == "reward"
    with pytest.raises(MessageError, match=r"event\.reward"):
        build(Event, reward=float("nan"))


@pytest.mark.parametrize("number", [-1, 10**400, "x"], ids=short)
def test_counts_and_numbers_are_bounded(number: Any) -> None:
    assert wrong_path({"type": "event", "episode": number}) == "episode"
    assert wrong_path({**ACT, "observation": number}, server=True) == "observation"
    assert wrong_path({**ACT, "valid_ms": number}, server=True) == "valid_ms"
    query = {"type": "query", "id": number}
    if number == -1:
        assert from_client(json.dumps(query)) is not None
    else:
        assert wrong_path(query) == "id"


def test_many_wrong_entries_are_one_error() -> None:
    assert wrong_path({"type": "hello", "tasks": [1] * 60_000}) == "tasks.0"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "hello", "token": SECRET * 50},
        {"type": "hello", "token": [SECRET]},
        {"type": "hello", "token": {"value": SECRET}},
        {"type": "hello", "version": SECRET, "token": SECRET},
        {"type": "hello", "role": SECRET},
        {"type": "hello", "mode": SECRET},
        {"type": "hello", "seed": SECRET},
        {"type": "hello", "tasks": SECRET},
        {"type": "hello", "spec": SECRET},
        {"type": "hello", "spec": {"id": "a-v0", "token": SECRET}},
        {"type": "hello", "spec": {**SPEC.model_dump(mode="json"), "step_hz": SECRET}},
        {"type": "hello", "spec": {**SPEC.model_dump(mode="json"), "controls": [{"kind": "axis", "token": SECRET}]}},
    ],
    ids=short,
)  # fmt: skip
def test_an_error_never_repeats_a_value(message: dict[str, Any]) -> None:
    with pytest.raises(MessageError) as caught:
        from_client(json.dumps(message))
    assert SECRET not in str(caught.value) + caught.value.path
    assert caught.value.__cause__ is None


def test_an_error_that_names_a_key_is_short() -> None:
    spec = {**SPEC.model_dump(mode="json"), "x" * 200_000: 1}
    with pytest.raises(MessageError) as caught:
        from_client(json.dumps({"type": "hello", "spec": spec}))
    assert len(str(caught.value)) < 150
    assert len(caught.value.path) < 60
