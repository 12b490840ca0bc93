"""The torch back end: plain PyTorch, pruned by blocks, for any device and float type."""
