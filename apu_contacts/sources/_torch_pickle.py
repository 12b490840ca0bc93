"""Reading what ``torch.save`` wrote, without torch and without running anything: tensors become arrays.

A ``.pt`` file is a zip of a pickle and the numbers of each storage. Before PyTorch 1.6 it was several pickles
one after the other, and a tensor inside of any other pickle still carries its storage in that form. Torch's
names get inert stand-ins, as NumPy's do in `_stand_ins`.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts import reading
from apu_contacts.sources._json import checked_file
from apu_contacts.sources._stand_ins import MAX_BYTES, Described, Inert, Resolve, TooLargeError, refuse
from apu_contacts.sources.errors import SourceFormatError

_BFLOAT16 = "bfloat16"
_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_HEAD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How a file of PyTorch before 1.6 begins."""

Load = Callable[..., Any]


def torch_name(module: str, name: str, load: Load) -> Any:
    """Return the stand-in of one of torch's names, None for others.

    Args:
        module, name: as the pickle has them.
        load: reads one pickle of an open stream; for storages that are pickled by themselves.
    """
    if module == "torch" and name in _STORAGES:
        return _StorageType(_STORAGES[name])
    if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        return _RebuildTensor()
    if module == "torch._utils" and name == "_rebuild_parameter":
        return _RebuildParameter()
    if module == "torch.storage" and name == "_load_from_bytes":
        return _StorageOfBytes(load)
    if (module, name) == ("torch", "Size"):
        return _Size()
    return None


class _StorageType(Inert):
    """Stands for a class of storages, which is only ever part of a storage's description."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Size(Inert):
    """Stands for ``torch.Size``; makes a tuple."""

    __slots__ = ()

    def __call__(self, *args: Any) -> tuple[int, ...]:
        if len(args) != 1 or not isinstance(args[0], (list, tuple)):
            refuse("torch.Size")
        return _whole(args[0], "torch.Size")


class _Storage(Described):
    """Numbers that tensors share; ``read`` gives their bytes when they are needed."""

    __slots__ = ("count", "kind", "order", "read")

    def __init__(self, kind: str, count: int, order: str, read: Callable[[], bytes | bytearray]) -> None:
        self.kind, self.count, self.order, self.read = kind, count, order, read

    def build(self, resolve: Resolve) -> NDArray[Any]:
        brain = self.kind == _BFLOAT16
        dtype = np.dtype("u2" if brain else self.kind).newbyteorder(">" if self.order == ">" else "<")
        size = self.count * dtype.itemsize
        resolve.budget.spend(size * (2 if brain else 1))
        data = self.read()
        if len(data) < size:
            raise ValueError(f"a storage of {self.count} numbers has {len(data)} bytes, {size} are needed")
        found = np.frombuffer(data, dtype, count=self.count)
        if brain:  # the upper half of a float32
            return (found.astype(np.uint32) << 16).view(np.float32)
        return found


class _RebuildTensor(Inert):
    """Stands for the function that makes a tensor of a storage."""

    __slots__ = ()

    def __call__(self, *args: Any) -> _Tensor:
        if len(args) < 4 or not isinstance(args[0], _Storage):
            refuse("a tensor")
        offset, shape, strides = args[1], args[2], args[3]
        return _Tensor(
            args[0],
            _whole((offset,), "the offset of a tensor")[0],
            _whole(shape, "the shape of a tensor"),
            _whole(strides, "the strides of a tensor"),
        )


class _RebuildParameter(Inert):
    """Stands for the function that makes a parameter of a tensor."""

    __slots__ = ()

    def __call__(self, *args: Any) -> _Tensor:
        if not args or not isinstance(args[0], _Tensor):
            refuse("a parameter")
        return args[0]


def _whole(numbers: Any, what: str) -> tuple[int, ...]:
    if not isinstance(numbers, (list, tuple)) or not all(type(n) is int and n >= 0 for n in numbers):
        refuse(what)
    return tuple(numbers)


class _Tensor(Described):
    """What the pickle says of one tensor; becomes an array of its own."""

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def build(self, resolve: Resolve) -> NDArray[Any]:
        flat = resolve(self.storage)
        if len(self.shape) != len(self.strides) or len(self.shape) > 32:
            refuse("the strides of a tensor")
        count = math.prod(self.shape)
        if count == 0:
            return np.zeros(self.shape, flat.dtype)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if last >= len(flat):
            refuse("numbers beyond a tensor's storage")
        resolve.budget.spend(count * flat.itemsize)
        steps = [step * flat.itemsize for step in self.strides]
        seen = np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, steps)
        return np.array(seen, dtype=flat.dtype.newbyteorder("="))


class _StorageOfBytes(Inert):
    """Stands for the function that reads a storage which is pickled by itself, in the old form."""

    __slots__ = ("load",)

    def __init__(self, load: Load) -> None:
        self.load = load

    def __call__(self, *args: Any) -> _Storage:
        if len(args) != 1 or not isinstance(args[0], (bytes, bytearray)):
            refuse("a storage")
        found = load_legacy(bytes(args[0]), self.load)
        if not isinstance(found, _Storage):
            refuse("a storage")
        return found


def load_legacy(data: bytes, load: Load) -> Any:
    """Return what PyTorch before 1.6 saved, as stand-ins: several pickles, then the numbers."""
    stream = io.BytesIO(data)
    pieces: dict[str, bytes] = {}
    kinds: dict[str, str] = {}

    def storage(pid: Any) -> _Storage:
        kind, key, count = _storage_of(pid)
        kinds[key] = kind
        return _Storage(kind, count, "<", lambda: pieces.get(key, b""))

    magic, _, machine = (load(stream, None) for _ in range(3))
    if magic != _LEGACY_MAGIC:
        raise SourceFormatError("not what torch.save writes: its first number is another one")
    if not isinstance(machine, Mapping) or machine.get("little_endian") is not True:
        raise SourceFormatError("saved on a machine whose numbers run the other way: save it again")
    content = load(stream, storage)
    for key in load(stream, None) or ():
        if key not in kinds:
            refuse("a storage that nothing refers to")
        (count,) = struct.unpack("<q", _exactly(stream, 8))
        itemsize = 2 if kinds[key] == _BFLOAT16 else np.dtype(kinds[key]).itemsize
        pieces[key] = _exactly(stream, count * itemsize)
    return content


def _exactly(stream: io.BytesIO, size: int) -> bytes:
    if not 0 <= size <= MAX_BYTES:
        raise TooLargeError(f"a storage of {size} bytes is announced")
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("it ends in the middle")
    return data


def _storage_of(pid: Any) -> tuple[str, str, int]:
    """Return kind, key and count of a storage that a pickle refers to."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
        refuse("an object outside of the file")
    kind, key, count = pid[1], pid[2], pid[4]
    if not isinstance(kind, _StorageType) or not isinstance(key, str):
        refuse("a storage")
    if len(pid) > 5 and pid[5] is not None:
        refuse("a view of a storage")
    return kind.kind, key, _whole((count,), "the size of a storage")[0]


def archive_content(path: str | Path, loads: Callable[[bytes, str, Callable[[Any], Any]], Any]) -> Any:
    """Return what a zip of ``torch.save`` holds.

    Args:
        path: the file.
        loads: reads a pickle, given what makes a storage of a reference to one.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: if it is no such zip, or damaged.
        UnsafePickleError: if the pickle refers to anything but tensors, arrays and plain containers.
    """
    file = checked_file(path)
    with reading.ArrayFile(file, SourceFormatError) as archive:
        names = set(archive.names)
        index = next((name for name in names if name.rpartition("/")[2] == "data.pkl"), None)
        if index is None:
            some = ", ".join(sorted(names)[:5])
            raise SourceFormatError(f"{file}: not what torch.save writes: no data.pkl in it, but {some}")
        if any(name.rpartition("/")[2] in ("constants.pkl", "model.json") for name in names):
            raise SourceFormatError(f"{file}: a TorchScript program, which is a model and no result")
        root = index[: -len("data.pkl")]
        order = archive.data(f"{root}byteorder") if f"{root}byteorder" in names else b"little"

        def storage(pid: Any) -> _Storage:
            kind, key, count = _storage_of(pid)
            name = f"{root}data/{key}"
            if name not in names:
                refuse("a storage that is not in the file")
            return _Storage(kind, count, ">" if bytes(order) == b"big" else "<", lambda: archive.data(name))

        return loads(bytes(archive.data(index)), str(file), storage)
