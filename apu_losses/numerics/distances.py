"""Squared distances between points, and their roots."""

from __future__ import annotations

import torch
from torch import Tensor


def distance2(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of points ``(..., 3)``, broadcasting; all back ends use this order of operations."""
    d = a - b
    return (d[..., 0] * d[..., 0] + d[..., 1] * d[..., 1]) + d[..., 2] * d[..., 2]


def safe_sqrt(distance2: Tensor) -> Tensor:
    """Distance from squared distance, any shape; at zero the gradient is zero and not NaN.

    Example:
        >>> import torch
        >>> from apu_losses.geometry import safe_sqrt
        >>> x = torch.tensor([0.0, 4.0], requires_grad=True)
        >>> root = safe_sqrt(x)
        >>> root.sum().backward()
        >>> root.tolist(), x.grad.tolist()
        ([0.0, 2.0], [0.0, 0.25])
    """
    positive = distance2 > 0
    root = torch.sqrt(torch.where(positive, distance2, torch.ones_like(distance2)))
    return torch.where(positive, root, distance2.detach())
