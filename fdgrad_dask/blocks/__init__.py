"""One block in memory: a program of derivatives on NumPy or JAX arrays."""
