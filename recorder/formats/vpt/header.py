"""Header of an exported recording, NAME-iafm.json: what VPT's files have no place for. Other readers pass over it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from games.validation_error import first_error
from recorder.format.manifest import CaptureError, CaptureInfo

ENDING = "-iafm.json"
MAX_BYTES = 1 << 20


class Header(BaseModel):
    """Of which episode a recording was made, and its header."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    episode: str
    game: str
    info: CaptureInfo


def header_path(lines: Path) -> Path:
    """The header's place, beside a NAME.jsonl."""
    return lines.with_name(lines.stem + ENDING)


def read_header(lines: Path) -> Header | None:
    """The header beside a NAME.jsonl, None where there is none; raises `CaptureError` where it is damaged."""
    path = header_path(lines)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise CaptureError(f"{path} has more than {MAX_BYTES} bytes")
        return Header.model_validate_json(content)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise CaptureError(f"{path} is damaged: {first_error(error)}") from None
