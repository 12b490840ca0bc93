"""How every kernel of this library is compiled: serial, without the GIL, kept on disk where possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.dispatcher import Dispatcher

from apu_losses.numerics.disk_cache import DiskCache

Function = Callable[..., Any]


def kernel(function: Function, fastmath: bool | set[str] = False) -> Function:
    """Compile at the first call, or load what an earlier process compiled (see `disk_cache`).

    Args:
        function: works on NumPy arrays and numbers.
        fastmath: LLVM's names of what may be rounded otherwise; nothing by default.
    """
    compiled: Function = njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)
    if isinstance(compiled, Dispatcher):  # numba hands the function back where NUMBA_DISABLE_JIT is set
        compiled._cache = DiskCache(function)  # type: ignore[attr-defined]  # not in its stubs
    return compiled


def inlined(function: Function) -> Function:
    """Return a function that disappears into its callers, so that vectors stay in registers."""
    compiled: Function = njit(inline="always", error_model="numpy")(function)
    return compiled
