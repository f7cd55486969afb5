"""Golden vectors: messages and frames of the wire byte by byte, which clients in every language write and read alike.

`python -m bridges.testing.golden_vectors` writes the file anew. Its lists:

    client          texts of a game, as JavaScript writes them: no spaces, whole numbers without a fraction
    server          texts of a server, each with what it means once missing fields are filled in
    frames          binary messages: the header's fields, JSON, picture, and the whole message
    refused_texts   texts that neither side reads
    refused_frames  pictures that neither side takes

A long text or picture is `{"fill": …, "times": …}`, a long message its length and SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from bridges.protocol.frames import BOTTOM_UP, HEADER, MAGIC, MAX_META, MAX_PIXELS, VERSION, Codec
from bridges.protocol.messages import from_server

PATH = Path(__file__).parents[1] / "sdk" / "vectors.json"
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62r"
    "Z4C8ybqmx5moq6T/wAALCAAIABABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAgP/xAAXEAADAQAAAAAAAAAAAAAAAAAAAgVi/9oACAEB"
    "AAA/AAsLBVYWD//Z"
)
"""16 x 8 pixels, as the PNG."""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAICAAAAADVHSBLAAAAGElEQVQI12NkYEIFjApoAiy0EGB8gCYAAIzQAqj1KxgJAAAAAElFTkSu"
    "QmCC"
)
MAX_INT = 2**53 - 1
LONG = {"fill": "😀", "times": 500}
"""500 characters of two UTF-16 units each."""
SPEC: dict[str, Any] = {
    "id": "tank-v0",
    "title": "Pańzer “戦車” 🛡",
    "frame": {"height": 90, "width": 160},
    "step_hz": 12.5,
    "controls": [
        {"kind": "button", "name": "fire", "meaning": "attack.primary", "label": "fire the gun"},
        {"kind": "button", "name": "smoke", "meaning": "tank/smoke"},
        {
            "kind": "camera", "name": "turret", "meaning": "look", "label": "turret", "pitch_bins": [-2, 0, 2],
            "yaw_bins": [-8, -2.5, 0, 2.5, 8], "pitch_token": "[TP{}]", "yaw_token": "[TY{}]",
        },
        {
            "kind": "stick", "name": "tracks", "meaning": "move.stick", "rotation_bins": 16, "magnitude_bins": 4,
            "rotation_token": "[TR{}]", "magnitude_token": "[TM{}]",
        },
        {
            "kind": "axis", "name": "gas", "meaning": "throttle", "low": 0, "high": 1, "bins": 5, "always": False,
            "token": "[GAS{}]",
        },
        {
            "kind": "choice", "name": "shell", "meaning": "tank/shell", "options": ["smoke", "armour"],
            "always": False, "token": "[SHELL_{}]",
        },
        {"kind": "text", "name": "radio", "meaning": "chat", "max_length": 80},
    ],
    "exclusive": [["fire", "smoke"]],
    "hints": ["Green tanks are friends."],
}  # fmt: skip
ACTION = {"fire": 1, "turret": [0, -2.5], "gas": 0.75, "radio": "Grüße\n“\u2028”"}
ACT = {
    "type": "act", "session": "5f0c2a91", "observation": 2**32 - 1,
    "action": {"fire": 1, "smoke": 0, "turret": [0, -2.5], "tracks": [22.5, 0.25], "gas": 1, "shell": 1, "radio": ""},
    "words": "fire the gun, turret turn left 2.5°", "probability": 0.61,
    "alternatives": [{"words": "do nothing", "probability": 0.0625}], "entropy": 1.1,
    "later": [{"action": {"fire": 0}, "words": "do nothing"}], "step_ms": 80, "valid_ms": 560,
    "latency": {"queue_ms": 0.4, "infer_ms": 12.5, "age_ms": 13.1, "batch": 2}, "dropped": 2, "owner": "shared",
    "agent": 15,
}  # fmt: skip
CLIENT: dict[str, dict[str, Any]] = {
    "hello": {
        "type": "hello", "version": 1, "role": "play", "sdk": "iafm-js 0.1", "spec": SPEC,
        "instruction": "Fahr los! 走れ", "tasks": ["fire", ""], "token": "geheim ✓", "mode": "lockstep",
        "owner": "shared", "agents": 2, "cameras": 3, "replay": True, "seed": MAX_INT, "resumable": True,
    },
    "hello of a recording": {
        "type": "hello", "version": 1, "role": "record", "sdk": "iafm-js 0.1", "spec": SPEC, "instruction": "",
        "tasks": [], "mode": "realtime", "owner": "human", "resumable": True,
    },
    "hello that resumes": {
        "type": "hello", "spec": SPEC, "mode": "lockstep", "resumable": True,
        "resume": "3q2-7wAAy5ZkT1u9", "received": 7,
    },
    "hello of a console": {"type": "hello", "role": "watch", "token": "t"},
    "instruct": {"type": "instruct", "text": LONG, "agent": 1},
    "instruct nothing": {"type": "instruct", "text": "", "agent": 0},
    "event": {
        "type": "event", "reward": -1e15, "terminated": True, "truncated": False, "success": None, "task": "hunt_cow",
        "episode": 3, "executed": ACTION, "input": {}, "score": 0.1, "agent": 1,
    },
    "control": {"type": "control", "owner": "human", "agent": 0},
    "correct": {"type": "correct", "text": "\"no\" \\ \t \u0001 \x7f é 👩‍👩‍👧", "agent": 0},
    "say": {"type": "say", "text": "x", "agent": 1},
    "query": {"type": "query", "id": 1, "kind": "why", "agent": 0},
    "clock": {"type": "clock", "t0": 81220.5},
    "replay.state": {
        "type": "replay.state", "match": "m", "step": 41, "steps": 412, "paused": True, "words": "walk forward",
    },
    "subscribe": {"type": "subscribe", "session": None, "pictures": False},
    "replay": {"type": "replay", "command": "seek", "step": 120, "session": "5f0c2a91"},
    "ack": {"type": "ack", "received": MAX_INT},
    "bye": {"type": "bye"},
}  # fmt: skip
SERVER: dict[str, dict[str, Any]] = {
    "welcome": {
        "type": "welcome", "version": 1, "session": "5f0c2a91", "policy": "voxel-tiny", "max_message": 4194304,
        "max_pixels": 2073600,
    },
    "welcome back": {
        "type": "welcome", "version": 1, "session": "5f0c2a91", "resume": "3q2-7wAAy5ZkT1u9", "resumed": True,
        "received": 4, "observation": 118, "observations": [118, None, 97], "policy": "voxel-tiny",
        "instruction": "走れ", "warnings": ["fire: no meaning"], "max_message": 4194304, "max_pixels": 2073600,
        "max_in_flight": 16, "owner": "human", "agents": 3,
    },
    "welcome of a recording": {
        "type": "welcome", "version": 1, "session": "a", "policy": "none", "max_message": 4194304,
        "max_pixels": 2073600, "credit": {"type": "credit", "picture": 64, "bytes": 8388608}, "unknown": [1],
    },
    "act": ACT,
    "act without more": {
        "type": "act", "session": "a", "observation": 0, "action": {}, "words": "", "probability": 0, "valid_ms": 0,
        "latency": {"queue_ms": 0, "infer_ms": 0, "age_ms": 0, "batch": 1},
    },
    "instruct": {"type": "instruct", "text": LONG, "session": "a", "agent": 2, "source": "console"},
    "instruct released": {"type": "instruct", "text": "", "release": True},
    "control": {"type": "control", "owner": "human", "session": "a", "source": "game"},
    "correct": {"type": "correct", "text": "no 👍", "session": "a", "source": "console"},
    "say": {"type": "say", "text": "first I need wood", "session": "a", "agent": 0, "source": "console"},
    "event": {"type": "event", "reward": 1e-5, "terminated": True, "session": "a", "input": {"fire": 1}},
    "clock": {"type": "clock", "t0": 81220.5, "t1": 5107342.25, "t2": 5107342.25},
    "state": {
        "type": "state", "policy": "voxel-tiny", "sessions": [{
            "session": "a", "role": "play", "game": "tank-v0", "title": "", "instruction": "", "instructed_by": "game",
            "tasks": [], "episodes": 0, "successes": 0, "unjudged": 0, "hz": 19.8, "dropped": 0, "owner": "agent",
            "connected": True, "recording": None, "replay": None,
        }],
    },
    "text.done": {"type": "text.done", "id": -MAX_INT, "kind": "why", "text": ""},
    "replay": {"type": "replay", "command": "pause", "session": "a"},
    "error": {"type": "error", "code": "bad_message", "message": "wrong", "path": "kind", "hint": "say why", "id": 12},
    "error of a picture": {"type": "error", "code": "policy_failed", "message": "no", "observation": 7, "agent": 1},
    "ack": {"type": "ack", "received": 0},
    "credit": {"type": "credit", "picture": 96, "bytes": 9274368, "recorded": 32},
    "record.state": {
        "type": "record.state", "episode": "", "pictures": 0, "bytes": 0, "sha256": hashlib.sha256(b"").hexdigest(),
        "steps": 0, "dropped": 1, "error": "the disk is full",
    },
    "bye": {"type": "bye"},
}  # fmt: skip
ESCAPED_PAIR = r'{"type":"say","text":"\ud83d\udc4d \ud83d\ude00","seq":3}'
_ACT = (
    '{"type":"act","session":"a","observation":1,"action":{},"words":"","valid_ms":1,'
    '"latency":{"queue_ms":0,"infer_ms":0,"age_ms":0},"probability":'
)
REFUSED_TEXTS = {
    "NaN": _ACT + "NaN}",
    "infinity": _ACT + "-Infinity}",
    "a number beyond a double's": _ACT + "1e999}",
    "a digit string beyond a double's": {"before": _ACT, "fill": "9", "times": 400, "after": "}"},
    "half of a surrogate pair": '{"type":"say","text":"\\ud83d"}',
    "more than 256 KiB": {"before": '{"type":"say","text":"', "fill": "x", "times": 1 << 18, "after": '"}'},
    "no object": '["bye"]',
    "no type": '{"received":1}',
    "no JSON": '{"type":"bye"',
    "a missing field": '{"type":"ack"}',
    "another type": '{"type":"ack","received":[1]}',
    "a negative count": '{"type":"ack","received":-1}',
    "a fraction of a count": '{"type":"ack","received":1.5}',
    "a count beyond 2^53 - 1": '{"type":"ack","received":9007199254740992}',
}  # fmt: skip


def text_of(value: Any) -> str:
    """JSON as JavaScript writes it."""
    return json.dumps(_whole(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def filled(value: Any) -> Any:
    """A value whose long texts are written out."""
    if isinstance(value, dict):
        if "fill" in value:
            return (
                f"{value.get('before', '')}{value['fill'] * value['times']}{value.get('after', '')}"
            )
        return {name: filled(part) for name, part in value.items()}
    return [filled(part) for part in value] if isinstance(value, list) else value


def _whole(value: Any) -> Any:
    """Numbers without a fraction as integers."""
    match value:
        case dict():
            return {name: _whole(part) for name, part in value.items()}
        case list() | tuple():
            return [_whole(part) for part in value]
        case float() if value.is_integer():
            return int(value)
    return value


def frame(
    codec: Codec, width: int, height: int, payload: bytes | int, **fields: Any
) -> dict[str, Any]:
    """The vector of a binary message; `payload` may be so many bytes of the value 7."""
    data = bytes([7]) * payload if isinstance(payload, int) else payload
    meta = filled(fields.get("meta", "")).encode()
    number, t_ns = fields.get("number", 1), fields.get("t_ns", 0)
    bottom_up, camera, agent = (fields.get(name, 0) for name in ("bottom_up", "camera", "agent"))
    header = HEADER.pack(
        MAGIC, VERSION, codec | bottom_up * BOTTOM_UP, agent << 8 | camera, width, height, number, t_ns, len(meta),
        len(data),
    )  # fmt: skip
    message = header + meta + data
    is_long = len(message) > 2048
    return {
        "codec": codec.name.lower(), "width": width, "height": height, "number": number, "t_ns": str(t_ns),
        "bottom_up": bool(bottom_up), "camera": camera, "agent": agent, "meta": fields.get("meta", ""),
        "payload": {"fill": 7, "times": payload} if isinstance(payload, int) else payload.hex(),
        "message": {"bytes": len(message), "sha256": hashlib.sha256(message).hexdigest()} if is_long else message.hex(),
    }  # fmt: skip


def frames() -> dict[str, dict[str, Any]]:
    """Every codec, and the largest of everything."""
    report = {
        "executed": ACTION,
        "input": {"fire": 1},
        "reward": 0.5,
        "score": 12,
        "state": {"ß": [1, None, "走"]},
    }
    most = {"before": '{"state":{"a":"', "fill": "x", "times": MAX_META - 18, "after": '"}}'}
    return {
        "the example of the protocol": frame(Codec.RGB, 3, 2, bytes(18), number=5, t_ns=6),
        **{
            codec.name: frame(codec, 3, 2, bytes(range(6 * channels)), meta=text_of(report))
            for codec, channels in {
                Codec.RGB: 3, Codec.RGBA: 4, Codec.BGRA: 4, Codec.GRAY: 1, Codec.BGR: 3
            }.items()
        },
        "JPEG": frame(Codec.JPEG, 16, 8, JPEG, number=2**32 - 1, t_ns=2**64 - 1, camera=3, agent=15),
        "PNG": frame(Codec.PNG, 16, 8, PNG, meta="{}"),
        "rows from the bottom": frame(Codec.BGRA, 1, 1, b"\x01\x02\x03\x04", bottom_up=True),
        "most pixels": frame(Codec.GRAY, 1920, 1080, 1920 * 1080),
        "longest side": frame(Codec.GRAY, 1, 4096, 4096),
        "most JSON": frame(Codec.GRAY, 1, 1, 1, meta=most),
    }  # fmt: skip


def refused_frames() -> dict[str, dict[str, Any]]:
    """What is refused before anything is decoded."""
    return {
        "no width": frame(Codec.GRAY, 0, 5, 0),
        "too long a side": frame(Codec.GRAY, 4097, 1, 4097),
        "too many pixels": frame(Codec.GRAY, 1921, 1080, 1921 * 1080),
        "too few bytes": frame(Codec.RGB, 3, 2, 17),
        "too many bytes": frame(Codec.RGBA, 3, 2, 25),
        "another size than the JPEG's": frame(Codec.JPEG, 8, 16, JPEG),
        "another size than the PNG's": frame(Codec.PNG, 16, 9, PNG),
        "a PNG that says JPEG": frame(Codec.JPEG, 16, 8, PNG),
        "too much JSON": frame(Codec.GRAY, 1, 1, 1, meta={"fill": " ", "times": MAX_META + 1}),
    }


def vectors() -> dict[str, Any]:
    """The content of the file."""
    return {
        "max_pixels": MAX_PIXELS,
        "client": {name: text_of(filled(value)) for name, value in CLIENT.items()},
        "server": {
            **{name: _with_meaning(text_of(filled(value))) for name, value in SERVER.items()},
            "an escaped pair of surrogates": _with_meaning(ESCAPED_PAIR),
        },
        "frames": frames(),
        "refused_texts": REFUSED_TEXTS,
        "refused_frames": refused_frames(),
    }  # fmt: skip


def _with_meaning(text: str) -> dict[str, Any]:
    """A server's text, and its message with every field."""
    message = from_server(text)
    assert message is not None
    return {"text": text, "message": _whole(message.model_dump(mode="json"))}


def file_text() -> str:
    """The file's text."""
    return json.dumps(vectors(), ensure_ascii=True, indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(file_text(), encoding="utf-8")
