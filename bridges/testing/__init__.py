"""Test tools: a server in the background, a load test."""
