"""Weights from a path or an address, kept once fetched, checked against a hash where one is given."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import ssl
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urldefrag, urlparse
from urllib.request import Request, urlopen

FOLDER_VARIABLE = "APU_WEIGHTS"
MOST_BYTES = 2 << 30
"""What a network may weigh: an ONNX file cannot be larger. No server and no archive fills a disk."""
_CHUNK = 1 << 20


class WeightsError(ValueError):
    """Weights that are not there, cannot be fetched, or are not what was asked for."""


def weights_folder() -> Path:
    """Where fetched weights are kept: ``$APU_WEIGHTS``, or ``apu-losses/weights`` in the user's cache."""
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE])
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "apu-losses" / "weights"


def fetch_weights(
    source: str | Path,
    *,
    folder: str | Path | None = None,
    progress: Callable[[float, str], None] | None = None,
    timeout: float = 60.0,
) -> Path:
    """Return the ``.onnx`` file that a path or an address names.

    An address ends in ``.onnx``, or in ``.zip`` with one such file in it. It is fetched by this machine the
    first time, and taken from ``folder`` from then on. ``#sha256=`` and 64 hex digits behind a path or an
    address are the hash that the file itself (the ``.zip``, not what is in it) must have. Without, nothing
    but the connection says that it is the right one; the publishers' pages state no hashes.

    Args:
        source: path, or ``https://`` or ``http://`` address, with or without ``#sha256=...``.
        folder: where fetched files are kept; `weights_folder` if None.
        progress: called with the share of the bytes that are there, 0 to 1, and the file's name.
        timeout: seconds for each wait for the server.

    Raises:
        WeightsError: no such file; the server cannot be reached; another hash than the one given; a
            ``.zip`` with none or several ``.onnx`` in it; what came is neither, or too large. Nothing of
            what was refused is kept.
    """
    address, digest = _wanted(str(source))
    kept = Path(folder) if folder is not None else weights_folder()
    if urlparse(address).scheme not in ("http", "https"):
        file = Path(address)
        if not file.is_file():
            raise WeightsError(f"{file}: no such file; expected weights, as .onnx or a .zip with one in it")
        _check(file, digest, str(file))
    else:
        # by the whole address, since every export of a tool is called end2end.onnx
        name = Path(urlparse(address).path).name
        key = hashlib.sha256(address.encode()).hexdigest()[:12]
        file = kept / f"{key}-{name}"
        if not file.is_file() or _no_network(file) is not None:
            _download(address, file, digest, progress, timeout)
        else:
            _check(file, digest, f"{file} (kept from {address})")
    return _unpacked(file, kept) if file.suffix.lower() == ".zip" else file


def _wanted(source: str) -> tuple[str, str | None]:
    address, fragment = urldefrag(source)
    if not fragment:
        return source, None
    kind, _, digest = fragment.partition("=")
    if kind != "sha256":
        return source, None  # a path may have a # in it
    digest = digest.lower()
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise WeightsError(f"{source}: sha256 must be 64 hex digits, got {len(digest)} characters")
    return address, digest


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            found.update(block)
    return found.hexdigest()


def _check(path: Path, digest: str | None, what: str) -> None:
    if digest is not None and (found := _digest(path)) != digest:
        raise WeightsError(f"{what}: sha256 is {found}, expected {digest}: another file, or a damaged one")


def _no_network(file: Path) -> str | None:
    """Why a file with the ending of a network, or of an archive with one, is none; None if it is one.

    A login page or an error in place of the file has its name and not its content.
    """
    if file.suffix.lower() == ".zip":
        return None if zipfile.is_zipfile(file) else f"no .zip archive: it starts with {_start_of(file)}"
    return None if _is_onnx(file) else f"no ONNX file, or a part of one: it starts with {_start_of(file)}"


def _start_of(file: Path) -> str:
    with file.open("rb") as stream:
        return repr(stream.read(40).decode("latin-1"))


def _is_onnx(file: Path) -> bool:
    """Whether a file is one whole protocol buffer that has a graph where ONNX has it (field 7).

    ONNX has no magic bytes; so its outermost fields are walked, without reading what is in them.
    """
    size, graph = file.stat().st_size, False
    with file.open("rb") as stream:
        while stream.tell() < size:
            tag = _varint(stream)
            if tag is None:
                return False
            field, kind = tag >> 3, tag & 7
            length = {1: 8, 5: 4}.get(kind)
            if kind in (0, 2):
                number = _varint(stream)
                if number is None:
                    return False
                length = number if kind == 2 else 0
            if length is None or field == 0 or stream.tell() + length > size:
                return False
            graph |= field == 7 and kind == 2
            stream.seek(length, os.SEEK_CUR)
    return graph


def _varint(stream: BinaryIO) -> int | None:
    """Return the next variable-length number; None where there is none."""
    number = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            return None
        number |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return number
    return None


def _too_large(address: str, size: int) -> WeightsError:
    return WeightsError(
        f"{address}: more than {size >> 20} MB, and a network has at most {MOST_BYTES >> 20}: is this the "
        "right file?"
    )


def _download(
    address: str,
    target: Path,
    digest: str | None,
    progress: Callable[[float, str], None] | None,
    timeout: float,
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # the scheme was checked by the caller
    request = Request(address, headers={"User-Agent": "apu-losses"})  # noqa: S310
    handle, partial_name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix
    )
    partial = Path(partial_name)
    try:
        with os.fdopen(handle, "wb") as stream, urlopen(request, timeout=timeout) as answer:  # noqa: S310
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            if total > MOST_BYTES:
                raise _too_large(address, total)
            while block := answer.read(_CHUNK):
                if done + len(block) > MOST_BYTES:
                    raise _too_large(address, done)
                stream.write(block)
                done += len(block)
                if progress is not None and total:
                    progress(min(done / total, 1.0), f"fetching {target.name.partition('-')[2]}")
        if total and done != total:
            raise WeightsError(f"{address}: the connection ended after {done} of {total} bytes; try again")
        _check(partial, digest, address)
        if (why := _no_network(partial)) is not None:
            raise WeightsError(
                f"{address}: what came is {why}. Nothing was kept. Is it the login page of this network, or "
                "an error that the server reports as a file?"
            )
        partial.replace(target)
    except (URLError, OSError) as error:
        raise WeightsError(
            f"{address}: the weights cannot be fetched: {_why(error, address, timeout)}. Fetch the file "
            f"where there is a connection, and save it as {target}, or give its path instead of the address "
            "(apu detect: --person-weights, --pose-weights)"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _why(error: OSError, address: str, timeout: float) -> str:
    """Return what went wrong, in words: "[Errno -2] Name or service not known" says little to most people."""
    host = urlparse(address).netloc
    if isinstance(error, HTTPError):
        return f"{host} answered {error.code} ({error.reason})"
    cause = getattr(error, "reason", error)  # what urllib wraps
    if isinstance(cause, socket.gaierror):
        return f"{host} is unknown to this machine, which has no connection or no name server"
    if isinstance(cause, ssl.SSLError):
        return f"{host} has no certificate that this machine trusts ({getattr(cause, 'reason', cause)})"
    if isinstance(cause, TimeoutError):
        return f"{host} did not answer within {timeout:g} seconds"
    if isinstance(cause, ConnectionError):
        return f"{host} refused or closed the connection"
    return str(getattr(cause, "strerror", None) or cause)


def _unpacked(archive: Path, folder: Path) -> Path:
    """Return the one ``.onnx`` of an archive, written into ``folder`` by the archive's own hash."""
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [m for m in packed.namelist() if m.lower().endswith(".onnx")]
            if len(members) != 1:
                raise WeightsError(
                    f"{archive}: expected one .onnx in it, found {', '.join(members) or 'none'}; unpack it "
                    "and give the path of the right one"
                )
            target = folder / f"{_digest(archive)[:12]}-{Path(members[0]).name}"
            if target.is_file() and target.stat().st_size == packed.getinfo(members[0]).file_size:
                return target
            if packed.getinfo(members[0]).file_size > MOST_BYTES:
                raise _too_large(f"{archive}: {members[0]}", packed.getinfo(members[0]).file_size)
            folder.mkdir(parents=True, exist_ok=True)
            handle, partial_name = tempfile.mkstemp(dir=folder, prefix=f".{target.name}.")
            partial = Path(partial_name)
            try:
                with os.fdopen(handle, "wb") as stream, packed.open(members[0]) as inside:
                    shutil.copyfileobj(inside, stream)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{archive}: {error}") from error
    return target
