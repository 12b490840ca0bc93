"""The cpu back end: numba kernels with explicit vectors. Imported, with numba, at its first use."""
