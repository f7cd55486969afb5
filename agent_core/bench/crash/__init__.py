"""Crash benchmark: captures and imports under kill -9, full disks, stopped and failing processes."""
