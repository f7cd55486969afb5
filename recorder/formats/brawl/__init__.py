"""Replay files of the embedded arena; `importer` draws them, and so loads pygame."""
