"""Capture format: manifest and video track."""
