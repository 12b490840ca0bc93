"""The arrays of ``joblib.dump``: a description in the pickle, and the numbers right behind it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from apu_contacts.sources._stand_ins import (
    MAX_BYTES,
    NDARRAY,
    Array,
    DType,
    Resolve,
    Stateful,
    TooLargeError,
    refuse,
)


class JoblibArray(Stateful):
    """Stands for joblib's description of an array."""

    __slots__ = ("array",)
    kind = "joblib.numpy_pickle.NumpyArrayWrapper"

    def fill(self, read: Callable[[int], bytes], nested: Callable[[], Any]) -> None:
        """Take the numbers that follow.

        Args:
            read: gives as many bytes of the file as asked for.
            nested: reads the pickle by which joblib writes an array of objects.
        """
        made, shape = self.get("dtype"), self.get("shape")
        if self.get("subclass") is not NDARRAY or not isinstance(made, DType):
            refuse("an array of joblib's that is none of numbers")
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            refuse("the shape of an array")
        if self.get("order") not in ("C", "F"):
            refuse("the order of an array")
        if made.dtype.kind == "O":
            self.array = nested()
            return
        size = math.prod(shape) * made.dtype.itemsize
        if size > MAX_BYTES:
            raise TooLargeError(f"an array of {size} bytes is announced")
        if self.state.get("numpy_array_alignment_bytes") is not None:
            read(read(1)[0])
        array = Array()
        array.__setstate__((1, shape, made, self.get("order") == "F", bytes(read(size))))
        self.array = array

    def build(self, resolve: Resolve) -> Any:
        if not hasattr(self, "array"):
            refuse("an array of joblib's without its numbers")
        return resolve(self.array)
