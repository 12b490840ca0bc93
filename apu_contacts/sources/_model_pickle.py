"""Reading the official pickles of SMPL-like body models, without chumpy and without running anything.

Beside NumPy arrays those files hold ``chumpy`` objects and SciPy sparse matrices. Each gets an inert stand-in
here, as NumPy's names do in `_numpy_pickle`: it collects what the file says, and the array is made from the
checked description afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts import reading
from apu_contacts.sources._json import checked_file
from apu_contacts.sources._numpy_pickle import loads
from apu_contacts.sources._stand_ins import BUILTINS, MAX_BYTES, Described, Inert, Resolve, Stateful, refuse
from apu_contacts.sources.errors import SourceFormatError

MAX_ENTRIES = 1 << 24
"""Largest matrix that is filled in from a sparse one, so that a small file cannot fill the memory."""

MAX_SPARSE = 1 << 31
"""Entries, zeros included, of a matrix that stays sparse."""

_SPARSE = {f"{kind}_{form}": kind for kind in ("csc", "csr") for form in ("matrix", "array")}


class Unread:
    """Stands for an object of the file that was left alone, such as a chumpy expression nobody needs."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"Unread({self.kind!r})"


def read_model_pickle(path: str | Path, *, sparse: bool = False) -> dict[str, Any]:
    """Return the entries of an official SMPL, SMPL-H or SMPL-X ``.pkl``.

    Sparse matrices come back dense, or with ``sparse`` as SciPy's. Of chumpy's objects, ``Ch`` gives its
    array and ``Select`` the elements that it selects; any other comes back as `Unread`.

    Args:
        path: the file, of any pickle protocol, written by Python 2 or 3.
        sparse: leave sparse matrices sparse; those of smplx's model transfer would take a gigabyte.

    Raises:
        SourceMissingError: if there is no such file.
        UnsafePickleError: if it refers to anything but NumPy arrays of numbers, chumpy objects and SciPy's
            compressed sparse matrices. Nothing was executed.
        SourceFormatError: if it is damaged, or holds no dictionary.
    """
    file = checked_file(path)
    names = _stand_in_sparse if sparse else _stand_in
    content = loads(reading.read_bytes(file, SourceFormatError, limit=MAX_BYTES), str(file), names)
    if not isinstance(content, dict):
        raise SourceFormatError(f"{file}: expected a dictionary of arrays, got {type(content).__name__}")
    return content


def _stand_in(module: str, name: str) -> Any:
    top = module.split(".")[0]
    if top == "chumpy":
        # a class of its own for each name: the pickle makes instances, and knows nothing else of them
        return type("_Chumpy", (_Chumpy,), {"__slots__": (), "kind": f"{module}.{name}"})
    if (top, module.split(".")[1:2]) == ("scipy", ["sparse"]) and name in _SPARSE:
        return type("_Sparse", (_Sparse,), {"__slots__": (), "kind": _SPARSE[name]})
    if name == "_reconstructor" and module in ("copy_reg", "copyreg"):
        return _Reconstructor()
    if module in BUILTINS and name == "object":
        return _OBJECT
    if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "scalar":
        return _Scalar()
    return None


def _stand_in_sparse(module: str, name: str) -> Any:
    if module.split(".")[:2] == ["scipy", "sparse"] and name in _SPARSE:
        return type("_KeptSparse", (_KeptSparse,), {"__slots__": (), "kind": _SPARSE[name]})
    return _stand_in(module, name)


class _ObjectName(Inert):
    """Stands for ``object``, which is only ever an argument."""

    __slots__ = ()


_OBJECT = _ObjectName()


class _Reconstructor(Inert):
    """Stands for the function by which Python's oldest protocols make an object of a class."""

    __slots__ = ()

    def __call__(self, *args: Any) -> Stateful:
        if len(args) != 3 or args[1] is not _OBJECT or args[2] is not None:
            refuse("_reconstructor")
        made = args[0]() if isinstance(args[0], type) and issubclass(args[0], Stateful) else None
        if made is None:
            refuse("_reconstructor")
        return made


class _Scalar(Inert):
    """Stands for NumPy's function that makes a single number."""

    __slots__ = ()

    def __call__(self, *args: Any) -> _Number:
        if len(args) != 2 or not isinstance(args[1], (str, bytes)):
            refuse("scalar")
        return _Number(args[0], args[1])


class _Number(Described):
    __slots__ = ("data", "made")

    def __init__(self, made: Any, data: str | bytes) -> None:
        self.made, self.data = made, data

    def build(self, resolve: Resolve) -> Any:
        dtype = getattr(self.made, "dtype", None)
        if not isinstance(dtype, np.dtype) or dtype.kind == "O":
            refuse("scalar")
        data = self.data.encode("latin1") if isinstance(self.data, str) else self.data
        return np.frombuffer(data, dtype, count=1)[0].item()


class _Chumpy(Stateful):
    """An object of the chumpy package."""

    __slots__ = ()

    def build(self, resolve: Resolve) -> Any:
        short = self.kind.rpartition(".")[2]
        if short == "Ch":
            return resolve(self.get("x"))
        if short == "Select":
            source, chosen, shape = (resolve(self.get(name)) for name in ("a", "idxs", "preferred_shape"))
            if not isinstance(source, np.ndarray) or not isinstance(chosen, np.ndarray):
                return Unread(self.kind)
            resolve.budget.spend(chosen.size * source.itemsize)
            return source.ravel()[chosen.ravel().astype(np.int64)].reshape(shape)
        return Unread(self.kind)


class _Sparse(Stateful):
    """A compressed sparse matrix of SciPy; becomes a dense array."""

    __slots__ = ()

    def build(self, resolve: Resolve) -> Any:
        shape, data, minor, starts = self.checked(resolve, MAX_ENTRIES)
        major_size, minor_size = shape if self.kind == "csr" else shape[::-1]
        resolve.budget.spend(major_size * minor_size * data.itemsize)
        dense = np.zeros((major_size, minor_size), data.dtype)
        major = np.repeat(np.arange(major_size), np.diff(starts))
        np.add.at(dense, (major, minor), data)
        return dense if self.kind == "csr" else np.ascontiguousarray(dense.T)

    def checked(
        self, resolve: Resolve, largest: int
    ) -> tuple[tuple[int, int], NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        """Shape, data, indices and index pointers, of a matrix of so many entries at most."""
        shape = resolve(self.get("_shape", "shape"))
        data, minor, starts = (resolve(self.get(name)) for name in ("data", "indices", "indptr"))
        sizes = all(type(n) is int and n >= 0 for n in shape) if isinstance(shape, tuple) else False
        arrays = all(isinstance(a, np.ndarray) and a.ndim == 1 for a in (data, minor, starts))
        if not sizes or not arrays or len(shape) != 2 or shape[0] * shape[1] > largest:
            refuse("the contents of a sparse matrix")
        major_size, minor_size = shape if self.kind == "csr" else shape[::-1]
        if (
            minor.dtype.kind not in "iu"
            or starts.dtype.kind not in "iu"
            or starts.shape != (major_size + 1,)
            or minor.shape != data.shape
            or starts[0] != 0
            or starts[-1] != len(data)
            or (np.diff(starts.astype(np.int64)) < 0).any()
            or (len(minor) and (minor.min() < 0 or minor.max() >= minor_size))
        ):
            refuse("the contents of a sparse matrix")
        return shape, data, minor.astype(np.int64), starts.astype(np.int64)


class _KeptSparse(_Sparse):
    """The same, left sparse."""

    __slots__ = ()

    def build(self, resolve: Resolve) -> Any:
        from scipy import sparse

        shape, data, minor, starts = self.checked(resolve, MAX_SPARSE)
        make = sparse.csr_matrix if self.kind == "csr" else sparse.csc_matrix
        return make((data, minor, starts), shape=shape).tocsr()
