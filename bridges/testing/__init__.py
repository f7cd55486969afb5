"""Test tools: load test."""
