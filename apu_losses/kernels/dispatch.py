"""Which back end runs, and why.

A back end that was named runs or raises. ``"auto"`` is the only value that chooses.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import warnings
from functools import cache
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from apu_losses.kernels.types import BACKENDS

_MODULES = {
    "torch": "apu_losses.kernels.blocks",
    "cpu": "apu_losses.kernels.cpu.backend",
    "cuda": "apu_losses.kernels.cuda.backend",
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
def load_backend(name: str) -> ModuleType:
    """Import a back end; numba or triton come with it, at its first use."""
    return importlib.import_module(_MODULES[name])


@cache
def numba_problem() -> str | None:
    """Why code compiled by numba cannot run in this process; None if it can. Bodies ask this, too."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed (pip install numba)"
    try:
        numba = importlib.import_module("numba")
        if numba.config.DISABLE_JIT:
            return "numba's compiler is switched off: unset NUMBA_DISABLE_JIT"
        load_backend("cpu")
    except Exception as error:
        return f"numba does not load: {type(error).__name__}: {error}"
    return None


@cache
def warn_of_slowness(problem: str) -> None:
    """Say once a process that plain PyTorch stands in for the compiled code, why, and what it costs."""
    warnings.warn(
        f"plain PyTorch runs instead of code compiled for this processor: {problem}. Penetration takes a "
        "hundred times as long and more, contact and bodies several times; `apu doctor` shows what runs",
        RuntimeWarning,
        stacklevel=2,
    )


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
        return f"the tensors are on {device}" if device.type != "cpu" else numba_problem()
    if backend == "cuda":
        if device.type != "cuda" and not interpreting():
            return f"the tensors are on {device}"
        return _triton_problem()
    return None


def choose(device: torch.device, dtype: torch.dtype) -> str:
    """What ``"auto"`` runs: numba for float32 on the CPU, Triton on a GPU, else block-pruned PyTorch."""
    for name in ("cpu", "cuda"):
        if device.type == name and unfit(name, device, dtype) is None:
            return name
    return "torch"


def check_backend(backend: str) -> str:
    """The name as it is, if it is one."""
    if backend != "auto" and backend not in BACKENDS:
        raise ValueError(f"backend: expected 'auto' or one of {', '.join(BACKENDS)}, got {backend!r}")
    return backend


def resolve(backend: str, example: Tensor) -> str:
    """The back end that runs for tensors like ``example``. A named back end runs or raises."""
    if check_backend(backend) == "auto":
        chosen = choose(example.device, example.dtype)
        if chosen == "torch" and example.device.type == "cpu" and example.dtype == torch.float32:
            warn_of_slowness(numba_problem() or "")
        return chosen
    problem = unfit(backend, example.device, example.dtype)
    if problem is not None:
        raise RuntimeError(
            f"backend={backend!r} was selected and cannot run: {problem}; 'auto' would choose one that can"
        )
    return backend


def widen(x: Tensor) -> Tensor:
    """Half precision is computed in float32: squared millimetres do not fit its mantissa.

    What was rounded before stays lost; where positions were rounded to more than two millimetres, that is
    said once.
    """
    if x.dtype not in _HALF:
        return x
    if not torch.compiler.is_compiling():
        _look_at_rounding(x)
    return x.float()


_HALF = (torch.float16, torch.bfloat16)
_COARSE = 2e-3  # metres between neighbouring numbers


def _look_at_rounding(x: Tensor) -> None:
    wrapped = type(x) is not Tensor or torch._C._functorch.is_functorch_wrapped_tensor(x)
    if wrapped or x.is_meta or not x.numel():
        return  # without numbers to look at
    away = float(x.detach().abs().amax())
    if _COARSE < away * torch.finfo(x.dtype).eps < float("inf"):
        _warn_of_rounding(x.dtype)


@cache
def _warn_of_rounding(dtype: torch.dtype) -> None:
    name, eps = str(dtype).removeprefix("torch."), torch.finfo(dtype).eps
    warnings.warn(
        f"vertices come in {name}, which rounds positions to {1e3 * eps:.0f} mm at 1 m from the origin and "
        f"to {4e3 * eps:.0f} mm at 4 m: contact and penetration of such bodies are that wrong. "
        "Pose bodies in float32 (outside of autocast), or near the origin",
        RuntimeWarning,
        stacklevel=4,
    )


def for_search(x: Tensor, backend: str) -> Tensor:
    """Vertices as a search that gives indices takes them: float32, without gradient.

    Compiled searches are float32, and a thousand times as fast as those in float64. The reference searches
    in what it is given.
    """
    return x.detach() if backend == "reference" else x.detach().to(torch.float32)


def _version(package: str) -> str:
    return f"{package} {importlib.metadata.version(package)}"


def describe() -> list[BackendStatus]:
    """What can run here and what ``"auto"`` would choose, with reasons: the kernel lines of ``apu
    doctor``.
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
    numba, triton = numba_problem(), _triton_problem()
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
