"""How far two poses are apart, as rotations."""

from __future__ import annotations

import roma
from torch import Tensor


def rotation_difference(pose: Tensor, reference: Tensor) -> Tensor:
    """The rotation that leads from one pose to another, joint by joint.

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
    return roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(theirs), ours))
