"""NumPy's ``.npz`` and ``.npy``: sizes are summed over the file before anything is unpacked."""

from __future__ import annotations

import math
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from apu_contacts.reading.json_text import Error, read_bytes
from apu_contacts.reading.kinds import looks_like

MAX_BYTES = 1 << 30
"""What all arrays of one file may take together."""
MAX_ENTRIES = 10_000
MAX_RATIO = 1100
"""Deflate packs at most 1032 to 1: a file that claims more has entries that share their bytes."""

_MAX_HEADER = 1 << 16
_CHUNK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DESCR = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=]?[?biufcSUVOmM][0-9]*)['"]""")
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([0-9L,\s]*)\)""")
Objects = Callable[[bytes, str], Any]
"""Reads the pickle of an array of objects, given its bytes and what to call it."""


class ArrayFile:
    """The arrays of an ``.npz`` by name, each unpacked when asked for; a context manager.

    Args:
        source: path of the file, or an open binary file.
        error: what is raised.
        where: what to call it in messages; the path where it is not given.
        objects: reads arrays of objects; None refuses them.

    Raises:
        FileNotFoundError: if there is no such file.
        error: if it is no zip, its entries take more than `MAX_BYTES` together, or are packed in a way that
            NumPy does not.
    """

    def __init__(
        self,
        source: str | Path | IO[bytes],
        error: Error = ValueError,
        *,
        where: str | None = None,
        objects: Objects | None = None,
    ) -> None:
        self._error, self._objects = error, objects
        self.where = where or (str(source) if isinstance(source, str | Path) else "the archive")
        if isinstance(source, str | Path) and Path(source).is_dir():
            raise error(f"{self.where}: is a folder, not a file")
        try:
            self._zip = zipfile.ZipFile(source)
        except FileNotFoundError:
            raise
        except Exception as fault:  # a damaged zip fails in any way that its fields can be misused
            likely = _likely(source)
            raise error(
                f"{self.where}: not an .npz archive ({likely or fault}); is the download complete?"
            ) from None
        self._entries = {info.filename.removesuffix(".npy"): info for info in self._zip.infolist()}
        try:
            self._check()
        except BaseException:
            self._zip.close()
            raise

    def _check(self) -> None:
        entries = self._zip.infolist()
        if len(entries) > MAX_ENTRIES:
            raise self._error(f"{self.where}: {len(entries)} entries are more than {MAX_ENTRIES}")
        total, packed = sum(e.file_size for e in entries), _length(self._zip)
        if total > MAX_BYTES:
            raise self._error(
                f"{self.where}: its arrays would take {total} bytes together, {MAX_BYTES} are allowed"
            )
        if packed and total > MAX_RATIO * packed:
            raise self._error(
                f"{self.where}: {packed} bytes would unpack to {total}, more than can be packed: damaged?"
            )
        for entry in entries:
            if entry.flag_bits & 1:
                raise self._error(f"{self.where}: {entry.filename} is encrypted")
            if entry.compress_type not in _METHODS:
                raise self._error(
                    f"{self.where}: {entry.filename} is packed by method {entry.compress_type}; NumPy's "
                    "archives are stored or deflated"
                )

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays, in the order of the file."""
        return tuple(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Any:
        """One array.

        Raises:
            KeyError: if there is none of that name.
            error: if it is damaged, or holds objects that are not read.
        """
        where = f"{self.where}/{self._entries[name].filename}"
        return _array(self.data(name), where, self._error, self._objects)

    def data(self, name: str) -> bytearray:
        """Return the bytes of an entry, whatever it is.

        Raises:
            KeyError: if there is none of that name.
            error: if it is damaged.
        """
        entry = self._entries[name]
        where = f"{self.where}/{entry.filename}"
        data = bytearray()
        try:
            with self._zip.open(entry) as stream:
                # piece by piece: a size that lies must not make the whole be unpacked at once
                while piece := stream.read(_CHUNK):
                    data += piece
        except Exception as fault:
            raise self._error(f"{where}: damaged ({fault}); is the download complete?") from None
        return data


def read_arrays(
    source: str | Path | IO[bytes], error: Error = ValueError, *, objects: Objects | None = None
) -> dict[str, Any]:
    """All arrays of an ``.npz``; arguments and errors as `ArrayFile`."""
    with ArrayFile(source, error, objects=objects) as archive:
        return {name: archive[name] for name in archive.names}


def read_array(path: str | Path, error: Error = ValueError, *, objects: Objects | None = None) -> Any:
    """Return what an ``.npy`` holds.

    Raises:
        FileNotFoundError: if there is no such file.
        error: if it is larger than `MAX_BYTES`, no array, damaged, or holds objects that are not read.
    """
    return _array(bytearray(read_bytes(path, error, limit=MAX_BYTES)), str(path), error, objects)


def _likely(source: str | Path | IO[bytes]) -> str:
    try:
        if isinstance(source, str | Path):
            with Path(source).open("rb") as stream:
                head = stream.read(64)
        else:
            source.seek(0)
            head = source.read(64)
    except Exception:
        return ""
    return "" if head.startswith(b"PK") else looks_like(head)


def _length(archive: zipfile.ZipFile) -> int:
    stream = archive.fp
    if stream is None:
        return 0
    place = stream.tell()
    length = stream.seek(0, 2)
    stream.seek(place)
    return int(length)


def _array(data: bytearray, where: str, error: Error, objects: Objects | None) -> Any:
    wrong = f"{where}: not a NumPy array"
    if data[:6] != b"\x93NUMPY" or len(data) < 10:
        likely = looks_like(bytes(data[:64]))
        raise error(f"{wrong}: it does not begin as one" + (f"; it looks like {likely}" if likely else ""))
    wide = data[6] >= 2
    start = 12 if wide else 10
    if data[6] not in (1, 2, 3) or len(data) < start:
        raise error(f"{wrong}: version {data[6]}.{data[7]} is not known")
    (length,) = struct.unpack_from("<I" if wide else "<H", data, 8)
    if length > _MAX_HEADER or start + length > len(data):
        raise error(f"{wrong}: its header is cut off or too long: damaged?")
    header = bytes(data[start : start + length]).decode("latin-1")
    found = [pattern.search(header) for pattern in (_DESCR, _ORDER, _SHAPE)]
    if found[0] is None or found[1] is None or found[2] is None:
        raise error(f"{wrong} of plain numbers, text or objects: its header is {header.strip()[:120]!r}")
    descr, order, shape = (match.group(1) for match in found if match is not None)
    body = memoryview(data)[start + length :]
    if "O" in descr:
        if objects is None:
            raise error(f"{where}: holds pickled objects, expected numbers; nothing was run")
        return objects(bytes(body), where)
    try:
        sizes = tuple(int(n.strip().rstrip("L")) for n in shape.split(",") if n.strip())
        dtype = np.dtype(descr)
        count = math.prod(sizes)
        if count * dtype.itemsize != len(body) and not (count == 0 and dtype.itemsize):
            raise ValueError(
                f"shape {sizes} of {dtype} takes {count * dtype.itemsize} bytes, {len(body)} are there"
            )
        flat = np.frombuffer(body, dtype, count)
        return flat.reshape(sizes, order="F" if order == "True" else "C")
    except Exception as fault:  # a dtype or a shape that NumPy cannot make
        raise error(f"{wrong}: {str(fault)[:200]}; damaged?") from None
