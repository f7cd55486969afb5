"""Server side: sessions, batching, websocket and HTTP."""
