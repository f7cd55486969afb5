"""Behaviour-cloning baseline: a CNN+GRU on the same episodes."""
