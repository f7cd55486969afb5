"""What next? The model, its training, its play, its evaluation, and the `iafm` command."""
