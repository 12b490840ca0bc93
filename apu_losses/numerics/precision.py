"""In which precision numbers are computed and searched."""

from __future__ import annotations

import math
import warnings
from functools import cache, partial

import torch
from torch import Tensor

from apu_losses.numerics.late_look import look_late

_HALF = (torch.float16, torch.bfloat16)
_COARSE = 2e-3  # metres between neighbouring numbers


def widen(x: Tensor) -> Tensor:
    """Half precision is computed in float32: squared millimetres do not fit its mantissa.

    What was rounded before stays lost; where positions were rounded to more than two millimetres, that is
    said once: on a GPU in a later call, since no call waits for the device (`look_late`).
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
    look_late(("rounding", x.dtype), x.detach().abs().amax(), partial(_judge_rounding, x.dtype))


def _judge_rounding(dtype: torch.dtype, away: float) -> None:
    if _COARSE < away * torch.finfo(dtype).eps < float("inf"):
        _warn_of_rounding(dtype)


@cache
def _warn_of_rounding(dtype: torch.dtype) -> None:
    name, eps = str(dtype).removeprefix("torch."), torch.finfo(dtype).eps
    warnings.warn(
        f"vertices come in {name}, which rounds positions to {1e3 * eps:.0f} mm at 1 m from the origin and "
        f"to {4e3 * eps:.0f} mm at 4 m: contact and penetration of such bodies are that wrong. "
        "Pose bodies in float32 (outside of autocast), or near the origin",
        RuntimeWarning,
        stacklevel=6,
    )


_FAR = 60.0
"""Metres from the origin up to which losses in float32 were compared with float64: penetration agrees to 9e-6
there, its gradient to 1e-4."""


def say_if_far(vertices: Tensor, *, wait: bool = False) -> None:
    """Say once that bodies in float32 are so far from the origin that rounding moves their vertices.

    Looks at the first vertex of each body. Compiled and mapped code does not look.

    Args:
        vertices: ``(N, V, 3)`` in float32, on any device.
        wait: for a GPU. Else it is said in a later call, and no call waits for the device (`look_late`).
    """
    if torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(vertices):
        return
    if vertices.is_meta or not vertices.numel():
        return
    away = vertices.detach()[:, 0].abs().nan_to_num(0.0, 0.0, 0.0).amax()
    if wait:
        _judge_distance(float(away))
    else:
        look_late("distance", away, _judge_distance)


def _judge_distance(away: float) -> None:
    if away > _FAR:
        _warn_of_distance(math.floor(math.log2(away)))


@cache
def _warn_of_distance(power: int) -> None:
    away, millimetres = 2.0**power, 1e3 * 2.0 ** (power - 23)
    warnings.warn(
        f"bodies lie more than {max(away, _FAR):.4g} m from the origin, where float32 rounds positions to "
        f"{millimetres:.2g} mm: contact and penetration are wrong by as much. Subtract a common origin while "
        "the bodies are in float64 (are these coordinates of a map, or other units than metres?), or pass "
        "float64",
        RuntimeWarning,
        stacklevel=5,
    )


_GRID = 64.0  # metres; bodies within half of it are searched where they stand


def search_origin(vertices: Tensor) -> Tensor:
    """``(N, 1, 3)`` what to subtract from bodies ``(N, V, 3)`` in float64 before a search in float32.

    A multiple of 64 m next to the first vertex, so that most bodies, which are near the origin, stay as they
    are to the last bit, each row whatever stands beside it. Zero for what is not finite.
    """
    first = vertices.detach()[:, :1]
    return torch.nan_to_num(_GRID * torch.round(first / _GRID), nan=0.0, posinf=0.0, neginf=0.0)


def for_search(x: Tensor, backend: str, origin: Tensor | None = None) -> Tensor:
    """Vertices as a search that gives indices takes them: float32, without gradient.

    Compiled searches are float32, and a thousand times as fast as those in float64. The reference searches
    in what it is given.

    Args:
        x: ``(N, V, 3)``.
        backend: of the geometry operators.
        origin: ``(N, 1, 3)`` the `search_origin` of the bodies that are searched together, by default of x.
            Subtracted from float64: a million metres away float32 has no digits left for a body.
    """
    x = x.detach()
    if backend == "reference" or x.dtype == torch.float32:
        return x
    if x.dtype == torch.float64 and x.shape[1]:
        x = x - (search_origin(x) if origin is None else origin)
    return x.to(torch.float32)
