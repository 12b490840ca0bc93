"""Which back end runs."""

from __future__ import annotations

import torch
from torch import Tensor

from apu_losses.kernels.types import BACKENDS


def resolve(backend: str, example: Tensor) -> str:
    """The back end that runs for tensors like ``example``. A named back end is taken as named."""
    if backend != "auto" and backend not in BACKENDS:
        raise ValueError(f"backend: expected 'auto' or one of {', '.join(BACKENDS)}, got {backend!r}")
    return "reference"


def widen(x: Tensor) -> Tensor:
    """Half precision is computed in float32: squared millimetres do not fit its mantissa."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
