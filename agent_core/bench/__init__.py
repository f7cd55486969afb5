"""Benchmarks: play, inference, training."""
