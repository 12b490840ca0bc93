"""Reading a pickle of NumPy arrays without being able to run anything.

Some tools save results as a pickled dictionary of arrays inside an ``.npz``. A pickle is a program: loading
it as NumPy does it (``allow_pickle=True``) runs whatever the file says. This reader understands the few names
that a pickled array refers to and no other, and gives none of them to the pickle: each is a stand-in of ours,
which can only collect the description of an array. The arrays are built from the checked descriptions
afterwards.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apu_contacts import reading
from apu_contacts.sources._joblib_array import JoblibArray
from apu_contacts.sources._json import checked_file
from apu_contacts.sources._stand_ins import (
    BUILTINS,
    MAX_BYTES,
    NDARRAY,
    Budget,
    Encode,
    FromBuffer,
    MakeDType,
    NoBytes,
    Reconstruct,
    Resolve,
    Scalar,
    TooLargeError,
    check_keys,
    container,
)
from apu_contacts.sources._torch_pickle import LEGACY_HEAD, archive_content, load_legacy, torch_name
from apu_contacts.sources.errors import SourceFormatError, UnsafePickleError

MAX_STEPS = 1 << 20
"""Instructions of one pickle; an array takes about 20, whatever its size."""

_RECONSTRUCT = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
_FROM_BUFFER = {("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")}
Names = Callable[[str, str], Any]
_SCALAR = {("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")}
_WORDS = {
    "torch": "of torch, tensors alone are read: save tensor.cpu().numpy() instead",
    "joblib": "joblib older than 0.10 keeps arrays in files of their own: load it there, and save it again",
    "scipy": "it holds objects of SciPy: save arrays instead",
    "chumpy": "it holds objects of chumpy, as body models do: read_model_pickle reads those",
    "pandas": "it holds a table of pandas: save arrays instead",
}


def read_npz(path: str | Path) -> dict[str, Any]:
    """Return the entries of an ``.npz``; those saved as pickled objects are read by `loads`.

    Raises:
        SourceMissingError: if there is no such file.
        UnsafePickleError: if a pickle in it refers to anything but NumPy arrays of numbers. Nothing was
            executed.
        SourceFormatError: if it is not a zip of ``.npy`` entries, damaged, or too large.
    """
    return reading.read_arrays(checked_file(path), SourceFormatError, objects=loads)


def read_npy(path: str | Path) -> Any:
    """Return what an ``.npy`` holds; objects are read by `loads`.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: as `read_npz`.
    """
    return reading.read_array(checked_file(path), SourceFormatError, objects=loads)


def read_numpy_pickle(path: str | Path) -> Any:
    """Return what a ``.pkl`` of arrays holds, see `loads`; one written by Python 2 or by joblib too.

    joblib's files are read as they are and compressed by zlib or gzip (``joblib.dump(..., compress=3)``).
    What ``torch.save`` wrote, under whatever ending, is read by `read_torch`.

    Raises:
        SourceMissingError: if there is no such file.
        UnsafePickleError, SourceFormatError: as `loads`.
    """
    file = checked_file(path)
    data = reading.read_bytes(file, SourceFormatError, limit=MAX_BYTES)
    if data.startswith((b"PK\x03\x04", LEGACY_HEAD)):
        return read_torch(file)
    return loads(reading.unpacked(data, str(file), SourceFormatError, limit=MAX_BYTES), str(file))


def read_torch(path: str | Path) -> Any:
    """Return what ``torch.save`` wrote: tensors as arrays, and the containers and numbers around them.

    Torch is not needed, and nothing of the file is run. bfloat16 becomes float32; of parameters their values
    are kept.

    Args:
        path: the ``.pt`` or ``.pth``; the form of before PyTorch 1.6 too.

    Raises:
        SourceMissingError: if there is no such file.
        UnsafePickleError: if it refers to anything but tensors and what `loads` admits: a whole model.
        SourceFormatError: if it is damaged, TorchScript, no file of torch, or would take more than 1 GiB.

    Example:
        >>> from apu_contacts.sources import SourceError, read_torch
        >>> try:
        ...     read_torch("absent.pt")
        ... except SourceError as error:
        ...     print(error)
        absent.pt: no such file
    """
    file = checked_file(path)
    with file.open("rb") as stream:
        head = stream.read(len(LEGACY_HEAD))
    if head.startswith(b"PK\x03\x04"):
        return archive_content(file, lambda data, where, storage: loads(data, where, storages=storage))
    if head == LEGACY_HEAD:
        data = reading.read_bytes(file, SourceFormatError, limit=MAX_BYTES)
        return _guarded(lambda: Resolve()(load_legacy(data, _load_one)), str(file))
    return read_numpy_pickle(file)  # WHAM calls what joblib wrote .pth


def loads(
    data: bytes,
    where: str = "pickle",
    names: Names | None = None,
    storages: Callable[[Any], Any] | None = None,
) -> Any:
    """Return what a pickle holds: arrays of numbers, and dictionaries, lists, tuples, strings, numbers around
    them. Tensors of torch become arrays.

    An array of objects with one element gives that element; with several, a list of them. An ``OrderedDict``
    or ``defaultdict`` comes back as a dictionary, a path as text, a set as a sorted list.

    Args:
        data: the pickle.
        where: what to call it in messages.
        names: gives the inert stand-in of a further name that is admitted (module, name), None for others.
        storages: makes a storage of torch of a reference to one outside of the pickle.

    Raises:
        UnsafePickleError: if it refers to any name but ``numpy.ndarray``, ``numpy.dtype``, NumPy's array
            reconstruction, joblib's and torch's of arrays and the containers above, or uses those in a way
            that real pickles do not.
        SourceFormatError: if it is damaged, no pickle at all, or would take more than `MAX_BYTES`.
    """
    likely = reading.looks_like(data[:64])
    if likely:
        raise SourceFormatError(f"{where}: not a pickle of arrays: {likely}")
    return _guarded(lambda: Resolve()(_Reader(_Whole(data), names, storages).load()), where)


def _load_one(stream: io.BytesIO, storages: Callable[[Any], Any] | None) -> Any:
    """Read one of several pickles of a stream, as stand-ins."""
    return _Reader(stream, None, storages).load()


def _guarded(read: Callable[[], Any], where: str) -> Any:
    try:
        return read()
    except (UnsafePickleError, TooLargeError) as error:
        raise type(error)(f"{where}: {error}") from None
    except Exception as error:
        # A damaged or hostile pickle can fail in any way that its opcodes can be misused.
        raise SourceFormatError(f"{where}: not a readable pickle of arrays: {error!r}") from error


class _Whole(io.BytesIO):
    """Bytes of which a part that is cut off is an error."""

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        if size is not None and len(found) < size:
            raise EOFError("it ends in the middle")
        return found

    def readline(self, size: int | None = -1, /) -> bytes:
        found = super().readline(size)
        if not found.endswith(b"\n"):
            raise EOFError("it ends in the middle")
        return found


class _Counted(dict[int, Any]):
    """The handlers of instructions; asking for more than `MAX_STEPS` of them ends the reading."""

    steps = 0

    def __getitem__(self, opcode: int) -> Any:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooLargeError(f"more than {MAX_STEPS} instructions: is it the right file?")
        return super().__getitem__(opcode)


_InPython: Any = pickle._Unpickler  # type: ignore[attr-defined,unused-ignore]


class _Reader(_InPython):
    """Python's own reader in Python: unlike the one in C it makes no room for what a file only announces, and
    each instruction can be counted and looked at.
    """

    dispatch = dict(_InPython.dispatch)  # noqa: RUF012

    def __init__(
        self,
        stream: io.BytesIO,
        names: Names | None = None,
        storages: Callable[[Any], Any] | None = None,
    ) -> None:
        # Python 2, which wrote SMPLify's files, has no bytes: latin-1 keeps each byte as one character.
        super().__init__(stream, encoding="latin1")
        self._names, self._storages, self._stream = names, storages, stream
        self.dispatch = _Counted(type(self).dispatch)
        self.budget = Budget()

    def load_setitem(self) -> None:
        check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        check_keys(self.stack[::2])
        super().load_setitems()

    def load_dict(self) -> None:
        check_keys(self.stack[::2])
        super().load_dict()

    def load_additems(self) -> None:
        check_keys(self.stack)
        super().load_additems()

    def load_frozenset(self) -> None:
        check_keys(self.stack)
        super().load_frozenset()

    def load_bytearray8(self) -> None:
        # the parent makes room for any length that is announced
        size = int.from_bytes(self.read(8), "little")
        if size > MAX_BYTES:
            raise TooLargeError(f"a value of {size} bytes is announced")
        self.append(bytearray(self.read(size)))

    def load_decimal(self) -> None:
        line = self.readline()[:-1]
        if len(line) > 400:
            raise TooLargeError(f"a number of {len(line)} digits is no real one")
        self.append(line == b"01" if line in (b"00", b"01") else int(line.removesuffix(b"L"), 0))

    def load_build(self) -> None:
        super().load_build()
        if isinstance(self.stack[-1], JoblibArray):
            # the numbers of an array of joblib's follow its description
            self.stack[-1].fill(self.read, lambda: _load_one(self._stream, None))

    for _opcode, _handler in (
        (pickle.BUILD, load_build),
        (pickle.SETITEM, load_setitem),
        (pickle.SETITEMS, load_setitems),
        (pickle.DICT, load_dict),
        (pickle.ADDITEMS, load_additems),
        (pickle.FROZENSET, load_frozenset),
        (pickle.BYTEARRAY8, load_bytearray8),
        (pickle.INT, load_decimal),
        (pickle.LONG, load_decimal),
    ):
        dispatch[_opcode[0]] = _handler

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _RECONSTRUCT:
            return Reconstruct()
        if (module, name) == ("numpy", "ndarray"):
            return NDARRAY
        if (module, name) == ("numpy", "dtype"):
            return MakeDType()
        if (module, name) in _FROM_BUFFER:
            return FromBuffer()
        if (module, name) in _SCALAR:
            return Scalar()
        if (module, name) == ("_codecs", "encode"):
            return Encode(self.budget)
        if name == "bytes" and module in BUILTINS:
            return NoBytes()
        if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            return JoblibArray
        stand_in = torch_name(module, name, _load_one)
        if stand_in is None and self._names is not None:
            stand_in = self._names(module, name)
        if stand_in is None:
            stand_in = container(module, name, self.budget)
        if stand_in is not None:
            return stand_in
        words = _WORDS.get(module.split(".")[0], "was it written by another tool, or in another way?")
        raise UnsafePickleError(
            f"the pickle refers to {module}.{name}, only arrays, numbers, text and containers are admitted; "
            f"nothing was run; {words}"
        )

    def persistent_load(self, pid: Any) -> Any:
        if self._storages is None:
            raise UnsafePickleError("the pickle refers to an object outside of the file")
        return self._storages(pid)
