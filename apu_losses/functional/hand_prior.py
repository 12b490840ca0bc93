"""Fingers: how far a hand has left the pose that it started from, and what no finger does.

Hand poses are ``(N, 45)``, the 15 finger joints of SMPL-H and SMPL-X in their order, axis-angle, radians,
relative to the body's mean hand.
"""

from __future__ import annotations

import math
from typing import Literal

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


# Degrees about x, y and z of the T-posed left hand, palm down; the right mirrors them (y and z change sign).
# z < 0 bends a finger towards the palm. Ordinary clinical ranges (AAOS) plus 10 degrees, of hinges 15 about
# the other axes, as a skinned finger is no exact hinge; thumbs turn about every axis.
_FINGER_DEGREES: tuple[tuple[tuple[float, float], ...], ...] = (
    ((-15, 15), (-30, 30), (-100, 40)),
    ((-15, 15), (-15, 15), (-110, 10)),
    ((-15, 15), (-15, 15), (-90, 15)),
)
_THUMB_DEGREES: tuple[tuple[tuple[float, float], ...], ...] = (
    ((-60, 60), (-60, 60), (-60, 60)),
    ((-40, 40), (-70, 30), (-60, 40)),
    ((-30, 30), (-90, 30), (-60, 30)),
)


def finger_limits(hand_pose: Tensor, side: Literal["left", "right"]) -> Tensor:
    """``sum_i max(0, low_i - x_i, x_i - high_i)^2``: what a finger would have to break for.

    Args:
        hand_pose: ``(N, 45)`` axis-angle of the 15 joints in the order of SMPL-X, relative to the flat hand.
        side: whose hand; a right hand has the mirrored limits.

    Returns:
        ``(N,)`` squared radians; 0 within the limits.

    Raises:
        ValueError: another shape, or another side.

    Example:
        >>> import torch
        >>> from apu_losses.functional import finger_limits
        >>> pose = torch.zeros(2, 45)
        >>> pose[0, 2], pose[1, 2] = -1.5, 1.5  # an index finger bent into the palm, and onto the back
        >>> finger_limits(pose, "left")
        tensor([0.0000, 0.6430])
    """
    if hand_pose.dim() != 2 or hand_pose.shape[1] != 45:
        raise ValueError(
            f"hand_pose must have shape (N, 45), got {tuple(hand_pose.shape)}; coefficients have no axes"
        )
    if side not in ("left", "right"):
        raise ValueError(f"side must be 'left' or 'right', got {side!r}; limits of hands are mirrored")
    limits = [
        axes for finger in FINGERS for axes in (_THUMB_DEGREES if finger == "thumb" else _FINGER_DEGREES)
    ]
    degrees = torch.tensor(limits, dtype=hand_pose.dtype, device=hand_pose.device).reshape(45, 2)
    low, high = (degrees * (math.pi / 180)).unbind(1)
    mirror = hand_pose.new_tensor((1.0, -1.0, -1.0) if side == "right" else (1.0, 1.0, 1.0)).repeat(15)
    pose = hand_pose * mirror
    return ((low - pose).clamp(min=0) + (pose - high).clamp(min=0)).square().sum(1)
