"""Evaluation: closed loop, teacher forcing, metrics, report."""
