"""How far estimated joints or vertices lie from the true ones, under several alignments.

Every function takes a batch and returns one value an item, in the unit of its input, unreduced and
differentiable. An item that cannot be measured (a coordinate that is not finite, points that all coincide) is
NaN: it is to be counted apart, not averaged away.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Align = Literal["none", "root", "similarity"]
PointAlign = Literal["none", "translation", "scale", "similarity"]
POINT_ALIGNS: tuple[PointAlign, ...] = ("none", "translation", "scale", "similarity")
"""What `aligned_mpjpe` takes, from the strictest to the most forgiving."""


class Similarity(NamedTuple):
    """``x -> scale * rotation @ x + translation``: ``(B,)``, ``(B, 3, 3)``, ``(B, 3)``."""

    scale: Tensor
    rotation: Tensor
    translation: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """``(B, J, 3)`` moved."""
        turned = points @ self.rotation.transpose(1, 2)
        return self.scale[:, None, None] * turned + self.translation[:, None]


def similarity_alignment(points: Tensor, target: Tensor) -> Similarity:
    """Return the similarity that brings points nearest to their targets in the sense of least squares.

    Umeyama (1991): rotation by a singular value decomposition, never a reflection. Computed in float64.

    Args:
        points, target: ``(B, J, 3)``.

    Returns:
        In the type of ``points``; NaN for an item with a coordinate that is not finite, or whose points or
        targets all coincide (the scale is then undefined, or a zero that would score as perfect).

    Raises:
        ValueError: shapes that do not agree, or no points.
    """
    _same_points("points", points, "target", target, 3)
    x, y = points.double(), target.double()
    broken = ~(x.isfinite() & y.isfinite()).flatten(1).all(1)
    # one item that is not finite must not stop the decomposition of the others
    x = torch.where(broken[:, None, None], torch.zeros_like(x), x)
    y = torch.where(broken[:, None, None], torch.zeros_like(y), y)
    center_x, center_y = x.mean(1), y.mean(1)
    x, y = x - center_x[:, None], y - center_y[:, None]
    spread_x, spread_y = x.square().sum((1, 2)), y.square().sum((1, 2))
    # below the rounding of float32 coordinates a spread is noise
    size = torch.maximum(center_x.square().sum(1), center_y.square().sum(1))
    tiny = 1e-12 * size * x.shape[1]
    flat = ~((spread_x > tiny) & (spread_y > tiny))
    unusable = (broken | flat)[:, None, None]
    covariance = torch.where(unusable, _safe_covariance(x), y.transpose(1, 2) @ x)
    u, values, vh = torch.linalg.svd(covariance)
    sign = torch.ones_like(values)
    sign[:, 2] = torch.linalg.det(u @ vh).sign()
    rotation = u @ (sign[..., None] * vh)
    scale = (values * sign).sum(1) / torch.where(unusable[:, 0, 0], torch.ones_like(spread_x), spread_x)
    scale = torch.where(unusable[:, 0, 0], torch.nan, scale)
    translation = center_y - scale[:, None] * (rotation @ center_x[..., None])[..., 0]
    return Similarity(scale.to(points.dtype), rotation.to(points.dtype), translation.to(points.dtype))


def aligned_mpjpe(joints: Tensor, truth: Tensor, align: PointAlign) -> Tensor:
    """Mean per-joint position error after one alignment of all joints of an item.

    Report more than one: an alignment hides what it takes away. On CHI3D 135 mm a person become 66 by
    translation and scale, and 50 by a similarity.

    Args:
        joints, truth: ``(B, J, 3)``; J may be the joints of several people.
        align: ``"none"``: as they lie; ``"translation"``: centroid on centroid; ``"scale"``: that, and made
            as large (root mean square of the distances from the centroid), not turned; ``"similarity"``:
            `pa_mpjpe`.

    Returns:
        ``(B,)``; NaN for an item that cannot be measured.

    Raises:
        ValueError: shapes that do not agree, or an unknown alignment.

    Example:
        >>> truth = torch.tensor([[[0.0, 0, 0], [2, 0, 0]]])
        >>> aligned_mpjpe(truth + 1, truth, "none"), aligned_mpjpe(3 * truth + 1, truth, "scale")
        (tensor([1.7321]), tensor([0.]))
    """
    _same_points("joints", joints, "truth", truth, 3)
    if align not in POINT_ALIGNS:
        raise ValueError(f"align must be one of {', '.join(POINT_ALIGNS)}, got {align!r}")
    if align == "similarity":
        return pa_mpjpe(joints, truth)
    if align == "none":
        return _mean_distance(joints, truth)
    x = joints - joints.mean(1, keepdim=True)
    y = truth - truth.mean(1, keepdim=True)
    if align == "scale":
        ratio = y.square().sum((1, 2)) / x.square().sum((1, 2))
        # truth in one point would make every estimate perfect
        x = x * torch.where(ratio > 0, ratio, torch.nan).sqrt()[:, None, None]
    return _mean_distance(x, y)


def mpjpe(joints: Tensor, truth: Tensor, *, roots: tuple[int, ...] = (0,)) -> Tensor:
    """Mean per-joint position error after the roots are laid on each other.

    Args:
        joints, truth: ``(B, J, 3)``, one person an item.
        roots: joints whose mean is the root: ``(0,)``, the pelvis of the SMPL family, or the two hips.

    Returns:
        ``(B,)``.

    Raises:
        ValueError: shapes that do not agree, or a root that is not there.
    """
    _same_points("joints", joints, "truth", truth, 3)
    if not roots or not all(0 <= root < joints.shape[1] for root in roots):
        raise ValueError(f"roots must name joints out of 0 to {joints.shape[1] - 1}, got {roots}")
    chosen = list(roots)
    moved = joints - joints[:, chosen].mean(1, keepdim=True)
    return _mean_distance(moved, truth - truth[:, chosen].mean(1, keepdim=True))


def pa_mpjpe(joints: Tensor, truth: Tensor) -> Tensor:
    """Mean per-joint position error after the best similarity, ``(B, J, 3)`` -> ``(B,)``."""
    return _mean_distance(similarity_alignment(joints, truth).apply(joints), truth)


def joint_pa_mpjpe(joints: Tensor, truth: Tensor) -> Tensor:
    """Return the paper's error of two people: *one* similarity lays the joints of all people on the true
    ones.

    So it counts where people stand relative to each other, which an alignment of each person forgives.

    Args:
        joints, truth: ``(B, P, J, 3)``, people in the same order.

    Returns:
        ``(B,)`` mean over people and joints (paper section 4.1, "PA-MPJPE").

    Raises:
        ValueError: shapes that do not agree.
    """
    _same_points("joints", joints, "truth", truth, 4)
    return pa_mpjpe(joints.flatten(1, 2), truth.flatten(1, 2))


class PersonOrders(NamedTuple):
    """An error for both assignments of two people to two others, each ``(B,)``."""

    given: Tensor
    exchanged: Tensor

    @property
    def smaller(self) -> Tensor:
        """``(B,)`` for estimates that do not say who is who; it flatters those that do."""
        return torch.minimum(self.given, self.exchanged)


def joint_pa_mpjpe_orders(joints: Tensor, truth: Tensor) -> PersonOrders:
    """`joint_pa_mpjpe` of two people, ``(B, 2, J, 3)``, in the order as given and exchanged."""
    _same_points("joints", joints, "truth", truth, 4)
    if joints.shape[1] != 2:
        raise ValueError(f"joints must hold two people an item, got {joints.shape[1]}")
    return PersonOrders(joint_pa_mpjpe(joints, truth), joint_pa_mpjpe(joints.flip(1), truth))


def v2v(vertices: Tensor, truth: Tensor, *, align: Align = "none", roots: Tensor | None = None) -> Tensor:
    """Mean distance of each vertex from the true one.

    Args:
        vertices, truth: ``(B, V, 3)`` of one topology.
        align: ``"none"``; ``"root"``: after ``roots`` are laid on each other; ``"similarity"``: after the
            best similarity of the vertices.
        roots: ``(2, B, 3)`` a point, such as the pelvis, of the estimate and of the truth.

    Returns:
        ``(B,)``.

    Raises:
        ValueError: shapes that do not agree, an unknown alignment, or roots that are missing.
    """
    _same_points("vertices", vertices, "truth", truth, 3)
    if align not in ("none", "root", "similarity"):
        raise ValueError(f"align must be 'none', 'root' or 'similarity', got {align!r}")
    if align == "similarity":
        return pa_mpjpe(vertices, truth)
    if align == "root":
        if roots is None or tuple(roots.shape) != (2, len(vertices), 3):
            got = None if roots is None else tuple(roots.shape)
            raise ValueError(f"roots must have shape (2, {len(vertices)}, 3) with align='root', got {got}")
        return _mean_distance(vertices - roots[0][:, None], truth - roots[1][:, None])
    return _mean_distance(vertices, truth)


def _safe_covariance(x: Tensor) -> Tensor:
    """``(B, 3, 3)`` with three different singular values, where the true one must not be decomposed."""
    return torch.diag(x.new_tensor([3.0, 2.0, 1.0])).expand(len(x), 3, 3)


def _mean_distance(points: Tensor, truth: Tensor) -> Tensor:
    """``(B,)``; the gradient of a point that is exactly right is zero and not NaN."""
    squared = (points - truth).square().sum(-1)
    positive = squared > 0
    root = torch.where(positive, squared, torch.ones_like(squared)).sqrt()
    # NaN is not positive, and must stay
    return torch.where(positive, root, squared).mean(1)


def _same_points(name: str, points: Tensor, other: str, target: Tensor, dimensions: int) -> None:
    expected = "(B, P, J, 3)" if dimensions == 4 else "(B, J, 3)"
    if points.dim() != dimensions or points.shape[-1] != 3 or points.shape != target.shape:
        raise ValueError(
            f"{name} and {other} must have the same shape {expected}, "
            f"got {tuple(points.shape)} and {tuple(target.shape)}"
        )
    if 0 in points.shape[1:]:
        raise ValueError(f"{name} must hold at least one point an item, got {tuple(points.shape)}")
