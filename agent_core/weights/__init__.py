"""Weights on disk: checkpoints, the Hugging Face hub, CLIP and OPT."""
