"""In which precision numbers are computed and searched."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor

_HALF = (torch.float16, torch.bfloat16)
_COARSE = 2e-3  # metres between neighbouring numbers


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
