"""CPU inference: precisions, int8, oneDNN, and kernels in C."""
