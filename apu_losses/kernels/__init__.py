"""The geometry operators and their back ends: what `apu_losses.functional.geometry` stands on.

One operator, one meaning, four back ends: ``reference`` (plain PyTorch, the oracle), ``torch`` (block-pruned
PyTorch, any device), ``cpu`` (numba with explicit SIMD), ``cuda`` (Triton). All agree on values, ties, NaN
and empty regions. numba and triton are imported when their back end first runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_EXPORTS: dict[str, str] = {
    "BackendStatus": "apu_losses.kernels.dispatch",
    "MeshTopology": "apu_losses.kernels.topology",
    "RegionIndex": "apu_losses.kernels.topology",
    "RegionPairs": "apu_losses.kernels.types",
    "describe": "apu_losses.kernels.dispatch",
    "warmup": "apu_losses.kernels.warm",
}

if TYPE_CHECKING:
    from apu_losses.kernels.dispatch import BackendStatus as BackendStatus
    from apu_losses.kernels.dispatch import describe as describe
    from apu_losses.kernels.topology import MeshTopology as MeshTopology
    from apu_losses.kernels.topology import RegionIndex as RegionIndex
    from apu_losses.kernels.types import RegionPairs as RegionPairs
    from apu_losses.kernels.warm import warmup as warmup

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'apu_losses.kernels' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
