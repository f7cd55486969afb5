"""Episodes: reading, validation, frame caches."""
