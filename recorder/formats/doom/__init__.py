"""Doom demos: read from WADs and `.lmp` files, drawn by dsda-doom."""
