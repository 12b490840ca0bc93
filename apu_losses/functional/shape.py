"""Priors on body shape.

A plain sum of squared coefficients lets contact shrink people towards the camera, for a unit of the first
coefficient may be 30 cm of stature. The alternatives penalise what a change of shape does, from where the fit
started.
"""

from __future__ import annotations

from torch import Tensor


def shape_prior(betas: Tensor) -> Tensor:
    """``sum_k beta_k^2``: the L2 prior towards the mean shape (paper section 3.1). ``(N, K)`` to ``(N,)``.

    Example:
        >>> import torch
        >>> from apu_losses.functional import shape_prior
        >>> shape_prior(torch.tensor([[1.0, 2.0]]))
        tensor([5.])
    """
    _check("betas", betas, 2)
    return betas.square().sum(1)


def shape_change_prior(betas: Tensor, start: Tensor, *, weights: Tensor | None = None) -> Tensor:
    """``sum_k w_k (beta_k - start_k)^2``: departure from the shape that the fit started from.

    Args:
        betas, start: ``(N, K)``
        weights: ``(K,)``; ones by default.

    Returns:
        ``(N,)``

    Raises:
        ValueError: shapes that do not agree.

    Example:
        >>> import torch
        >>> from apu_losses.functional import shape_change_prior
        >>> shape_change_prior(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]]))
        tensor([4.])
    """
    _check("betas", betas, 2)
    if start.shape != betas.shape or (weights is not None and weights.shape != betas.shape[1:]):
        raise ValueError(
            "start must have the shape of betas and weights one value a coefficient, got "
            f"{tuple(betas.shape)}, {tuple(start.shape)} and "
            f"{None if weights is None else tuple(weights.shape)}"
        )
    squared = (betas - start).square()
    return (squared if weights is None else squared * weights.to(squared)).sum(1)


def stature_prior(stature: Tensor, start: Tensor) -> Tensor:
    """``(100 (h - h_start))^2``: change of stature in squared centimetres.

    Args:
        stature, start: ``(N,)`` metres, of the bodies at rest.

    Returns:
        ``(N,)``

    Raises:
        ValueError: shapes that do not agree.

    Example:
        >>> import torch
        >>> from apu_losses.functional import stature_prior
        >>> stature_prior(torch.tensor([1.75]), torch.tensor([1.70]))
        tensor([25.0000])
    """
    _check("stature", stature, 1)
    if start.shape != stature.shape:
        raise ValueError(
            f"start must have the shape of stature, got {tuple(start.shape)} and {tuple(stature.shape)}"
        )
    return (100 * (stature - start)).square()


def _check(name: str, value: Tensor, dimensions: int) -> None:
    if value.dim() != dimensions:
        wanted = "(N, K)" if dimensions == 2 else "(N,)"
        raise ValueError(f"{name} must have shape {wanted}, got {tuple(value.shape)}")
