"""Compiled kernels on disk: one file a signature, believed only if it is whole and of these very sources.

numba's own cache raises where it finds no folder, an incomplete file or a full disk, and compares only the
source of the function itself: a change in a function that was inlined into it goes unseen. Here a file that
is not exactly what was written for the sources of today is compiled anew, and a folder that cannot be used is
done without, with one warning.

The files hold machine code, in numba's serialised form (a pickle). They are therefore read only from folders
that nobody but the user, or whoever installed the package, writes to.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy
from numba.core import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

_DIGEST = 32  # bytes of a SHA-256
_PACKAGE = Path(__file__).resolve().parents[1]


class DiskCache(NullCache):
    """What numba asks for a compiled function and gives one to keep; never raises for a bad file or folder.

    Args:
        function: the Python function that is compiled.
    """

    def __init__(self, function: Any) -> None:
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"

    @property
    def cache_path(self) -> str | None:
        """Folder of the cache; None where nothing can be kept."""
        folder = cache_folder()
        return None if folder is None else str(folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function for the argument types ``sig``, or None if it has to be compiled."""
        target_context.refresh()
        folder = _folder_or_warning()
        if folder is None:
            return None
        try:
            data = self._path(folder, sig, target_context.codegen()).read_bytes()
        except OSError:
            return None
        digest, payload = data[:_DIGEST], data[_DIGEST:]
        if digest != _digest(payload):
            return None  # truncated, damaged, or of other sources
        return CompileResult._rebuild(target_context, *pickle.loads(payload))  # noqa: S301  our own file

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, in one step: a reader sees all of the file or nothing."""
        folder = cache_folder()
        if folder is None:
            return
        payload = dumps(data._reduce())
        path = self._path(folder, sig, data.codegen)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(_digest(payload) + payload)
            partial.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            _warn_of_recompiling(f"{folder}: {error.strerror or error}")

    def _path(self, folder: Path, sig: Any, codegen: Any) -> Path:
        """Named by function, Python, processor and argument types."""
        key = repr((sys.implementation.cache_tag, codegen.magic_tuple(), tuple(map(str, sig))))
        return folder / f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.kernel"


def _digest(payload: bytes) -> bytes:
    return hashlib.sha256(_sources() + payload).digest()


@cache
def _sources() -> bytes:
    """Return a digest of all that compiled code depends on: sources of kernels and what they import,
    compilers.
    """
    versions = (numba.__version__, llvmlite.__version__, numpy.__version__)
    total = hashlib.sha256(repr(versions).encode())
    for path in kernel_sources():
        total.update(hashlib.sha256(path.name.encode() + b"\0" + path.read_bytes()).digest())
    return total.digest()


def kernel_sources() -> list[Path]:
    """Return the files that hold kernels. They import from each other alone, so nothing else changes the
    code.
    """
    geometry = (_PACKAGE / "geometry" / "cpu").glob("*.py")
    found = [path for path in geometry if path.name not in ("__init__.py", "backend.py")]
    found.append(_PACKAGE / "geometry" / "constants.py")
    found += [path for room in ("numerics", "bodies") for path in (_PACKAGE / room).glob("*_cpu.py")]
    return sorted([*found, _PACKAGE / "numerics" / "jit.py", _PACKAGE / "numerics" / "disk_cache.py"])


@cache
def cache_folder() -> Path | None:
    """Return the first folder that can be written to. None if there is none, or if the sources cannot be
    read.

    In this order: NUMBA_CACHE_DIR, beside the kernels, the user's cache, a folder of the user alone in the
    temporary directory.
    """
    if not Path(__file__).is_file():
        return None  # without sources (a zip file, compiled modules only) nothing tells old code from new
    return next((folder for folder in _candidates() if _can_be_written(folder)), None)


def _candidates() -> Iterator[Path]:
    # folders that several installations may share hold one for each
    own = f"apu_losses-{hashlib.sha256(str(_PACKAGE).encode()).hexdigest()[:12]}"
    chosen: str = getattr(config, "CACHE_DIR", "")  # of NUMBA_CACHE_DIR
    if chosen:
        yield Path(chosen) / own
    yield Path(__file__).parent / "__pycache__"
    yield Path(AppDirs(appname="numba", appauthor=False).user_cache_dir) / own
    private = _private_temporary_folder()
    if private is not None:
        yield private / own


def _private_temporary_folder() -> Path | None:
    """Return a folder that only this user can enter: anybody may write to the temporary directory itself."""
    if not hasattr(os, "getuid"):
        return Path(tempfile.gettempdir()) / "apu-losses"  # Windows: the directory is the user's own
    try:
        folder = Path(tempfile.gettempdir()) / f"apu-losses-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if private else None


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))  # a full disk lets files be made, but not filled
    except OSError:
        return False
    return True


def _folder_or_warning() -> Path | None:
    folder = cache_folder()
    if folder is None:
        tried = ", ".join(map(str, _candidates()))
        _warn_of_recompiling(f"none of these folders can be written to: {tried}")
    return folder


@cache
def _warn_of_recompiling(cause: str) -> None:
    """Say it once a process and cause."""
    warnings.warn(
        f"compiled kernels cannot be kept on disk, so every process compiles them anew, half a minute each "
        f"time ({cause}). Set NUMBA_CACHE_DIR to a folder that can be written to",
        RuntimeWarning,
        stacklevel=2,
    )
