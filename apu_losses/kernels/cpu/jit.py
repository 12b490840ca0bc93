"""How kernels are compiled: serial, without the GIL, cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

Function = Callable[..., Any]


def kernel(function: Function) -> Function:
    """Compile at the first call (or load from the cache beside this package, else from NUMBA_CACHE_DIR)."""
    compiled: Function = njit(nogil=True, cache=True, error_model="numpy")(function)
    return compiled


def inlined(function: Function) -> Function:
    """A function that disappears into its callers, so that vectors stay in registers."""
    compiled: Function = njit(inline="always", error_model="numpy")(function)
    return compiled
