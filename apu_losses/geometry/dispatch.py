"""Which back end runs, and why.

A back end that was named runs or raises. ``"auto"`` is the only value that chooses.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor

from apu_losses.geometry.types import BACKENDS
from apu_losses.numerics.compiled import numba_problem, warn_of_slowness

if TYPE_CHECKING:
    from apu_losses.geometry.backend import Backend

_MODULES = {
    "reference": "apu_losses.geometry.reference",
    "torch": "apu_losses.geometry.pytorch.backend",
    "cpu": "apu_losses.geometry.cpu.backend",
    "cuda": "apu_losses.geometry.cuda.backend",
}


class BackendStatus(NamedTuple):
    """One line of `describe`: can a back end run here, why, and what does ``"auto"`` use it for."""

    name: str
    available: bool
    reason: str
    auto_for: tuple[str, ...]


def interpreting() -> bool:
    """Whether Triton runs in its interpreter (``TRITON_INTERPRET=1``): its kernels then take CPU tensors."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


@cache
def load_backend(name: str) -> Backend:
    """Import a back end; numba or triton come with it, at its first use."""
    found: Any = importlib.import_module(_MODULES[name])  # `backend` holds each to the protocol
    return cast("Backend", found)


@cache
def cpu_problem() -> str | None:
    """Why the compiled back end cannot run in this process; None if it can."""
    problem = numba_problem()
    if problem is None:
        try:
            load_backend("cpu")
        except Exception as error:
            return f"its kernels do not load: {type(error).__name__}: {error}"
    return problem


def _triton_problem() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed (it comes with torch's CUDA wheels for Linux)"
    if not torch.cuda.is_available() and not interpreting():
        return "torch sees no CUDA device"
    return None


def unfit(backend: str, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why a back end cannot run tensors of this device and dtype; None if it can."""
    if backend in ("cpu", "cuda") and dtype != torch.float32:
        return f"its kernels are float32, the tensors are {dtype}; use 'torch' or 'reference'"
    if backend == "cpu":
        return f"the tensors are on {device}" if device.type != "cpu" else cpu_problem()
    if backend == "cuda":
        if device.type != "cuda" and not interpreting():
            return f"the tensors are on {device}"
        return _triton_problem()
    return None


def choose(device: torch.device, dtype: torch.dtype) -> str:
    """Return what ``"auto"`` runs: numba for float32 on the CPU, Triton on a GPU, else block-pruned
    PyTorch."""
    for name in ("cpu", "cuda"):
        if device.type == name and unfit(name, device, dtype) is None:
            return name
    return "torch"


def check_backend(backend: str) -> str:
    """Return the name as it is, if it is one."""
    if backend != "auto" and backend not in BACKENDS:
        raise ValueError(f"backend must be 'auto' or one of {', '.join(BACKENDS)}, got {backend!r}")
    return backend


def resolve_name(backend: str, example: Tensor) -> str:
    """Return the name of the back end that runs for tensors like ``example``.

    Raises:
        ValueError: no such back end.
        RuntimeError: a named back end that cannot run; only ``"auto"`` chooses.
    """
    if check_backend(backend) == "auto":
        chosen = choose(example.device, example.dtype)
        if chosen == "torch" and example.device.type == "cpu" and example.dtype == torch.float32:
            warn_of_slowness(cpu_problem() or "")
        return chosen
    problem = unfit(backend, example.device, example.dtype)
    if problem is not None:
        raise RuntimeError(
            f"backend={backend!r} was selected and cannot run: {problem}; 'auto' would choose one that can"
        )
    return backend


def resolve(backend: str, example: Tensor) -> Backend:
    """Return the back end that runs for tensors like ``example``; errors as of `resolve_name`."""
    return load_backend(resolve_name(backend, example))


def _version(package: str) -> str:
    return f"{package} {importlib.metadata.version(package)}"


def describe() -> list[BackendStatus]:
    """Return what can run here and what ``"auto"`` would choose, with reasons: the kernel lines of ``apu
    doctor``.

    Example:
        >>> [(line.name, line.available) for line in describe() if line.name in ("torch", "reference")]
        [('torch', True), ('reference', True)]
    """
    kinds = [
        ("CPU float32", torch.device("cpu"), torch.float32),
        ("CPU float64", torch.device("cpu"), torch.float64),
    ]
    if torch.cuda.is_available():
        kinds += [
            ("CUDA float32", torch.device("cuda"), torch.float32),
            ("CUDA float64", torch.device("cuda"), torch.float64),
        ]
    chosen: dict[str, list[str]] = {}
    for label, device, dtype in kinds:
        chosen.setdefault(choose(device, dtype), []).append(label)
    numba, triton = cpu_problem(), _triton_problem()
    lines = [
        (
            "cpu",
            numba is None,
            numba or f"{_version('numba')}, explicit SIMD, {torch.get_num_threads()} threads",
        ),
        ("cuda", triton is None, triton or f"{_version('triton')}, float32 on a GPU"),
        ("torch", True, f"block-pruned PyTorch {torch.__version__}, any device and dtype"),
        ("reference", True, "plain PyTorch, exact and slow; never chosen by 'auto'"),
    ]
    return [BackendStatus(n, ok, why, tuple(chosen.get(n, ()))) for n, ok, why in lines]
