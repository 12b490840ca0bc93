"""The cuda back end: Triton kernels. Imported, with triton, at its first use. Never run on a GPU yet."""
