"""2D keypoints: the body's projected joints must lie where a detector saw them.

Pixels are scaled so that the box of a person's keypoints is 512 long on its longer side, as BUDDI does:
people near and far, in large and small pictures, then weigh alike. All functions take people as rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from apu_contacts.keypoints.seen import SEEN, is_seen
from apu_losses.functional.robust import geman_mcclure

BOX = 512.0
_FEET = (
    ("left_ankle", ("left_big_toe", "left_small_toe", "left_heel")),
    ("right_ankle", ("right_big_toe", "right_small_toe", "right_heel")),
)


def keypoint_scale(xy: Tensor, confidence: Tensor) -> Tensor:
    """Scale that makes the box of a person's keypoints 512 long.

    Args:
        xy: ``(N, J, 2)`` pixels.
        confidence: ``(N, J)``; joints with 0 are not in the box.

    Returns:
        ``(N,)`` 512 / max(width, height); 0 for a person without any keypoint, whose loss is then 0.

    Raises:
        ValueError: shapes that do not agree, or a person whose visible keypoints all lie in one point.

    Example:
        >>> import torch
        >>> from apu_losses.functional import keypoint_scale
        >>> xy = torch.tensor([[[10.0, 20.0], [60.0, 276.0]]])
        >>> keypoint_scale(xy, torch.ones(1, 2))  # the box is 256 px high: 512 / 256
        tensor([2.])
    """
    _same_people(xy, confidence)
    seen = (confidence > 0)[..., None]
    low = torch.where(seen, xy, torch.inf).amin(1)
    high = torch.where(seen, xy, -torch.inf).amax(1)
    size = (high - low).amax(1)
    anything = seen[..., 0].any(1)
    flat = anything & ~(size > 0)
    if bool(flat.any()):
        person = int(torch.nonzero(flat)[0, 0])
        raise ValueError(
            f"keypoints of person {person} span no box: {int(seen[person].sum())} visible joint(s), all in "
            "one place; a person needs two different visible keypoints (or none)"
        )
    return torch.where(anything, BOX / torch.where(anything, size, 1.0), 0.0)


def fill_missing_ankles(
    xy: Tensor,
    confidence: Tensor,
    initial_xy: Tensor,
    joint_names: Sequence[str],
    *,
    min_confidence: float = SEEN,
    confidence_filled: float = 0.5,
    keep_detected: bool = True,
) -> tuple[Tensor, Tensor]:
    """Where an ankle was not detected, take ankle and foot from the projection of the initial estimate.

    Legs outside the picture would otherwise go anywhere. Each ankle with a confidence below
    ``min_confidence`` is replaced by the initial one, and with it the toes and heel of that foot.

    Args:
        xy: ``(N, J, 2)`` detected keypoints, pixels.
        confidence: ``(N, J)``
        initial_xy: ``(N, J, 2)`` the initial body's joints, projected.
        joint_names: names of the J joints, as in ``apu_contacts.keypoints.SKELETONS``.
        min_confidence: below it a joint counts as missing, see `apu_contacts.keypoints.is_seen`.
        confidence_filled: confidence that filled joints get.
        keep_detected: leave detected toes and heels as they are. BUDDI overwrites them: ``False``.

    Returns:
        New ``xy`` and ``confidence``.

    Raises:
        ValueError: shapes that do not agree.

    Example:
        >>> import torch
        >>> from apu_losses.functional import fill_missing_ankles
        >>> seen = torch.tensor([[[5.0, 5.0], [0.0, 0.0]]])
        >>> initial = torch.tensor([[[4.0, 4.0], [7.0, 90.0]]])
        >>> names = ["neck", "left_ankle"]
        >>> xy, confidence = fill_missing_ankles(seen, torch.tensor([[0.9, 0.0]]), initial, names)
        >>> xy.tolist(), confidence
        ([[[5.0, 5.0], [7.0, 90.0]]], tensor([[0.9000, 0.5000]]))
    """
    _same_people(xy, confidence)
    if initial_xy.shape != xy.shape or len(joint_names) != xy.shape[1]:
        raise ValueError(
            f"initial_xy must have the shape of xy and joint_names one name a joint, got {tuple(xy.shape)}, "
            f"{tuple(initial_xy.shape)} and {len(joint_names)} names"
        )
    names = list(joint_names)
    fill = torch.zeros_like(confidence, dtype=torch.bool)
    for ankle, foot in _FEET:
        if ankle not in names:
            continue
        missing = ~is_seen(confidence[:, names.index(ankle)], min_confidence)
        fill[:, names.index(ankle)] = missing
        for name in foot:
            if name in names:
                column = names.index(name)
                fill[:, column] = missing & (
                    ~is_seen(confidence[:, column], min_confidence) | (not keep_detected)
                )
    fill &= initial_xy.isfinite().all(-1)
    return torch.where(fill[..., None], initial_xy, xy), torch.where(fill, confidence_filled, confidence)


def keypoint_reprojection(
    projected: Tensor,
    xy: Tensor,
    confidence: Tensor,
    scale: Tensor,
    *,
    confidence_power: float = 1.0,
    min_confidence: float = 0.0,
    robust: float | None = None,
) -> Tensor:
    """``sum_j c_j^p s^2 ||x_j - k_j||^2``: the keypoint loss of each person.

    Args:
        projected: ``(N, J, 2)`` projected joints of the bodies, pixels.
        xy: ``(N, J, 2)`` detected keypoints, pixels.
        confidence: ``(N, J)``; joints with 0 do not count, whatever their coordinates.
        scale: ``(N,)`` from `keypoint_scale`.
        confidence_power: p; 1 is BUDDI's, 2 trusts uncertain joints less.
        min_confidence: joints from this confidence on count (`apu_contacts.keypoints.is_seen`); 0 is
            BUDDI's, all that were detected.
        robust: rho in scaled pixels; each joint's squared error e becomes ``rho^2 e / (rho^2 + e)``. On all
            joints it may abandon a person whose start is far off.

    Returns:
        ``(N,)`` squared pixels at the 512 scale; NaN where the projection of a joint that counts is not
        finite.

    Example:
        >>> import torch
        >>> from apu_losses.functional import keypoint_reprojection
        >>> seen = torch.tensor([[[10.0, 20.0], [60.0, 276.0]]])
        >>> keypoint_reprojection(seen + 3.0, seen, torch.tensor([[1.0, 0.5]]), torch.tensor([2.0]))
        tensor([108.])
    """
    squared, used = _squared_error(projected, xy, confidence, scale, min_confidence)
    value = squared if robust is None else geman_mcclure(squared, robust)
    weight = torch.where(used, confidence, 0.0) ** confidence_power
    return (torch.where(used, weight, 0.0) * value).sum(1)


@torch.no_grad()
def keypoint_error(
    projected: Tensor,
    xy: Tensor,
    confidence: Tensor,
    scale: Tensor,
    *,
    min_confidence: float = SEEN,
    trim: float = 0.0,
) -> Tensor:
    """Mean distance of the projected joints from the detected ones: a measure, not a loss.

    Arguments as of `keypoint_reprojection`. Use the detector's own keypoints here, without filled ankles.

    Args:
        trim: share of a person's joints that are left out, the worst; at least one of five or more where it
            is not 0, so that one bad ankle does not speak for a body.

    Returns:
        ``(N,)`` mean over joints from that confidence on, pixels at the 512 scale; NaN for a
        person without such a joint, or with a body that is not finite: neither is a good score.

    Example:
        >>> import torch
        >>> from apu_losses.functional import keypoint_error
        >>> seen = torch.tensor([[[10.0, 20.0], [60.0, 276.0]]])
        >>> off = seen + torch.tensor([3.0, 4.0])
        >>> keypoint_error(off, seen, torch.tensor([[1.0, 0.5]]), torch.tensor([2.0]))  # 5 px at scale 2
        tensor([10.])
    """
    squared, used = _squared_error(projected, xy, confidence, scale, min_confidence)
    distance, count = squared.sqrt(), used.sum(1)
    if trim > 0:
        left_out = torch.ceil(trim * count).long().where(count >= 5, torch.zeros_like(count))
        rank = distance.masked_fill(~used, -1.0).argsort(dim=1, descending=True, stable=True).argsort(1)
        distance = torch.where(rank < left_out[:, None], 0.0, distance)
        broken = ~torch.where(used, squared, 0.0).isfinite().all(1)
        return torch.where(broken, torch.nan, distance.sum(1) / (count - left_out))
    return distance.sum(1) / count


def _squared_error(
    projected: Tensor, xy: Tensor, confidence: Tensor, scale: Tensor, min_confidence: float
) -> tuple[Tensor, Tensor]:
    """``(N, J)`` squared scaled distances, 0 where a joint does not count, and which joints count."""
    _same_people(xy, confidence)
    if projected.shape != xy.shape or scale.shape != xy.shape[:1]:
        raise ValueError(
            "projected must have the shape of xy and scale one value a person, "
            f"got {tuple(projected.shape)}, {tuple(xy.shape)} and {tuple(scale.shape)}"
        )
    used: Tensor = is_seen(confidence, min_confidence)
    # Masked before the difference: a joint that does not count has no NaN gradient to spread.
    difference = torch.where(used[..., None], projected, 0.0) - torch.where(used[..., None], xy, 0.0)
    return (difference * scale[:, None, None]).square().sum(-1), used


def _same_people(xy: Tensor, confidence: Tensor) -> None:
    if xy.dim() != 3 or xy.shape[-1] != 2 or confidence.shape != xy.shape[:2]:
        raise ValueError(
            "keypoints must have shapes (N, J, 2) and (N, J), "
            f"got {tuple(xy.shape)} and {tuple(confidence.shape)}"
        )
