"""Axis-angle to rotation matrix, smooth at zero in value, gradient and second derivative."""

from __future__ import annotations

import torch
from torch import Tensor

_SERIES_BELOW = 1e-3  # squared angle: the four-term series below is exact to float64 there


def rotation_matrix(rotvec: Tensor) -> Tensor:
    """Rodrigues' formula in half angles.

    With ``h`` half the angle and ``s = sin(h) / h``, the matrix is
    ``cos(angle) I + s cos(h) [r]x + s^2 / 2 r r^T``: no term cancels for small angles.
    ``roma.rotvec_to_rotmat`` is the test's oracle; it has no second derivative at zero, which
    Newton-type solvers need.

    Args:
        rotvec: ``(..., 3)`` axis times angle, radians.

    Returns:
        ``(..., 3, 3)`` rotation matrices.
    """
    x, y, z = rotvec.unbind(-1)
    angle2 = x * x + y * y + z * z
    near_zero = angle2 < _SERIES_BELOW
    half = torch.where(near_zero, torch.ones_like(angle2), angle2).sqrt() * 0.5
    sine = torch.where(
        near_zero,
        1 - angle2 / 24 * (1 - angle2 / 80 * (1 - angle2 / 168)),
        torch.sin(half) / half,
    )
    cosine = torch.where(near_zero, 1 - angle2 / 8 * (1 - angle2 / 48 * (1 - angle2 / 120)), torch.cos(half))
    outer = sine * sine * 0.5
    skew = sine * cosine
    diagonal = 1 - outer * angle2
    ox, oy, oz = outer * x, outer * y, outer * z
    sx, sy, sz = skew * x, skew * y, skew * z
    xy, xz, yz = ox * y, ox * z, oy * z
    entries = (
        diagonal + ox * x, xy - sz, xz + sy,
        xy + sz, diagonal + oy * y, yz - sx,
        xz - sy, yz + sx, diagonal + oz * z,
    )  # fmt: skip
    return torch.stack(entries, -1).unflatten(-1, (3, 3))
