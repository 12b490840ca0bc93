"""Looks at numbers of a device without waiting for it: what one call asks, a later one is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

import torch
from torch import Tensor


class CudaCopy:
    """One number on its way from a CUDA device to the host."""

    def __init__(self, number: Tensor) -> None:
        # pinned, or the copy would wait for the device
        self._number = torch.empty((), dtype=number.dtype, device="cpu", pin_memory=True)
        self._number.copy_(number, non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record(torch.cuda.current_stream(number.device))

    def read(self) -> float | None:
        """Return the number, or None while it has not come."""
        return float(self._number) if self._arrived.query() else None


_under_way: dict[tuple[Hashable, torch.device], CudaCopy] = {}
_waited_for: set[tuple[Hashable, torch.device]] = set()
_lock = threading.Lock()


def look_late(name: Hashable, number: Tensor, judge: Callable[[float], None]) -> None:
    """Let a number of a device be judged, and never wait for the device.

    On the CPU it is judged at once. On CUDA it is copied beside the work that is queued, and judged by the
    first later call under this name that finds it there. Numbers that are asked meanwhile are passed over:
    what is so in every call is found, and a call costs at most one copy of one number. While a CUDA graph is
    recorded nothing is looked at. Other devices have no such copies: there the first number of a name is
    looked at, and waited for, and no other.

    Args:
        name: of the question; one number of each device and name is under way at a time.
        number: a tensor with one value, without gradient.
        judge: what to do about it, say warn.
    """
    device = number.device
    if device.type == "cpu":
        judge(float(number))
    elif device.type != "cuda":
        with _lock:
            first = (name, device) not in _waited_for
            _waited_for.add((name, device))
        if first:
            judge(float(number))
    elif not torch.cuda.is_current_stream_capturing():
        value = _exchange((name, device), number)
        if value is not None:
            judge(value)


def _exchange(key: tuple[Hashable, torch.device], number: Tensor) -> float | None:
    """Send a number if none is under way, and return the one that has come."""
    with _lock:
        copy = _under_way.get(key)
        value = None if copy is None else copy.read()
        if copy is None or value is not None:
            _under_way[key] = CudaCopy(number)
    return value
