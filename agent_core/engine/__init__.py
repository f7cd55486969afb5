"""Streaming inference: sessions, KV cache, sampling."""
