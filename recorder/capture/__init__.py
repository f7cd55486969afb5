"""Capture: writing episodes, safe against kill -9."""
