"""Hello reader: a connection's first message, of which nothing is looked at before its token."""

from __future__ import annotations

import hmac

from bridges.protocol import messages
from bridges.protocol.frames import MAX_PIXELS, fits
from bridges.protocol.messages import VERSION, ErrorMessage, Hello, MessageError

MAX_UNKNOWN_NAMES = 10


class HelloError(ValueError):
    """No acceptable hello; `code` is the close code, `error` what is sent before, where something is."""

    def __init__(self, reason: str, code: int = 4400, error: ErrorMessage | None = None) -> None:
        super().__init__(reason)
        self.code, self.error = code, error


def read_hello(data: str | bytes, token: str | None) -> tuple[Hello, list[str]]:
    """The hello, and the names of its fields that are not known here; raises `HelloError`."""
    try:
        value = messages.read_object(data) if isinstance(data, str) else {}
    except MessageError as error:
        raise _malformed(error) from None
    if value.get("type") != "hello":
        raise HelloError("the first message is a hello")
    given = value.get("token")
    if token and not hmac.compare_digest(
        (given if isinstance(given, str) else "").encode(), token.encode()
    ):
        raise HelloError("wrong or missing token", 4401)
    version = value.get("version", VERSION)
    if isinstance(version, int) and version != VERSION:
        reason = f"this server speaks version {VERSION}, not {str(version)[:20]}"
        raise HelloError(reason, 4426)
    try:
        hello = messages.client_message(value)
        assert isinstance(hello, Hello)
        _check_role(hello)
    except MessageError as error:
        raise _malformed(error) from None
    return hello, sorted(set(value) - set(Hello.model_fields))[:MAX_UNKNOWN_NAMES]


def _check_role(hello: Hello) -> None:
    """Raises `MessageError` for a field that the role needs, or cannot have."""
    if hello.role in ("play", "record") and hello.spec is None:
        reason = f"hello.spec: a hello to {hello.role} carries the game's spec"
        raise MessageError(reason, "spec")
    if hello.role == "record" and hello.agents > 1:
        raise MessageError("hello.agents: a recording has one; connect once for each", "agents")
    if hello.role == "record" and hello.cameras > 1:
        raise MessageError("hello.cameras: a recording has one", "cameras")
    if hello.role == "record" and hello.spec is not None and not fits(hello.spec.frame):
        reason = (
            f"hello.spec.frame: recorded are at most {MAX_PIXELS:,} pixels, scale the game down"
        )
        raise MessageError(reason, "spec.frame")


def _malformed(error: MessageError) -> HelloError:
    message = ErrorMessage(code="bad_message", message=str(error), path=error.path)
    return HelloError(str(error), error=message)
