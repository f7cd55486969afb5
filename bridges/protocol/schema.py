"""JSON Schema of the protocol."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from bridges.protocol.messages import FromClient, FromServer
from bridges.protocol.step_report import StepReport


def schema() -> dict[str, Any]:
    """JSON Schema of all messages by sender, and of a picture's JSON."""
    client: TypeAdapter[Any] = TypeAdapter(FromClient)
    server: TypeAdapter[Any] = TypeAdapter(FromServer)
    return {
        "client": client.json_schema(),
        "server": server.json_schema(),
        "picture": StepReport.model_json_schema(),
    }
