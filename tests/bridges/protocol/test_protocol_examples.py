"""PROTOCOL.md: every example is a message, and every number is the code's."""

import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import bridges
from bridges.protocol import act as acts
from bridges.protocol.connection import MAX_REASON
from bridges.protocol.fields import MAX_AGENTS, MAX_CAMERAS, Owner
from bridges.protocol.frames import MAX_META, MAX_PIXELS, pack
from bridges.protocol.mailbox import CAPACITY
from bridges.protocol.messages import (
    MAX_DEPTH,
    MAX_MESSAGE,
    MAX_TEXT,
    Act,
    Hello,
    from_client,
    from_server,
)
from bridges.protocol.schema import schema
from bridges.protocol.step_report import MAX_STATE, StepReport, read_report
from bridges.protocol.strict_json import MAX_CONTAINERS
from bridges.serving.gathering import GATHER_S
from bridges.serving.limits import ServerLimits

TEXT = Path(bridges.__file__).with_name("PROTOCOL.md").read_text(encoding="utf-8")
PROSE = " ".join(TEXT.split())
"""The text without its line breaks."""
EXAMPLES = re.findall(r"```json (client|server)\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("sender", "example"), EXAMPLES)
def test_the_example_is_a_message_without_unknown_fields(sender: str, example: str) -> None:
    message = (from_client if sender == "client" else from_server)(example)
    assert message is not None
    assert set(json.loads(example)) <= set(type(message).model_fields)


def test_every_message_has_an_example() -> None:
    for sender in ("client", "server"):
        part = schema()[sender]
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


def test_the_example_of_a_pictures_json_is_right_and_complete() -> None:
    (example,) = re.findall(r"```json picture\n(.*?)```", TEXT, re.DOTALL)
    hello = next(
        m for who, e in EXAMPLES if who == "client" and isinstance(m := from_client(e), Hello)
    )
    assert hello.spec is not None
    report, problems = read_report(example.encode(), hello.spec)
    assert not problems
    assert set(json.loads(example)) == set(StepReport.model_fields)
    assert report.executed == report.input == {"walk": 1, "hit": 0, "look": (0.0, 2.0)}
    for field in StepReport.model_fields:
        assert re.search(rf"^\| `{field}` \|", TEXT, re.MULTILINE)


def test_every_owner_is_explained() -> None:
    part = TEXT.partition("| owner |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)) == set(get_args(Owner))


def test_the_example_picture_is_these_bytes() -> None:
    example = re.search(r"```hex\n(.*?)```", TEXT, re.DOTALL)
    assert example is not None
    assert bytes.fromhex(example.group(1)) == pack(np.zeros((2, 3, 3), np.uint8), 5, 6)


def test_every_error_code_is_explained() -> None:
    root = Path(bridges.__file__).parent
    source = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("protocol", "serving")
        for path in (root / folder).glob("*.py")
    )
    sent = set(re.findall(r'code="(\w+)"|_mistake\("(\w+)"|code = "(\w+)"', source))
    codes = {code for groups in sent for code in groups if code} | {"bad_picture", "policy_failed"}
    part = TEXT.partition("## Messages from the server")[2].partition("## Rules")[0]
    assert codes == set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE))


def test_the_limits_are_the_codes() -> None:
    for figure in (
        f"{MAX_PIXELS:,} pixels",
        f"{MAX_DEPTH} levels",
        f"{MAX_CONTAINERS} arrays",
        f"{MAX_TEXT >> 10} KiB",
        f"{MAX_META >> 10} KiB",
    ):
        assert figure in TEXT
    limits = ServerLimits()
    window = limits.record_window
    budgets = (limits.texts, limits.pictures, limits.control_frames, limits.mistakes)
    assert {budget.burst_s for budget in budgets} == {2}
    for figure in (
        f"more than {limits.unauthenticated} connections wait without one",
        f"within {limits.hello_grace_s:.0f} second while",
        f"At most {limits.max_in_flight} pictures, or {limits.max_in_flight_bytes >> 20} MiB",
        f'"max_in_flight": {limits.max_in_flight}',
        f"At most {limits.max_queries} queries",
        f"{limits.max_failures} pictures in",
        f"{limits.texts.messages_per_s} messages and {int(limits.texts.bytes_per_s) >> 10} KiB of text",
        f"in realtime {limits.pictures.messages_per_s}",
        f"{int(limits.pictures.bytes_per_s) >> 20} MiB, {limits.control_frames.messages_per_s} pings",
        f"{limits.reports.messages_per_s} pictures with JSON and {int(limits.reports.bytes_per_s) >> 20} MiB of it",
        f"Beyond {limits.mistakes.messages_per_s} mistakes a second in the JSON",
        f"a JSON object about the game at this picture, at most {MAX_STATE} bytes",
        f"{limits.mistakes.messages_per_s} messages that are answered with an error",
        f"pings every {limits.ping_s:.0f} seconds",
        f"sending for {limits.unread_s:.0f} seconds",
        f"silent for {limits.silence_s:.0f},",
        f"has at most {MAX_REASON} bytes",
        f"cut off after {limits.close_s:.0f} second",
        f"above {limits.watch_pixels} pixels",
        f"nothing done for {limits.stuck_s:.0f} s",
        f"At most {window.pictures} pictures or {window.size >> 20} MiB of them are under way",
        f"credit for {window.pictures} pictures",
    ):
        assert figure in PROSE
    assert f"{limits.connections} connections" in TEXT
    assert f"at most {limits.sessions} agents at once" in PROSE
    assert f"1 to {MAX_AGENTS} players" in PROSE
    assert f"1 to {MAX_CAMERAS} pictures of one moment" in PROSE
    assert f"at most {limits.max_in_flight_bytes >> 20} MiB together (4413)" in PROSE
    assert f"at most {limits.detached} agents without a connection" in PROSE
    assert f"at most {CAPACITY} for each agent" in PROSE
    assert f"waits for the others, at most {1000 * GATHER_S:.0f} ms" in PROSE
    assert f"above {MAX_MESSAGE >> 20} MiB" in TEXT
    assert f"within {limits.hello_timeout_s:.0f} s" in TEXT
    assert f"at most {limits.watch_hz:.0f} a second" in PROSE
    assert f"{limits.stall_bytes >> 20} MiB has waited for {limits.stall_s:.0f} seconds" in PROSE
