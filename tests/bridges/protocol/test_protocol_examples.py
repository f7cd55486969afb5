"""PROTOCOL.md: every example is a message, and every number is the code's."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import bridges
from bridges.protocol import act as acts
from bridges.protocol.frames import MAX_META, MAX_PIXELS, pack
from bridges.protocol.messages import (
    MAX_DEPTH,
    MAX_MESSAGE,
    MAX_TEXT,
    Act,
    Hello,
    from_client,
    from_server,
    schema,
)
from bridges.serving.limits import ServerLimits

TEXT = Path(bridges.__file__).with_name("PROTOCOL.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json (client|server)\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("sender", "example"), EXAMPLES)
def test_the_example_is_a_message_without_unknown_fields(sender: str, example: str) -> None:
    message = (from_client if sender == "client" else from_server)(example)
    assert message is not None
    assert set(json.loads(example)) <= set(type(message).model_fields)


def test_every_message_has_an_example() -> None:
    for sender, part in schema().items():
        shown = {json.loads(example)["type"] for who, example in EXAMPLES if who == sender}
        types = set(part["discriminator"]["mapping"])
        shown_for_the_client = {"event", "bye"} if sender == "server" else set()
        assert types - shown == shown_for_the_client


def test_the_example_act_is_legal_in_the_example_game() -> None:
    messages = [
        (from_client if who == "client" else from_server)(example) for who, example in EXAMPLES
    ]
    hello = next(m for m in messages if isinstance(m, Hello))
    act = next(m for m in messages if isinstance(m, Act))
    assert hello.spec is not None
    assert hello.spec.normalize(act.action) == {"walk": 1, "hit": 0, "look": (0.0, 2.0)}
    assert [hello.spec.normalize(then.action)["walk"] for then in act.later] == [1]
    assert act.step_ms == 1000 / hello.spec.step_hz
    assert act.valid_ms == (acts.VALID_STEPS + len(act.later)) * act.step_ms


def test_the_example_picture_is_these_bytes() -> None:
    example = re.search(r"```hex\n(.*?)```", TEXT, re.DOTALL)
    assert example is not None
    assert bytes.fromhex(example.group(1)) == pack(np.zeros((2, 3, 3), np.uint8), 5, 6)


def test_the_limits_are_the_codes() -> None:
    for figure in (
        f"{MAX_PIXELS:,} pixels",
        f"{MAX_DEPTH} levels",
        f"{MAX_TEXT >> 10} KiB",
        f"{MAX_META >> 10} KiB",
    ):
        assert figure in TEXT
    limits = ServerLimits()
    assert f"{limits.connections} connections" in TEXT
    assert f"above {MAX_MESSAGE >> 20} MiB" in TEXT
    assert f"within {limits.hello_timeout_s:.0f} s" in TEXT
    assert f"at most {limits.watch_hz:.0f} a second" in TEXT
    assert (
        f"once {limits.stall_bytes >> 20} MiB has waited for it for {limits.stall_s:.0f} seconds"
        in TEXT
    )
