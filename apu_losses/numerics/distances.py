"""Squared distances between points."""

from __future__ import annotations

from torch import Tensor


def distance2(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of points ``(..., 3)``, broadcasting; all back ends use this order of operations."""
    d = a - b
    return (d[..., 0] * d[..., 0] + d[..., 1] * d[..., 1]) + d[..., 2] * d[..., 2]
