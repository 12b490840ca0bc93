"""Products whose entries have the same bits whatever stands beside them.

A matrix product of a library sums in an order that depends on the sizes of the matrices, so that an entry
changes in its last bits when a batch or a set of columns grows. Here the few products are added one after the
other, elementwise.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ordered_matmul(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` for a short inner dimension: ``(..., M, K)`` and ``(..., K, D)`` give ``(..., M, D)``."""
    total = a[..., :, 0, None] * b[..., None, 0, :]
    for k in range(1, a.shape[-1]):
        total = total + a[..., :, k, None] * b[..., None, k, :]
    return total


def sparse_mix(weights: Tensor, values: Tensor) -> Tensor:
    """``sum_m weights[k, m] values[:, m]`` for weights that are mostly zero.

    Args:
        weights: ``(K, M)``.
        values: ``(N, M, ...)``.

    Returns:
        ``(N, K, ...)``
    """
    longest = int((weights != 0).sum(1).max()) if weights.numel() else 0
    # the entries that are not zero first, in their order
    order = torch.argsort((weights == 0).to(torch.uint8), dim=1, stable=True)[:, :longest]
    share = weights.gather(1, order)
    tail = (1,) * (values.ndim - 2)
    total = values.new_zeros(len(values), len(weights), *values.shape[2:])
    for k in range(longest):
        total = total + share[:, k].reshape(-1, *tail) * values[:, order[:, k]]
    return total


_FEW_ROWS = 8
"""Libraries multiply fewer rows than this by other code than many."""


def steady_matmul(rows: Tensor, matrix: Tensor) -> Tensor:
    """``rows @ matrix``, ``(N, K)`` and ``(K, D)``, for N bodies; each comes out as in a large batch.

    Not a guarantee, since it rests on the library: with MKL and OpenBLAS a row's bits depend on N only where
    N is small, so that small batches are filled up with zeros.
    """
    missing = _FEW_ROWS - len(rows)
    if missing <= 0 or rows.device.type != "cpu":
        return rows @ matrix
    return (torch.cat([rows, rows.new_zeros(missing, rows.shape[1])]) @ matrix)[: len(rows)]
