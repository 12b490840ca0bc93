"""The cuda back end: Triton kernels. Imported, with triton, at its first use. Run on an H100 and an H200."""
