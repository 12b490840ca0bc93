"""A library at its worst: operators whose last bits depend on what stands beside a number.

Math libraries promise no bits. MKL's products give a row other last bits by its place modulo 4 on some
processors, by the number of rows with two threads; vectorised functions compute their last elements by other
code than the first; a sum of many numbers to one is split over threads, one of several sums is not.
`FickleLibrary` makes all of that visible on any machine, and larger than it ever is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


PRODUCTS = _names(
    "mm bmm addmm baddbmm addbmm mv addmv dot vdot addr linalg_solve_ex _linalg_solve_ex linalg_cholesky_ex "
    "cholesky_solve linalg_inv_ex linalg_lstsq linalg_qr linalg_eigh _linalg_eigh _linalg_svd _linalg_det "
    "linalg_lu_factor_ex triangular_solve linalg_solve_triangular"
)
"""Depend on places and sizes: any row, any matrix of a batch."""

FUNCTIONS = _names("atan2 sigmoid softplus erf tanh lgamma digamma hypot log_sigmoid_forward")
"""Elementwise functions whose bits differ by place on some machine (the first three were seen to)."""

SPLIT_SUMS = _names("sum mean prod norm linalg_vector_norm logsumexp var std")
"""Split over threads where many numbers become one, not where they become several."""

MANY = 32768
"""From so many numbers on torch splits work over threads."""

EXACT = _names(
    "add sub mul div neg abs sqrt reciprocal square rsub maximum minimum clamp clamp_min clamp_max relu "
    "threshold_backward where eq ne lt le gt ge logical_and logical_or logical_not logical_xor "
    "bitwise_and bitwise_or bitwise_not bitwise_xor sign isnan isinf isfinite isin floor ceil round trunc "
    "floor_divide remainder fmod copysign nan_to_num masked_fill deg2rad rad2deg "
    "copy_ _to_copy clone detach alias lift_fresh empty empty_like empty_strided "
    "new_empty new_empty_strided zeros zeros_like new_zeros ones ones_like new_ones full full_like new_full "
    "arange eye scalar_tensor zero_ fill fill_ set_ resize_ view _unsafe_view _reshape_alias as_strided "
    "expand squeeze unsqueeze permute "
    "transpose t select slice narrow split split_with_sizes unbind stack cat repeat flip diagonal diag_embed "
    "tril triu diff unfold index index_select gather take_along_dim repeat_interleave masked_select nonzero "
    "select_backward slice_backward index_select_backward value_selecting_reduction_backward "
    "diagonal_backward unfold_backward select_scatter slice_scatter constant_pad_nd "
    "argmin argmax amin amax max min sort argsort topk searchsorted bucketize bincount unique_dim "
    "_unique2 unique_consecutive cumsum any all equal _local_scalar_dense item is_same_size "
    "index_copy index_fill scatter linalg_cross rsqrt is_pinned _pin_memory"
)
"""Rounded once, or moved about, or on whole numbers: no place can matter."""

BY_ROWS = _names("index_add scatter_add index_put _index_put_impl_ sum mean norm linalg_vector_norm")
"""Add up in the order of what they are given, where it is not split over threads (`MANY`)."""

SAME_BY_TEST = _names("sin cos exp log pow atan log1p lerp addcmul addcdiv logsumexp")
"""Elementwise functions that `test_company.py` compares by place on the machine that it runs on."""


def _by_place(shape: torch.Size, rows_from: int) -> Tensor:
    """A number for each row (all dimensions before ``rows_from``), which its place and the size decide."""
    rows = int(torch.Size(shape[:rows_from]).numel()) if rows_from else 1
    place = torch.arange(max(rows, 1), dtype=torch.float64)
    return torch.sin(1.0 + 7.0 * (place % 8) + 3.0 * rows)[:rows].reshape(
        *shape[:rows_from], *(1,) * (len(shape) - rows_from)
    )


def _disturbed(value: Any, rows_from: int | None = None) -> Any:
    if isinstance(value, tuple):
        return type(value)([_disturbed(v, rows_from) for v in value]) if type(value) is tuple else value
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.ndim:
        return value
    size = 64 * torch.finfo(value.dtype).eps
    factor = 1 + size * _by_place(value.shape, value.ndim - 1 if rows_from is None else rows_from)
    return value * factor.to(value)


class FickleLibrary(TorchDispatchMode):
    """While it is active, last bits hang on places, sizes and chance.

    Attributes:
        unknown: operators that the lists above do not name, and so nobody has decided about.
        disturbed: operators whose results were changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unknown: set[str] = set()
        self.disturbed: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        space, _, rest = str(func).partition(".")
        name = rest.partition(".")[0].strip()
        if space != "aten":
            return out
        plain = name[:-1] if name.endswith("_") and not name.startswith("_") else name
        given = [a for a in args if isinstance(a, Tensor)]
        if plain in PRODUCTS:
            return self._change(name, out)
        if plain in FUNCTIONS or (plain == "pow" and not _whole_power(args)):
            return self._change(name, out, rows_from=out.ndim)
        if plain in SPLIT_SUMS and given[0].is_floating_point():
            if out.numel() == 1 and given[0].numel() >= MANY:
                return self._change(name, out[None], rows_from=1)[0]
            return out
        if plain == "scatter_reduce" and args[4] in ("amin", "amax"):
            return out  # the least of several is one of them, in any order
        if plain in {"index_put", "_index_put_impl"} and len(args) > 3 and args[3]:
            if given[0].is_floating_point() and args[2].numel() >= MANY:
                self.disturbed.add(name)
                out.mul_(1 + 1e-5 * torch.rand((), dtype=torch.float64).item())
            return out
        if not {name, plain} & (EXACT | BY_ROWS | SAME_BY_TEST) and any(g.is_floating_point() for g in given):
            self.unknown.add(name)
        return out

    def _change(self, name: str, out: Any, rows_from: int | None = None) -> Any:
        self.disturbed.add(name)
        return _disturbed(out, rows_from)


def _whole_power(args: Any) -> bool:
    return not isinstance(args[1], Tensor) and float(args[1]) in (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0)
