"""IAFM agent: model, training, inference engine, evaluation and the `iafm` command."""
