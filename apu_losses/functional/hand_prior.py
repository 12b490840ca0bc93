"""Fingers: how far a hand has left the pose that it started from.

Hand poses are ``(N, 45)``, the 15 finger joints of SMPL-H and SMPL-X in their order, axis-angle, radians,
relative to the body's mean hand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from apu_contacts.keypoints.joints import FINGERS

# About x (along the finger: it hardly twists), y (spreading) and z (bending) of the T-posed hand, by knuckle.
_ROOT, _HINGE, _THUMB = (10.0, 2.0, 1.0), (10.0, 10.0, 1.0), (2.0, 1.0, 1.0)
_FIRMNESS = [
    _THUMB if finger == "thumb" else knuckle for finger in FINGERS for knuckle in (_ROOT, _HINGE, _HINGE)
]


def hand_pose_prior(hand_pose: Tensor, reference: Tensor) -> Tensor:
    """``sum_j sum_i f_ji (x_ji - reference_ji)^2``: bending is cheap, twisting and spreading dear.

    Fingers are hinges but for their roots, and thumbs turn about every axis. A hand written in PCA
    coefficients has no axes: there it is the plain sum of squares.

    Args:
        hand_pose, reference: ``(N, 45)`` axis-angle, or ``(N, C)`` coefficients.

    Returns:
        ``(N,)`` squared radians (or squared units of the coefficients).

    Raises:
        ValueError: shapes that do not agree.

    Example:
        >>> import torch
        >>> from apu_losses.functional import hand_pose_prior
        >>> hand_pose_prior(torch.full((1, 45), 0.1), torch.zeros(1, 45))
        tensor([2.3200])
    """
    if hand_pose.shape != reference.shape or hand_pose.dim() != 2:
        raise ValueError(
            "hand_pose and reference must have the same shape (N, 45), "
            f"got {tuple(hand_pose.shape)} and {tuple(reference.shape)}"
        )
    squared = (hand_pose - reference).square()
    if hand_pose.shape[1] != 3 * len(_FIRMNESS):
        return squared.sum(1)
    return (squared * torch.tensor(_FIRMNESS, dtype=squared.dtype, device=squared.device).flatten()).sum(1)
