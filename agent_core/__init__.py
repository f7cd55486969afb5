"""The model, its training, inference and evaluation, and the `iafm` command."""
