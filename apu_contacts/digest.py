"""A short name for content: what is equal has the same, what differs in any bit another."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def digest(value: Any) -> str:
    """32 hexadecimal digits for numbers, strings, arrays, tensors, and anything that is made of them.

    Dataclasses count by the names and values of their fields, mappings in any order of their keys.

    Raises:
        TypeError: a value of another kind, such as a function: it has no content that could be compared.
    """
    state = hashlib.blake2b(digest_size=16)
    _feed(state, value)
    return state.hexdigest()


def file_digest(path: str | Path) -> str:
    """Return the same for the bytes of a file.

    Raises:
        OSError: the file cannot be read.
    """
    state = hashlib.blake2b(digest_size=16)
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def _feed(state: Any, value: Any) -> None:
    if hasattr(value, "detach"):  # a tensor, on any device
        value = value.detach().cpu().numpy()
    if value is None or isinstance(value, (bool, int, float, str, bytes, np.generic)):
        _part(state, type(value).__name__, repr(value).encode("utf-8", "backslashreplace"))
    elif isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("an array of objects has no content that could be compared")
        _part(state, f"array {value.dtype.str} {value.shape}", np.ascontiguousarray(value).tobytes())
    elif isinstance(value, enum.Enum):
        _feed(state, (type(value).__name__, value.name))
    elif isinstance(value, Path):
        _feed(state, str(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        _feed(state, {name: getattr(value, name) for name in names})
    elif isinstance(value, Mapping):
        _part(state, "mapping", str(len(value)).encode())
        for key in sorted(value, key=repr):
            _feed(state, key)
            _feed(state, value[key])
    elif isinstance(value, (list, tuple)):
        _part(state, "list", str(len(value)).encode())
        for item in value:
            _feed(state, item)
    elif isinstance(value, (set, frozenset)):
        _feed(state, sorted(value, key=repr))
    else:
        raise TypeError(f"a value of type {type(value).__name__} has no content that could be compared")


def _part(state: Any, kind: str, data: bytes) -> None:
    """One piece with its kind and length, so that no two sequences of pieces look alike."""
    state.update(f"{kind} {len(data)}\n".encode())
    state.update(data)
