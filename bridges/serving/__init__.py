"""Server: sessions, batching, websocket and HTTP."""
