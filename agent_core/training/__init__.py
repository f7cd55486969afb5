"""Training: loop, losses, optimizer, validation, checkpoints of a run."""
