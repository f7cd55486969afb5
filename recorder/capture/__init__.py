"""Capture: crash-safe writing of episodes, live recording, recovery."""
