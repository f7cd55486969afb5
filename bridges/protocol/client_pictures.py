"""Client pictures: a game's frames of one observation, and what it reports with them, as binary messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridges.errors import BridgeError
from bridges.protocol.frames import Codec, FrameError, pack
from bridges.protocol.step_report import StepReport, right_fields
from games import Frame, GameSpec

MAX_RAW_BYTES = 64 << 10
"""Frames up to this size travel raw, larger ones as JPEG."""


def pack_observation(
    frame: Frame,
    number: int,
    t_ns: int,
    *,
    agent: int,
    cameras: Mapping[int, Frame],
    bottom_up: bool,
    report: bytes,
) -> list[bytes]:
    """The pictures of an observation, camera 0's the last; raises `BridgeError` for a frame that is too large."""
    try:
        return [
            pack(
                picture, number, t_ns, _codec(picture), bottom_up=bottom_up,
                meta=b"" if camera else report, agent=agent, camera=camera,
            )
            for camera, picture in [*cameras.items(), (0, frame)]
        ]  # fmt: skip
    except FrameError as error:
        raise BridgeError(str(error)) from None


def _codec(frame: Frame) -> Codec:
    return Codec.RGB if frame.nbytes <= MAX_RAW_BYTES else Codec.JPEG


def pack_report(values: Mapping[str, Any], spec: GameSpec) -> bytes:
    """The JSON of a picture; raises `BridgeError` for a field that is unknown or wrong."""
    if unknown := sorted(values.keys() - StepReport.model_fields.keys()):
        known = ", ".join(StepReport.model_fields)
        raise BridgeError(f"{unknown[0]}: no such field; there are {known}")
    given = {name: value for name, value in values.items() if value is not None}
    if not given:
        return b""
    report, problems = right_fields(given, spec)
    if problems:
        raise BridgeError(str(problems[0]))
    return report.model_dump_json(exclude_none=True).encode()
