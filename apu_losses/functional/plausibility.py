"""Is the result still a person? Contact and keypoint error alone can be bought with a broken body.

Measures, not losses: how far a fit has moved a body from where it started.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from apu_losses.functional.pose_prior import BODY_JOINTS
from apu_losses.numerics.rotation_difference import rotation_difference

SPINE = tuple(i for i, name in enumerate(BODY_JOINTS) if name.startswith("spine"))
"""Positions of the three spine joints (SMPL-X joints 3, 6 and 9) in ``body_pose``."""


class PoseChange(NamedTuple):
    """Change of pose, degrees, each ``(N,)``: root mean square over joints, largest joint, largest spine
    joint.

    ``joint (N,)``: position of the largest joint in ``body_pose``.

    Example:
        >>> import torch
        >>> from apu_losses.functional import pose_change
        >>> bent = torch.zeros(1, 63)
        >>> bent[0, 3 * 3 + 2] = 0.5
        >>> pose_change(bent, torch.zeros(1, 63)).largest
        tensor([28.6479])
    """

    rms: Tensor
    largest: Tensor
    spine: Tensor
    joint: Tensor


@torch.no_grad()
def pose_change(body_pose: Tensor, start: Tensor, *, spine: Sequence[int] = SPINE) -> PoseChange:
    """Geodesic angles between two poses.

    Args:
        body_pose, start: ``(N, 63)`` axis-angle, radians.
        spine: positions of the spine's joints; those of SMPL-X by default.

    Raises:
        ValueError: shapes that do not agree.

    Example:
        >>> import torch
        >>> from apu_losses.functional import pose_change
        >>> bent = torch.zeros(1, 63)
        >>> bent[0, 3 * 3 + 2] = 0.5  # the fourth joint by half a radian; the answer is in degrees
        >>> change = pose_change(bent, torch.zeros(1, 63))
        >>> change.rms, change.largest, change.joint
        (tensor([6.2515]), tensor([28.6479]), tensor([3]))
    """
    angles = rotation_difference(body_pose, start).norm(dim=-1).rad2deg()
    largest, joint = angles.max(1)
    return PoseChange(angles.square().mean(1).sqrt(), largest, angles[:, list(spine)].amax(1), joint)


@torch.no_grad()
def stature_change(stature: Tensor, start: Tensor) -> Tensor:
    """``(N,)`` how many centimetres taller a person became; negative: shorter. Arguments in metres.

    Example:
        >>> import torch
        >>> from apu_losses.functional import stature_change
        >>> stature_change(torch.tensor([1.75]), torch.tensor([1.70]))  # centimetres
        tensor([5.0000])
    """
    if stature.shape != start.shape:
        raise ValueError(
            f"stature and start must have the same shape, got {tuple(stature.shape)} and {tuple(start.shape)}"
        )
    return 100 * (stature - start)


@torch.no_grad()
def shape_change(betas: Tensor, start: Tensor) -> Tensor:
    """``(N,)`` the largest change of a shape coefficient, ``(N, S)``, in its units: standard deviations for
    SMPL-X's and the free body's. Raises ValueError on shapes that do not agree.

    Example:
        >>> import torch
        >>> from apu_losses.functional import shape_change
        >>> shape_change(torch.tensor([[1.0, 2.0, 0.0]]), torch.zeros(1, 3))
        tensor([2.])
    """
    if betas.shape != start.shape or betas.ndim != 2:
        raise ValueError(
            f"betas and start must have the same shape (N, S), got {tuple(betas.shape)} and "
            f"{tuple(start.shape)}"
        )
    return (betas - start).abs().amax(1)
