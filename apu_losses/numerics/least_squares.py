"""Levenberg-Marquardt for many small independent problems at once.

Every row of the batch is a problem of its own: it has its own damping and is accepted, rejected and stopped
by itself, so a row's result does not depend on its neighbours. The Jacobian is exact: given, or found by
forward-mode differentiation, one tangent a column, which suits problems with fewer parameters than residuals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import jvp, vmap

COLUMNS_AT_ONCE = 24
"""Columns of the Jacobian computed together: all at once is slower, for their tangents leave the cache."""


class LeastSquaresResult(NamedTuple):
    """Result of `levenberg_marquardt` for N problems with D unknowns.

    Attributes:
        x: ``(N, D)`` the best point that was found.
        cost: ``(N,)`` half the sum of squared residuals there.
        iterations: ``(N,)`` steps tried before the row stopped.
        converged: ``(N,)`` whether it stopped because progress ended, not because steps ran out.
    """

    x: Tensor
    cost: Tensor
    iterations: Tensor
    converged: Tensor


def levenberg_marquardt(
    residuals: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    jacobian: Callable[[Tensor], Tensor] | None = None,
    max_iterations: int = 30,
    damping: float = 1e-3,
    tolerance: float = 1e-6,
) -> LeastSquaresResult:
    """Minimise ``0.5 * sum(residuals(x)**2)`` for every row of ``x``.

    Args:
        residuals: maps ``(N, D)`` to ``(N, R)``; row n of the result may depend on row n of ``x`` only.
        start: ``(N, D)``
        jacobian: maps ``(N, D)`` to ``(N, R, D)``, where it is known in closed form; by default it is found
            by forward-mode differentiation of ``residuals``.
        max_iterations: steps tried at most.
        damping: initial factor on the diagonal of the normal equations (Marquardt's scaling).
        tolerance: a row has converged when an accepted step lowers its cost by less than this share.

    Raises:
        ValueError: ``start`` is not ``(N, D)``.

    References:
        Marquardt, "An algorithm for least-squares estimation of nonlinear parameters", 1963.
    """
    if start.ndim != 2:
        raise ValueError(f"start must have shape (N, D), got {tuple(start.shape)}")
    x = start.detach().clone()
    r, j = _residuals_and_jacobian(residuals, jacobian, x)
    cost = _cost(r)
    mu = torch.full_like(cost, damping, dtype=torch.float64)
    done = ~torch.isfinite(cost)
    converged = torch.zeros_like(done)
    iterations = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    for _ in range(max_iterations):
        if bool(done.all()):
            break
        step = _damped_step(r, j, mu)
        trial = torch.where(done[:, None], x, x + step)
        with torch.no_grad():
            trial_cost = _cost(residuals(trial))
        better = (trial_cost < cost) & ~done
        small = better & ((cost - trial_cost) <= tolerance * cost)
        iterations += ~done
        x = torch.where(better[:, None], trial, x)
        cost = torch.where(better, trial_cost, cost)
        mu = torch.where(better, mu / 5, mu * 4).clamp(1e-9, 1e9)
        stuck = ~better & (mu >= 1e8)
        converged |= (small | stuck) & ~done
        done = done | converged
        if bool((better & ~done).any()):
            r, j = _residuals_and_jacobian(residuals, jacobian, x)
    return LeastSquaresResult(x, cost, iterations, converged)


def _cost(r: Tensor) -> Tensor:
    return 0.5 * (r.double() ** 2).sum(-1)


def _residuals_and_jacobian(
    residuals: Callable[[Tensor], Tensor], jacobian: Callable[[Tensor], Tensor] | None, x: Tensor
) -> tuple[Tensor, Tensor]:
    """``(N, R)`` and ``(N, R, D)``; all rows share each tangent because rows are independent."""
    if jacobian is not None:
        with torch.no_grad():
            return residuals(x), jacobian(x)
    count, size = x.shape
    basis = torch.eye(size, dtype=x.dtype, device=x.device)[:, None, :].expand(size, count, size)

    def column(tangent: Tensor) -> Tensor:
        derivative: Tensor = jvp(residuals, (x,), (tangent,))[1]
        return derivative

    with torch.no_grad():
        columns: Tensor = vmap(column, out_dims=2, chunk_size=COLUMNS_AT_ONCE)(basis)
        return residuals(x), columns


def _damped_step(r: Tensor, jacobian: Tensor, mu: Tensor) -> Tensor:
    """``(N, D)``, row by row: the bits of a batched product depend on how many rows there are."""
    rows = zip(r.double(), jacobian.double(), mu, strict=True)
    return torch.stack([_damped_step_of_row(*row) for row in rows]).to(r.dtype)


def _damped_step_of_row(r: Tensor, jacobian: Tensor, mu: Tensor) -> Tensor:
    """`damped_step` from residuals ``(R,)`` and their Jacobian ``(R, D)``."""
    j = jacobian.clone()  # a copy begins at an address of the same alignment, whatever the row
    normal = j.T @ j
    return damped_step((j.T @ r.clone()[:, None])[:, 0], normal, mu * normal.diagonal() + 1e-9)


def damped_step(gradient: Tensor, curvature: Tensor, added: Tensor) -> Tensor:
    """Return the step ``-(H + diag(added))^-1 g`` of one problem; none where the system cannot be solved.

    Whoever steps tries it, and damps more where it did not help.

    Args:
        gradient: ``(D,)``
        curvature: ``(D, D)`` symmetric, not negative.
        added: ``(D,)`` the damping, in units of the curvature's diagonal.

    Returns:
        ``(D,)``

    Example:
        >>> curvature = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
        >>> damped_step(torch.tensor([8.0, 1.0]), curvature, torch.tensor([1.0, 0.0])).tolist()
        [-2.0, -1.0]
    """
    factor, info = torch.linalg.cholesky_ex(curvature + torch.diag(added))
    step = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
    usable = (info == 0) & torch.isfinite(step).all()
    return torch.where(usable, step, 0.0)
