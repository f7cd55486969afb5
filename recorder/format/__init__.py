"""Capture format: manifest, action rows, video track, atomic replacement."""
