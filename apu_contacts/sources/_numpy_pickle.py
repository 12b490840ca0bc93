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
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.lib import format as npy_format

from apu_contacts.sources._json import checked_file
from apu_contacts.sources.errors import SourceFormatError, UnsafePickleError

MAX_BYTES = 1 << 30
"""Largest entry that is unpacked, so that a small file cannot fill the memory."""

_RECONSTRUCT = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
_FROM_BUFFER = {("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")}
Names = Callable[[str, str], Any]
_SCALAR = {("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")}
_PLAIN_KINDS = "biufUS"
# zipfile raises NotImplementedError for a compression that it does not know
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def read_npz(path: str | Path) -> dict[str, Any]:
    """The entries of an ``.npz``; those saved as pickled objects are read by `loads`.

    Raises:
        SourceMissingError: if there is no such file.
        UnsafePickleError: if a pickle in it refers to anything but NumPy arrays of numbers. Nothing was
            executed.
        SourceFormatError: if it is not a zip of ``.npy`` entries, or damaged.
    """
    file = checked_file(path)
    try:
        with zipfile.ZipFile(file) as archive:
            return {
                info.filename.removesuffix(".npy"): _read_npy(
                    _unpack(archive, info, file), file / info.filename
                )
                for info in archive.infolist()
            }
    except _ZIP_ERRORS as error:
        raise SourceFormatError(f"{file}: not an .npz file: {error}") from error


def read_npy(path: str | Path) -> Any:
    """What an ``.npy`` holds; objects are read by `loads`.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: as `read_npz`.
    """
    file = checked_file(path)
    if file.stat().st_size > MAX_BYTES:
        raise SourceFormatError(f"{file}: {file.stat().st_size} bytes are more than {MAX_BYTES}")
    return _read_npy(file.read_bytes(), file)


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: Path) -> bytes:
    if info.file_size > MAX_BYTES:
        raise SourceFormatError(
            f"{file}: {info.filename} would unpack to {info.file_size} bytes; is it damaged?"
        )
    return archive.read(info)


def _read_npy(data: bytes, where: Path) -> Any:
    stream = io.BytesIO(data)
    try:
        version = npy_format.read_magic(stream)
        header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        dtype = header(stream)[2]
        if not dtype.hasobject:
            stream.seek(0)
            return npy_format.read_array(stream, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise SourceFormatError(f"{where}: not a NumPy array: {error}") from error
    return loads(stream.read(), str(where))


def read_numpy_pickle(path: str | Path) -> Any:
    """What a ``.pkl`` of arrays holds, see `loads`; one written by Python 2 too.

    Raises:
        SourceMissingError: if there is no such file.
        UnsafePickleError, SourceFormatError: as `loads`.
    """
    file = checked_file(path)
    return loads(file.read_bytes(), str(file))


def loads(data: bytes, where: str = "pickle", names: Names | None = None) -> Any:
    """What a pickle holds: arrays of numbers, and dictionaries, lists, tuples, strings, numbers around them.

    An array of objects with one element gives that element; with several, a list of them.

    Args:
        data: the pickle.
        where: what to call it in messages.
        names: gives the inert stand-in of a further name that is admitted (module, name), None for others.

    Raises:
        UnsafePickleError: if it refers to any name but ``numpy.ndarray``, ``numpy.dtype`` and NumPy's array
            reconstruction, or uses those in a way that NumPy's own pickles do not.
        SourceFormatError: if it is damaged.
    """
    try:
        return _resolve(_Reader(io.BytesIO(data), names).load())
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{where}: {error}") from None
    except Exception as error:
        # A damaged or hostile pickle can fail in any way that its opcodes can be misused.
        raise SourceFormatError(f"{where}: not a readable pickle of arrays: {error!r}") from error


class _Reader(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, names: Names | None = None) -> None:
        # Python 2, which wrote SMPLify's files, has no bytes: latin-1 keeps each byte as one character.
        super().__init__(stream, encoding="latin1")
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _RECONSTRUCT:
            return _Reconstruct()
        if (module, name) == ("numpy", "ndarray"):
            return _NDARRAY
        if (module, name) == ("numpy", "dtype"):
            return _MakeDType()
        if (module, name) in _FROM_BUFFER:
            return _FromBuffer()
        if (module, name) in _SCALAR:
            return _Scalar()
        if (module, name) == ("_codecs", "encode"):
            return _Encode()
        if name == "bytes" and module in ("__builtin__", "builtins"):
            return _NoBytes()
        stand_in = None if self._names is None else self._names(module, name)
        if stand_in is not None:
            return stand_in
        raise UnsafePickleError(
            f"the pickle refers to {module}.{name}, only NumPy arrays are admitted; nothing "
            "was run. Such a file was not written by the tool that it is said to come from"
        )

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UnsafePickleError("the pickle refers to an object outside of the file")


def refuse(what: str) -> NoReturn:
    raise UnsafePickleError(f"the pickle uses {what} in a way that a pickled array does not; nothing was run")


class Inert:
    """A stand-in that a pickle cannot change: it has no attributes, and refuses a state."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        refuse("a NumPy name")


class _NdarrayName(Inert):
    """Stands for the class ``numpy.ndarray``, which is only ever an argument."""

    __slots__ = ()

    def __call__(self, *args: Any) -> NoReturn:
        refuse("ndarray")


_NDARRAY = _NdarrayName()


class _Reconstruct(Inert):
    """Stands for NumPy's function that makes an empty array, to be filled by its state."""

    __slots__ = ()

    def __call__(self, *args: Any) -> _Array:
        if len(args) != 3 or args[0] is not _NDARRAY or args[1] != (0,):
            refuse("_reconstruct")
        return _Array()


class _MakeDType(Inert):
    """Stands for the class ``numpy.dtype``."""

    __slots__ = ()

    def __call__(self, *args: Any) -> _DType:
        if not args or not isinstance(args[0], str):
            refuse("dtype")
        dtype = np.dtype(args[0]) if args[0][:1] in (*_PLAIN_KINDS, "O") else None
        if dtype is None or dtype.names is not None or dtype.subdtype is not None:
            refuse(f"the dtype {args[0][:20]!r}")
        return _DType(dtype)


class _FromBuffer(Inert):
    """Stands for the function by which NumPy writes arrays in the pickle protocol 5."""

    __slots__ = ()

    def __call__(self, *args: Any) -> _Array:
        if len(args) != 4 or not isinstance(args[0], (bytes, bytearray)) or args[3] not in ("C", "F"):
            refuse("_frombuffer")
        array = _Array()
        array.__setstate__((1, args[2], args[1], args[3] == "F", bytes(args[0])))
        return array


class _Scalar(Inert):
    """Stands for the function by which NumPy writes a single number, such as a ``float32``."""

    __slots__ = ()

    def __call__(self, *args: Any) -> _Array:
        if len(args) != 2 or not isinstance(args[0], _DType) or args[0].dtype.kind == "O":
            refuse("scalar")
        array = _Array()
        array.__setstate__((1, (), args[0], False, args[1]))
        return array


class _Encode(Inert):
    """Stands for ``codecs.encode``, by which Python 3 writes bytes in the protocols of Python 2."""

    __slots__ = ()

    def __call__(self, *args: Any) -> bytes:
        if len(args) != 2 or not isinstance(args[0], str) or args[1] != "latin1":
            refuse("encode")
        encoded: bytes = args[0].encode("latin1")
        return encoded


class _NoBytes(Inert):
    """Stands for ``bytes``, by which Python 3 writes no bytes at all in the protocols of Python 2."""

    __slots__ = ()

    def __call__(self, *args: Any) -> bytes:
        if args:
            refuse("bytes")
        return b""


class _DType:
    """A dtype of numbers, or of objects."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, no subarray, no names, no fields, ...)
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            refuse("the state of a dtype")
        if any(field is not None for field in state[2:5]):
            refuse("a structured dtype")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class Described(ABC):
    """What a pickle says of one value, which is made only after all of the pickle was read and checked."""

    __slots__ = ()

    @abstractmethod
    def build(self, resolve: Callable[[Any], Any]) -> Any:
        """The value; ``resolve`` makes what the description refers to."""


class _Array(Described):
    """What the pickle says of one array."""

    __slots__ = ("state",)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _DType):
            refuse("the state of an array")
        shape = state[1]
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            refuse("the shape of an array")
        self.state = state

    def build(self, resolve: Callable[[Any], Any]) -> Any:
        _, shape, made, fortran, data = self.state
        if made.dtype.kind == "O":
            if not isinstance(data, list):
                refuse("an array of objects")
            return resolve(data[0]) if len(data) == 1 else resolve(data)
        if isinstance(data, str):
            data = data.encode("latin1")
        if not isinstance(data, bytes):
            refuse("the bytes of an array")
        return np.frombuffer(data, made.dtype).reshape(shape, order="F" if fortran else "C").copy()


def _resolve(content: Any) -> Any:
    """The same content with every description of an array replaced by the array.

    What the pickle refers to several times is made once: nested repetition could fill the memory otherwise.
    """
    made: dict[int, Any] = {}
    pending = object()

    def resolve(value: Any) -> Any:
        if value is None or isinstance(value, (str, bytes, bool, int, float)):
            return value
        if made.get(id(value)) is pending:
            refuse("a value inside itself")
        if id(value) not in made:
            made[id(value)] = pending
            made[id(value)] = build(value)
        return made[id(value)]

    def build(value: Any) -> Any:
        if isinstance(value, Described):
            return value.build(resolve)
        if isinstance(value, dict):
            return {resolve(key): resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if isinstance(value, tuple):
            return tuple(resolve(item) for item in value)
        refuse(f"a value of the kind {type(value).__name__}")

    return resolve(content)
