"""Logger of the websocket library, without the contents of messages."""

from __future__ import annotations

import logging

WIRE_LOG = logging.getLogger("iafm.bridge.websockets")
# At DEBUG the library logs whole messages, and a hello holds a token.
WIRE_LOG.setLevel(logging.INFO)


def _without_traceback(record: logging.LogRecord) -> bool:
    """A peer that speaks no HTTP or websocket is worth a line, not a traceback."""
    if record.exc_info and (error := record.exc_info[1]) is not None:
        record.msg = f"{record.getMessage()}: {type(error).__name__}"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True


WIRE_LOG.addFilter(_without_traceback)
