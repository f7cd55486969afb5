"""Training data: windows of episodes, their vocabulary, prefetching."""
