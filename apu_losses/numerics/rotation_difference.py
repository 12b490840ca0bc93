"""How far two poses are apart, as rotations."""

from __future__ import annotations

import roma
import torch
from torch import Tensor

_SERIES_BELOW = 1e-6  # squared sine of half the angle: the next term of the series is below 1e-12


def rotation_difference(pose: Tensor, reference: Tensor) -> Tensor:
    """Return the rotation that leads from one pose to another, joint by joint.

    Args:
        pose, reference: ``(N, 3 J)`` axis-angle, radians.

    Returns:
        ``(N, J, 3)`` rotation vector of ``R_reference^T R_pose``, at most pi long. Its length is the geodesic
        angle; its squared length is smooth, at 0 too.

    Raises:
        ValueError: shapes that do not agree.
    """
    if pose.shape != reference.shape or pose.dim() != 2 or pose.shape[1] % 3:
        raise ValueError(
            f"poses must have the same shape (N, 3 J), got {tuple(pose.shape)} and {tuple(reference.shape)}"
        )
    ours = roma.rotvec_to_unitquat(pose.unflatten(1, (-1, 3)))
    theirs = roma.rotvec_to_unitquat(reference.unflatten(1, (-1, 3)))
    return _rotation_vector(roma.quat_product(roma.quat_conjugation(theirs), ours))


def _rotation_vector(quaternion: Tensor) -> Tensor:
    """Return the rotation vector of unit quaternions ``(..., 4)``, the scalar last: ``(..., 3)``, at most pi
    long.

    The angle by an arc tangent of one argument: torch's of two gives other last bits to the last elements of
    a tensor than to the first, on some processors.
    """
    near = torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)
    v, w = near[..., :3], near[..., 3:]
    square = v.square().sum(-1, keepdim=True)
    small = square < _SERIES_BELOW
    length = torch.where(small, 1.0, square).sqrt()
    # half of the half angle has the tangent |v| / (1 + w)
    factor = 4 * torch.atan(length / (1 + w)) / length
    return v * torch.where(small, 2 + square / 3, factor)
