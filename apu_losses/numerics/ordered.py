"""Products whose entries have the same bits whatever stands beside them.

A matrix product of a library sums in an order that depends on the sizes of the matrices, on a row's place and
on the number of threads, so that an entry changes in its last bits when a batch grows. Here nothing that is
computed for one body depends on how many there are: on the CPU by compiled sums in a fixed order
(`ordered_cpu`), in transforms of ``torch.func`` and for derivatives of derivatives by products of the library
whose sizes are those of a single body. Other devices multiply as their library does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from apu_losses.numerics.compiled import runs_compiled
from apu_losses.numerics.pool import split

_COLUMNS_AT_ONCE = 512  # of a row, with four of the matrix in the first-level cache; 256 to 2048 are as fast
_PRODUCTS_AT_ONCE = 512  # likewise
_ITEMS_PER_TASK = 256


def ordered_matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a @ b`` for a short inner dimension: ``(..., M, K)`` and ``(..., K, D)`` give ``(..., M,
    D)``.
    """
    if a.device.type == "cpu" and not _records(a, b) and runs_compiled("auto", a, b):
        return _batched(a, b)
    total = a[..., :, 0, None] * b[..., None, 0, :]
    for k in range(1, a.shape[-1]):
        total = total + a[..., :, k, None] * b[..., None, k, :]
    return total


def _records(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _batched(a: Tensor, b: Tensor) -> Tensor:
    from apu_losses.numerics import ordered_cpu

    lead = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    dtype = torch.promote_types(a.dtype, b.dtype)
    first, second = (x.detach().to(dtype).expand(*lead, *x.shape[-2:]).contiguous() for x in (a, b))
    out = torch.empty(*lead, a.shape[-2], b.shape[-1], dtype=dtype, device="cpu")
    if out.numel():
        arrays = [x.flatten(0, -3).numpy() if lead else x[None].numpy() for x in (first, second, out)]
        split(len(arrays[2]), lambda start, stop: ordered_cpu.batched(start, stop, *arrays), _ITEMS_PER_TASK)
    return out


class RowMatrix:
    """A constant matrix ``(K, D)`` that rows are multiplied by.

    Args:
        transposed: ``(D, K)``.

    Example:
        >>> matrix = RowMatrix(torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]))
        >>> matrix.times(torch.tensor([[1.0, 1.0]]))
        tensor([[11., 22., 33.]])
    """

    def __init__(self, transposed: Tensor) -> None:
        self._transposed = transposed

    @cached_property
    def _matrix(self) -> Tensor:
        return self._transposed.T.contiguous()

    def flipped(self) -> RowMatrix:
        """Return the transposed matrix ``(D, K)``."""
        return RowMatrix(self._matrix)

    def times(self, rows: Tensor, backend: str = "auto") -> Tensor:
        """``rows @ matrix``: ``(N, K)`` to ``(N, D)``, differentiable in the rows.

        Args:
            rows: ``(N, K)``, a row a body; each comes out as it would alone.
            backend: ``"torch"``, ``"cpu"`` (compiled) or ``"auto"``.
        """
        if rows.device.type != "cpu":
            return rows @ self._transposed.T
        if rows.dtype == self._transposed.dtype and runs_compiled(backend, rows, self._transposed):
            product: Tensor = _Rows.apply(rows, self)
            return product
        return self._one_by_one(rows)

    def _one_by_one(self, rows: Tensor) -> Tensor:
        if not len(rows):
            return rows @ self._transposed.T
        # copies, so that each begins at an address of the same alignment
        return torch.cat([row.clone()[None] @ self._transposed.T for row in rows.unbind(0)])


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, by: RowMatrix) -> Tensor:
        from apu_losses.numerics import ordered_cpu

        ctx.save_for_backward(rows)
        ctx.by = by
        matrix = by._matrix
        out = rows.new_empty(len(rows), matrix.shape[1])
        if out.numel():
            arrays = rows.detach().contiguous().numpy(), matrix.numpy(), out.numpy()
            width = _COLUMNS_AT_ONCE

            def work(start: int, stop: int) -> None:
                ordered_cpu.rows_forward(start, stop, width, *arrays)

            split(-(-matrix.shape[1] // width), work)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        from apu_losses.numerics import ordered_cpu

        (rows,) = ctx.saved_tensors
        by: RowMatrix = ctx.by
        if torch.is_grad_enabled():  # create_graph=True: by what can be differentiated again
            with torch.enable_grad():
                (found,) = torch.autograd.grad(by._one_by_one(rows), rows, grads[0], create_graph=True)
            return found, None
        out = torch.empty_like(rows, memory_format=torch.contiguous_format)
        if out.numel():
            grad, transposed = grads[0].contiguous().numpy(), by._transposed.contiguous().numpy()
            filled = out.numpy()

            def work(start: int, stop: int) -> None:
                total = np.empty(filled.shape[1], dtype=filled.dtype)
                ordered_cpu.rows_backward(start, stop, _PRODUCTS_AT_ONCE, grad, transposed, total, filled)

            split(len(filled), work)
        return out, None


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A constant matrix ``(K, M)`` that is mostly zero, as the entries of its rows that are not.

    Attributes:
        offsets: ``(K + 1,)`` where each row's entries begin.
        index: ``(E,)`` their columns, rising in a row.
        share: ``(E,)`` their values.
        columns: M.
    """

    offsets: Tensor
    index: Tensor
    share: Tensor
    columns: int

    @staticmethod
    def of(weights: Tensor) -> SparseRows:
        """From the matrix ``(K, M)``."""
        rows, index = (weights != 0).nonzero(as_tuple=True)
        count = torch.bincount(rows, minlength=len(weights))
        offsets = torch.cat([count.new_zeros(1), count.cumsum(0)])
        return SparseRows(offsets, index, weights[rows, index], weights.shape[1])

    @cached_property
    def _padded(self) -> tuple[Tensor, Tensor]:
        """``(L, K)`` columns and values, of entry l of each row; zeros where a row has fewer."""
        count = self.offsets.diff()
        place = torch.arange(len(self.index), device=self.index.device)
        rows = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
        longest = int(count.max()) if len(count) else 0
        index, share = self.index.new_zeros(longest, len(count)), self.share.new_zeros(longest, len(count))
        index[place - self.offsets[rows], rows] = self.index
        share[place - self.offsets[rows], rows] = self.share
        return index, share

    def mix(self, values: Tensor) -> Tensor:
        """``sum_m weights[k, m] values[:, m]``: ``(N, M, ...)`` to ``(N, K, ...)``, differentiable.

        Raises:
            ValueError: if there are not M values.
        """
        if values.shape[1] != self.columns:
            raise ValueError(f"values must have {self.columns} items in dimension 1, got {values.shape[1]}")
        if values.dtype == self.share.dtype and runs_compiled("auto", values, self.share):
            mixed: Tensor = _Mix.apply(values, self)
            return mixed
        return self._mix_torch(values)

    def _mix_torch(self, values: Tensor) -> Tensor:
        index, share = self._padded
        tail = (1,) * (values.ndim - 2)
        total = values.new_zeros(len(values), len(self.offsets) - 1, *values.shape[2:])
        for columns, weights in zip(index, share, strict=True):
            total = total + weights.reshape(-1, *tail) * values.index_select(1, columns)
        return total


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, by: SparseRows) -> Tensor:
        from apu_losses.numerics import ordered_cpu

        ctx.save_for_backward(values)
        ctx.by = by
        out = values.new_empty(len(values), len(by.offsets) - 1, *values.shape[2:])
        _run_mix(ordered_cpu.mix_forward, by, values.detach(), out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        from apu_losses.numerics import ordered_cpu

        (values,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: by the twin, which can be differentiated again
            with torch.enable_grad():
                twin = ctx.by._mix_torch(values)
                (found,) = torch.autograd.grad(twin, values, grads[0], create_graph=True)
            return found, None
        out = torch.zeros_like(values, memory_format=torch.contiguous_format)
        _run_mix(ordered_cpu.mix_backward, ctx.by, grads[0], out)
        return out, None


def _run_mix(kernel: Any, by: SparseRows, given: Tensor, out: Tensor) -> None:
    if not out.numel() or not given.numel():
        out.zero_()
        return
    sparse = by.offsets.numpy(), by.index.numpy(), by.share.numpy()
    arrays = [x.contiguous().flatten(2).numpy() if x.ndim > 2 else x[..., None].numpy() for x in (given, out)]
    split(len(out), lambda start, stop: kernel(start, stop, *sparse, *arrays))
