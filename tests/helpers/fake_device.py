"""A device that is not there: tensors that say they are on it hold their numbers on the host.

As on a GPU, an operation between a tensor of the device and one of the host raises, and numbers leave the
device only when they are asked for. This library's operators count as one operation each, which the kernels
of the CPU carry out, but for `opened_operators`.

PyTorch lets one such device be added to a process, for good: use it in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as tree
from torch.utils import backend_registration
from torch.utils._python_dispatch import return_and_correct_aliasing

NAME = "elsewhere"
AVAILABLE = hasattr(backend_registration, "_setup_privateuseone_for_python_backend")
_aten = torch.ops.aten
_MOVES = (_aten._to_copy.default, _aten.copy_.default, _aten._copy_from.default)
_MAKERS = (
    *(_aten.empty.memory_format, _aten.empty_strided.default, _aten._copy_from.default, _aten.eye.default),
    *(_aten.eye.m, _aten.arange.default, _aten.arange.start, _aten.arange.start_step, _aten.linspace.default),
)
_TAKE_HOST_POSITIONS = (_aten.index.Tensor, _aten.index_put_.default, _aten._index_put_impl_.default)
_ONE_DEVICE_EVEN_FOR_NUMBERS = (_aten.cat.default, _aten.stack.default)
_OPENED: list[bool] = []
_LIBRARIES: list[torch.library.Library] = []  # kept alive: what it registers goes with it


class MixedDevices(RuntimeError):
    """What a GPU would say: expected all tensors to be on the same device."""


class Elsewhere(torch.Tensor):
    """A tensor of the device."""

    host: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, host: torch.Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            host.size(),
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=torch.device(NAME, 0),
        )
        made.host = host
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy; use Tensor.cpu() first")
        return self.detach().cpu().numpy()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Elsewhere({self.host!r})"


def install() -> None:
    """Tell PyTorch of the device."""
    backend_registration._setup_privateuseone_for_python_backend(rename=NAME)
    library = torch.library.Library("aten", "IMPL")
    for func in _MAKERS:
        library.impl(func, lambda *args, func=func, **kwargs: _run(func, args, kwargs), "PrivateUse1")
    _LIBRARIES.append(library)


@contextmanager
def opened_operators() -> Iterator[None]:
    """This library's operators run their Python functions on the device, instead of as one step on the
    host: slow, but what is inside of them is looked at too.
    """
    _OPENED.append(True)
    try:
        yield
    finally:
        _OPENED.pop()


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    _check(func, args, kwargs)
    here = [x for x in tree.tree_leaves((args, kwargs)) if isinstance(x, Elsewhere)]
    if here and func.namespace == "apu_losses" and _OPENED:
        return torch._library.custom_ops.OPDEFS[func._schema.name]._init_fn(*args, **kwargs)
    if func is _aten._copy_from.default:
        _host(args[1]).copy_(_host(args[0]))
        return args[1]
    device = kwargs.get("device")
    to_device = bool(here) if device is None else torch.device(device).type == NAME
    if device is not None and to_device:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    out = func(*_host(args), **_host(kwargs))
    if func is _aten.copy_.default:
        return args[0]
    if not to_device:
        return out
    out = tree.tree_map_only(torch.Tensor, lambda x: x if isinstance(x, Elsewhere) else Elsewhere(x), out)
    if not here:
        return out
    out = return_and_correct_aliasing(func, args, kwargs, out)
    if any(x.host.shape != x.shape for x in here):
        raise NotImplementedError(f"{func} resizes a tensor; if it makes tensors, add it to _MAKERS")
    return out


def _host(values: Any) -> Any:
    return tree.tree_map_only(Elsewhere, lambda x: x.host, values)


def _check(func: Any, args: Any, kwargs: dict[str, Any]) -> None:
    """Raise where a GPU would: a number of the host may take part, and positions of the host may index."""
    given = (args[0], *args[2:]) if func in _TAKE_HOST_POSITIONS else args
    tensors = [x for x in tree.tree_leaves((given, kwargs)) if isinstance(x, torch.Tensor)]
    if func in _MOVES or not any(isinstance(x, Elsewhere) for x in tree.tree_leaves((args, kwargs))):
        return
    strict = func in _ONE_DEVICE_EVEN_FOR_NUMBERS
    away = [x for x in tensors if not isinstance(x, Elsewhere) and (x.dim() > 0 or strict)]
    if away:
        raise MixedDevices(
            f"{func}: expected all tensors to be on the same device, but found at least two, {NAME}:0 and "
            f"{away[0].device} of shape {tuple(away[0].shape)}"
        )
