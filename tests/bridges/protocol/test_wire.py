"""Wire format: strict JSON, checked pictures, and nothing decoded before its size is known."""

import contextlib
import json
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.protocol import frames
from bridges.protocol.frames import Codec, FrameError, pack, unpack
from bridges.protocol.messages import (
    Act,
    Hello,
    Instruct,
    MessageError,
    from_client,
    from_server,
    parse_json,
)
from bridges.protocol.schema import schema
from games.voxel import SPEC

FRAME = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)


@pytest.mark.parametrize("codec", [Codec.RGB, Codec.PNG])
def test_lossless_pictures_come_back(codec: Codec) -> None:
    picture = unpack(pack(FRAME, 7, 123, codec))
    assert (picture.number, picture.t_ns) == (7, 123)
    assert (picture.decode() == FRAME).all()


def test_json_behind_the_header_is_skipped() -> None:
    meta, payload = b'{"a":1}', FRAME.tobytes()
    size = (FRAME.shape[1], FRAME.shape[0])
    head = frames.HEADER.pack(b"IAFM", 1, Codec.RGB, 0, *size, 1, 1, len(meta), len(payload))
    assert (unpack(head + meta + payload).decode() == FRAME).all()
    with pytest.raises(FrameError, match="do not add up"):
        unpack(head + payload)


def test_the_header_is_these_bytes() -> None:
    data = pack(np.zeros((2, 3, 3), np.uint8), 5, 6)
    assert data[:32] == b"IAFM\x01\x00\x00\x00\x03\x00\x02\x00\x05\x00\x00\x00" + struct.pack(
        "<QII", 6, 0, 18
    )


@pytest.mark.parametrize(("codec", "channels"), [(Codec.RGBA, 4), (Codec.BGRA, 4), (Codec.GRAY, 1)])
def test_raw_orders_become_rgb(codec: Codec, channels: int) -> None:
    pixel = {Codec.RGBA: [1, 2, 3, 9], Codec.BGRA: [3, 2, 1, 9], Codec.GRAY: [7]}[codec]
    payload = bytes(pixel) * 6
    head = frames.HEADER.pack(b"IAFM", 1, codec, 0, 3, 2, 1, 1, 0, len(payload))
    decoded = unpack(head + payload).decode()
    assert decoded.shape == (2, 3, 3)
    assert decoded[0, 0].tolist() == ([7, 7, 7] if codec is Codec.GRAY else [1, 2, 3])


def test_a_bomb_is_refused_by_its_own_bytes_before_decoding() -> None:
    bomb = cv2.imencode(".png", np.zeros((6000, 6000), np.uint8))[1].tobytes()
    true_size = frames.HEADER.pack(b"IAFM", 1, Codec.PNG, 0, 6000, 6000, 1, 1, 0, len(bomb))
    false_size = frames.HEADER.pack(b"IAFM", 1, Codec.PNG, 0, 64, 64, 1, 1, 0, len(bomb))
    for head in (true_size, false_size):
        with pytest.raises(FrameError) as caught:
            unpack(head + bomb)
        assert caught.value.code == 4413


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200))
def test_noise_is_refused_cleanly(data: bytes) -> None:
    for message in (data, b"IAFM\x01\x04" + data, pack(FRAME, 1, 1, Codec.JPEG)[:-1] + data):
        with contextlib.suppress(FrameError):
            unpack(message).decode()


@pytest.mark.parametrize(
    "text",
    [
        "[1, NaN]",
        '{"a": Infinity}',
        '"\\ud800"',
        "[" * 40 + "]" * 40,
        "{",
        '"' + "a" * 300_000 + '"',
        "[" * 100_000,
    ],
)
def test_json_is_strict(text: str) -> None:
    with pytest.raises(MessageError):
        parse_json(text)


def test_brackets_in_strings_are_no_depth() -> None:
    assert parse_json(json.dumps("[" * 100)) == "[" * 100


def test_unknown_fields_pass_and_wrong_types_are_named() -> None:
    message = from_client('{"type": "instruct", "text": "go", "new": 1}')
    assert message == Instruct(text="go")
    assert from_client('{"type": "telepathy"}') is None
    with pytest.raises(MessageError, match=r"instruct\.text") as caught:
        from_client('{"type": "instruct", "text": 5}')
    assert caught.value.path == "text"
    with pytest.raises(MessageError):
        from_client("[]")


def test_an_act_of_one_action_stays_what_it_is() -> None:
    act = from_server(
        '{"type": "act", "session": "a", "observation": 1, "action": {"on": 1}, "words": "on", "probability": 1,'
        ' "valid_ms": 300, "latency": {"queue_ms": 0, "infer_ms": 1, "age_ms": 1}}'
    )
    assert isinstance(act, Act)
    assert act.later == ()
    assert act.at_step(5) is act


def test_a_hello_carries_its_spec() -> None:
    hello = Hello(spec=SPEC, instruction="go")
    assert from_client(hello.model_dump_json()) == hello
    assert {"client", "server", "picture"} == set(schema())
