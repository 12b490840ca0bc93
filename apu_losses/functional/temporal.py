"""Motion is smooth: how fast joints move from frame to frame, and how abruptly that changes."""

from __future__ import annotations

import torch
from torch import Tensor

from apu_losses.functional.robust import geman_mcclure


def velocity_energy(before: Tensor, after: Tensor, gap: Tensor) -> Tensor:
    """Sum of squared speeds ``||(after - before) / gap||^2`` over joints.

    Args:
        before, after: ``(K, J, 3)`` joints of the same person in two frames, metres.
        gap: ``(K,)`` frames (or seconds) between them, positive.

    Returns:
        ``(K,)`` square metres per squared frame.

    Raises:
        ValueError: shapes that do not agree, or a gap that is not positive.

    Example:
        >>> import torch
        >>> from apu_losses.functional import velocity_energy
        >>> before = torch.zeros(1, 2, 3)
        >>> velocity_energy(before, before + torch.tensor([0.1, 0.0, 0.0]), torch.tensor([1.0]))
        tensor([0.0200])
    """
    _check([before, after], [gap])
    return _per_gap(after - before, gap).square().sum((1, 2))


def acceleration_energy(
    first: Tensor, second: Tensor, third: Tensor, gap_before: Tensor, gap_after: Tensor
) -> Tensor:
    """Sum of squared accelerations over joints, by divided differences; 0 for steady motion.

    The change of speed from the first gap to the second, over the time between the middles of both: for equal
    gaps of one frame ``||x_3 - 2 x_2 + x_1||^2``.

    Args:
        first, second, third: ``(K, J, 3)`` joints of the same person in three frames, metres.
        gap_before, gap_after: ``(K,)`` frames between them, positive; unequal where a frame is missing.

    Returns:
        ``(K,)`` square metres per frame to the fourth.

    Raises:
        ValueError: shapes that do not agree, or a gap that is not positive.

    Example:
        >>> import torch
        >>> from apu_losses.functional import acceleration_energy
        >>> one = torch.ones(1, 2, 3)
        >>> gap = torch.ones(1)
        >>> acceleration_energy(0.0 * one, 0.1 * one, 0.2 * one, gap, gap)
        tensor([0.])
        >>> acceleration_energy(0.0 * one, 0.1 * one, 0.4 * one, gap, gap)
        tensor([0.2400])
    """
    _check([first, second, third], [gap_before, gap_after])
    change = _per_gap(third - second, gap_after) - _per_gap(second - first, gap_before)
    return _per_gap(change, (gap_before + gap_after) / 2).square().sum((1, 2))


def _per_gap(value: Tensor, gap: Tensor) -> Tensor:
    return value / gap.to(value)[:, None, None]


def _check(joints: list[Tensor], gaps: list[Tensor]) -> None:
    shape = joints[0].shape
    if len(shape) != 3 or shape[2] != 3 or any(j.shape != shape for j in joints):
        raise ValueError(f"joints must have the same shape (K, J, 3), got {[tuple(j.shape) for j in joints]}")
    if any(g.shape != shape[:1] for g in gaps):
        raise ValueError(f"gaps must have shape ({shape[0]},), got {[tuple(g.shape) for g in gaps]}")
    if not torch.compiler.is_compiling() and any(bool((g <= 0).any()) for g in gaps):
        raise ValueError("gaps must be positive: the frames of a person must be in order of time")


def foot_lock_energy(
    before: Tensor, after: Tensor, gap: Tensor, standing: Tensor, *, robust: float | None = 0.04
) -> Tensor:
    """Sum of squared speeds of the points of feet that stand: who stands does not slide.

    Args:
        before, after: ``(K, P, 3)`` points of the feet of the same person in two frames, metres.
        gap: ``(K,)`` frames (or seconds) between them, positive.
        standing: ``(K, P)`` how surely each point stands in both frames, 0 to 1; constants.
        robust: metres per frame; a point that is faster is being moved and let go
            (`apu_losses.functional.geman_mcclure`). None: never.

    Returns:
        ``(K,)`` square metres per squared frame.

    Raises:
        ValueError: shapes that do not agree, or a gap that is not positive.

    Example:
        >>> import torch
        >>> from apu_losses.functional import foot_lock_energy
        >>> before = torch.zeros(1, 2, 3)
        >>> after = torch.tensor([[[0.1, 0.0, 0.0], [0.3, 0.0, 0.0]]])  # one slides, one is lifted
        >>> gap = torch.ones(1)
        >>> foot_lock_energy(before, after, gap, torch.tensor([[1.0, 0.0]]), robust=None)
        tensor([0.0100])
        >>> bool(foot_lock_energy(before, after, gap, torch.ones(1, 2)) < 2 * 0.04**2)
        True
    """
    _check([before, after], [gap])
    if standing.shape != before.shape[:2]:
        raise ValueError(f"standing must have shape {tuple(before.shape[:2])}, got {tuple(standing.shape)}")
    squared = _per_gap(after - before, gap).square().sum(2)
    each = squared if robust is None else geman_mcclure(squared, robust)
    return (each * standing).sum(1)
