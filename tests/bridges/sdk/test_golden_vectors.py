"""Golden vectors: the committed file is what this side makes and reads."""

import hashlib
import json
from typing import Any, get_args

import numpy as np
import pytest

from bridges.protocol.frames import FrameError, pack, unpack
from bridges.protocol.messages import (
    FromClient,
    FromServer,
    MessageError,
    from_client,
    from_server,
)
from bridges.testing.golden_vectors import PATH, file_text, filled

VECTORS: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))


def types_of(union: Any) -> set[str]:
    """The `type` of every message of a side."""
    return {model.model_fields["type"].default for model in get_args(get_args(union)[0])}


def message_of(vector: dict[str, Any]) -> bytes:
    """The binary message that a vector describes, put together by hand."""
    meta = str(filled(vector["meta"])).encode()
    payload = vector["payload"]
    data: bytes = (
        bytes.fromhex(payload)
        if isinstance(payload, str)
        else bytes([payload["fill"]]) * payload["times"]
    )
    codec = ["rgb", "rgba", "bgra", "gray", "jpeg", "png", "bgr"].index(vector["codec"])
    header = b"IAFM\x01" + bytes([codec + 128 * vector["bottom_up"], vector["camera"]])
    header += bytes([vector["agent"]])
    for name, size in (("width", 2), ("height", 2), ("number", 4), ("t_ns", 8)):
        header += int(vector[name]).to_bytes(size, "little")
    return header + len(meta).to_bytes(4, "little") + len(data).to_bytes(4, "little") + meta + data


def is_same(message: bytes, expected: Any) -> bool:
    if isinstance(expected, str):
        return message.hex() == expected
    digest = hashlib.sha256(message).hexdigest()
    return bool(expected == {"bytes": len(message), "sha256": digest})


def test_the_file_is_made_by_this_side() -> None:
    made = file_text()
    assert PATH.read_text(encoding="utf-8") == made, "python -m bridges.testing.golden_vectors"


def test_there_is_every_message_both_ways() -> None:
    texts = {
        "client": VECTORS["client"].values(),
        "server": [vector["text"] for vector in VECTORS["server"].values()],
    }
    for side, union in (("client", FromClient), ("server", FromServer)):
        assert {json.loads(text)["type"] for text in texts[side]} == types_of(union)


@pytest.mark.parametrize("name", VECTORS["client"])
def test_a_games_text_is_read(name: str) -> None:
    text = VECTORS["client"][name]
    message = from_client(text)
    assert message is not None
    value = json.loads(text)
    assert set(value) <= set(type(message).model_fields)
    assert from_client(message.model_dump_json()) == message
    assert message.model_dump(mode="json", include=set(value) - {"spec"}) == {
        key: part for key, part in value.items() if key != "spec"
    }


@pytest.mark.parametrize("name", VECTORS["server"])
def test_a_servers_text_means_what_the_file_says(name: str) -> None:
    vector = VECTORS["server"][name]
    message = from_server(vector["text"])
    assert message is not None
    assert message.model_dump(mode="json") == vector["message"]
    assert from_server(message.model_dump_json()) == message


@pytest.mark.parametrize("name", VECTORS["frames"])
def test_a_frame_is_read(name: str) -> None:
    vector = VECTORS["frames"][name]
    message = message_of(vector)
    assert is_same(message, vector["message"])
    frame = unpack(message)
    assert frame.codec.name.lower() == vector["codec"]
    for field in ("width", "height", "number", "bottom_up", "camera", "agent"):
        assert getattr(frame, field) == vector[field]
    assert str(frame.t_ns) == vector["t_ns"]
    assert frame.meta.decode() == filled(vector["meta"])
    assert frame.decode().shape == (vector["height"], vector["width"], 3)


@pytest.mark.parametrize("name", ["the example of the protocol", "RGB"])
def test_the_python_client_packs_the_same_bytes(name: str) -> None:
    vector = VECTORS["frames"][name]
    pixels = np.frombuffer(bytes.fromhex(vector["payload"]), np.uint8)
    frame = pixels.reshape(vector["height"], vector["width"], 3)
    meta = vector["meta"].encode()
    assert pack(frame, vector["number"], int(vector["t_ns"]), meta=meta).hex() == vector["message"]


@pytest.mark.parametrize("name", VECTORS["refused_texts"])
def test_a_wrong_text_is_refused(name: str) -> None:
    with pytest.raises(MessageError):
        from_server(filled({"text": VECTORS["refused_texts"][name]})["text"])


@pytest.mark.parametrize("name", VECTORS["refused_frames"])
def test_a_wrong_frame_is_refused(name: str) -> None:
    with pytest.raises(FrameError):
        unpack(message_of(VECTORS["refused_frames"][name]))
