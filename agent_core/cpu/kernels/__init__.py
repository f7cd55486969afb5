"""CPU kernels: C sources, their ctypes mirrors, and a NumPy reference of every kernel."""
