"""Adding rows by index, the same bits every time."""

from __future__ import annotations

from torch import Tensor


def accumulate(out: Tensor, index: Tensor, values: Tensor) -> Tensor:
    """Add ``values (n, ...)`` to the rows ``index (n,)`` of ``out``, in place and deterministically.

    On the CPU ``index_add_`` adds in order, while accumulating ``index_put_`` does not; on CUDA it is the
    reverse: ``index_put_`` sorts, ``index_add_`` races.
    """
    if out.device.type == "cpu":
        return out.index_add_(0, index, values)
    return out.index_put_((index,), values, accumulate=True)
