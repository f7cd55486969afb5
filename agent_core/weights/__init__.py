"""Model weights: checkpoint folders, the Hugging Face hub, and public weights of CLIP and OPT."""
