"""Whether the compiled paths of this package can take a tensor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

BODY_BACKENDS = ("torch", "cpu")


def runs_compiled(backend: str, *tensors: Tensor) -> bool:
    """Whether the compiled path runs: for plain float tensors on the CPU.

    Forward-mode tangents and the wrapped tensors of ``torch.func`` go to the twin, which they pass through.

    Args:
        backend: ``"torch"`` never, ``"cpu"`` always, ``"auto"`` where it can.
        tensors: the inputs.

    Raises:
        ValueError: if ``"cpu"`` was asked for and cannot run, or on an unknown name.
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
    return fits


def _function_transforms_active() -> bool:
    # no public query exists; torch.autograd.Function.apply asks the same one
    return bool(torch._C._are_functorch_transforms_active())


def _is_plain(tensor: Tensor) -> bool:
    if tensor.device.type != "cpu" or tensor.dtype not in (torch.float32, torch.float64):
        return False
    return forward_ad.unpack_dual(tensor).tangent is None
