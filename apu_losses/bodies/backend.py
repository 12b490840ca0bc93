"""Whether the compiled paths of this package can take a tensor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

from apu_losses.kernels.dispatch import numba_problem, warn_of_slowness

BODY_BACKENDS = ("torch", "cpu")


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
