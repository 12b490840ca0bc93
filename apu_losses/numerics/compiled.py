"""Whether code compiled by numba can run here, and take a tensor."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from functools import cache

import torch
from torch import Tensor
from torch.autograd import forward_ad

BODY_BACKENDS = ("torch", "cpu")


@cache
def numba_problem() -> str | None:
    """Why code compiled by numba cannot run in this process; None if it can."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed (pip install numba)"
    try:
        numba = importlib.import_module("numba")
        if numba.config.DISABLE_JIT:
            return "numba's compiler is switched off: unset NUMBA_DISABLE_JIT"
        importlib.import_module("apu_losses.numerics.ordered_cpu")
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


def runs_compiled(backend: str, *tensors: Tensor) -> bool:
    """Whether the compiled path runs: for plain float tensors on the CPU.

    Forward-mode tangents and the wrapped tensors of ``torch.func`` go to the twin, which they pass through.

    Args:
        backend: ``"torch"`` never, ``"cpu"`` always, ``"auto"`` where it can.
        tensors: the inputs.

    Raises:
        ValueError: if ``"cpu"`` was asked for and these tensors do not suit it, or on an unknown name.
        RuntimeError: if ``"cpu"`` was asked for and numba cannot compile here.
    """
    if backend == "torch":
        return False
    if backend not in ("auto", "cpu"):
        raise ValueError(f"backend must be 'auto' or one of {BODY_BACKENDS}, got {backend!r}")
    fits = not _function_transforms_active() and all(_is_plain(tensor) for tensor in tensors)
    if backend == "cpu" and not fits:
        raise ValueError(
            "backend 'cpu' needs float32 or float64 tensors in host memory, without forward-mode tangents "
            f"and outside torch.func transforms; got {tensors[0].dtype} on {tensors[0].device}. Use 'auto'"
        )
    problem = numba_problem() if fits else None
    if problem is None:
        return fits
    if backend == "cpu":
        raise RuntimeError(f"backend 'cpu' was selected and cannot run: {problem}; 'auto' takes what can")
    warn_of_slowness(problem)
    return False


def _function_transforms_active() -> bool:
    # no public query exists; torch.autograd.Function.apply asks the same one
    return bool(torch._C._are_functorch_transforms_active())


def _is_plain(tensor: Tensor) -> bool:
    if tensor.device.type != "cpu" or tensor.dtype not in (torch.float32, torch.float64):
        return False
    return forward_ad.unpack_dual(tensor).tangent is None
