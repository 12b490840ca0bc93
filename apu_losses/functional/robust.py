"""The Geman-McClure function: an error that stops pulling once it is far beyond what noise explains."""

from __future__ import annotations

from torch import Tensor


def geman_mcclure(squared: Tensor, rho: float) -> Tensor:
    """``rho^2 s / (rho^2 + s)`` of a squared error ``s``; equals ``s`` near 0 and saturates at ``rho^2``.

    Its derivative by ``s`` is `geman_mcclure_weight`, so minimising it is the same as minimising
    ``weight * s`` with the weight recomputed from the current error in each iteration and held constant.

    Args:
        squared: squared errors, any shape, in the square of a unit.
        rho: the error, in that unit, at which a residual has a quarter of its full pull.

    Raises:
        ValueError: ``rho`` is not positive.

    Example:
        >>> import torch
        >>> from apu_losses.functional import geman_mcclure
        >>> geman_mcclure(torch.tensor([0.0, 0.01, 100.0]), 0.1)  # never more than rho squared
        tensor([0.0000, 0.0050, 0.0100])
    """
    scale = _square(rho)
    return scale * squared / (scale + squared)


def geman_mcclure_weight(squared: Tensor, rho: float) -> Tensor:
    """``(rho^2 / (rho^2 + s))^2``: the weight that Gauss-Newton gives a squared error ``s`` under
    `geman_mcclure`.

    Raises:
        ValueError: ``rho`` is not positive.

    Example:
        >>> import torch
        >>> from apu_losses.functional import geman_mcclure_weight
        >>> geman_mcclure_weight(torch.tensor([0.0, 0.01, 100.0]), 0.1)
        tensor([1.0000e+00, 2.5000e-01, 9.9980e-09])
    """
    scale = _square(rho)
    return (scale / (scale + squared)) ** 2


def _square(rho: float) -> float:
    if not rho > 0:
        raise ValueError(f"rho must be positive (the error at which a residual lets go), got {rho}")
    return float(rho) ** 2
