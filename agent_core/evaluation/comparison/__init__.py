"""The paper's comparison: from scratch, pre-trained only, pre-trained and fine-tuned (its Table 2)."""
