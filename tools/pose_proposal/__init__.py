"""Trains the network that proposes poses for 2D keypoints (see docs/starts.md)."""
