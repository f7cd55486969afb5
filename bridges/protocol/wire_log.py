"""Logger of the websocket library, without the contents of messages."""

from __future__ import annotations

import logging

WIRE_LOG = logging.getLogger("iafm.bridge.websockets")
# At DEBUG the library logs whole messages, and a hello holds a token.
WIRE_LOG.setLevel(logging.INFO)
