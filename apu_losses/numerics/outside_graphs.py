"""Work that `torch.compile` must leave alone: it goes on in eager code and comes back with tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

_Function = TypeVar("_Function", bound=Callable[..., Any])


def outside_graphs(function: _Function) -> _Function:
    """Return a function of Python objects, NumPy or SciPy that is never traced; ``fullgraph=True`` refuses
    it.

    As `torch.compiler.disable`, which would import the compiler with the package.
    """
    disabled: list[Any] = []

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_compiling():
            return function(*args, **kwargs)
        if not disabled:
            disabled.append(torch.compiler.disable(function))
        return disabled[0](*args, **kwargs)

    return call  # type: ignore[return-value]
