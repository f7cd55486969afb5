"""Tests, a package of its own so that no other installed `tests` stands in for it."""
