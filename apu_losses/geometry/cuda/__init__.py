"""The cuda back end: Triton kernels. Imported, with triton, at its first use.

Measured on an NVIDIA H100; compiled ahead for the GPUs that ``tools/compile_triton.py`` is asked for.
"""
