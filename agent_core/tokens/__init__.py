"""Token ids: the text vocabulary, and actions as tokens under a grammar."""
