"""JSON of others: bounded in size, depth and numbers before anything is built of it."""

from __future__ import annotations

import codecs
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts.reading.kinds import looks_like

MAX_BYTES = 1 << 28
"""Longest text that is parsed; a file of one image has a few hundred kilobytes."""
MAX_MEMORY = 1 << 30
"""What the parsed values may take by an upper estimate: 198 MB of ``[]`` would take 4.8 GB."""
MAX_DEPTH = 100
"""Lists and objects inside each other; the deepest file that is read here has 8."""
MAX_NUMBER = 1e18
"""Numbers beyond are no pixels, metres or ids, and overflow in products."""

_PER_CONTAINER, _PER_VALUE = 240, 40  # bytes of Python's objects: an object with one entry; a float in a list
_BLOCK = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
Error = type[ValueError]


def read_bytes(path: str | Path, error: Error = ValueError, *, limit: int = MAX_BYTES) -> bytes:
    """Return the bytes of a file that is not longer than ``limit``.

    Raises:
        FileNotFoundError: if there is no such file.
        error: if it is a folder, may not be read, or is longer.
    """
    file = Path(path)
    try:
        size = file.stat().st_size
        data = file.read_bytes() if size <= limit else None
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as fault:  # ValueError: a path with a null character
        why = "is a folder, not a file" if file.is_dir() else f"cannot be read: {_words(fault)}"
        raise error(f"{file}: {why}") from None
    if data is None:
        raise error(f"{file}: {size} bytes are more than the {limit} that are read; is it the right file?")
    return data


def unpacked(data: bytes, where: str, error: Error = ValueError, *, limit: int = MAX_BYTES) -> bytes:
    """Return the bytes behind zlib or gzip; those that are packed by neither as they are.

    Raises:
        error: if they are damaged, or would take more than ``limit``.
    """
    if data[:2] not in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b"):
        return data
    engine = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        found = engine.decompress(data, limit + 1)
    except zlib.error as fault:
        raise error(f"{where}: damaged ({fault}); is the download complete?") from None
    if len(found) > limit:
        raise error(f"{where}: would unpack to more than {limit} bytes: is it the right file?")
    if not engine.eof:
        raise error(f"{where}: damaged (it ends in the middle); is the download complete?")
    return found


def _words(fault: BaseException) -> str:
    return (getattr(fault, "strerror", None) or str(fault)).lower()


def decode_text(data: bytes, where: str, error: Error = ValueError) -> str:
    """Text in UTF-8, or in what its byte order mark says: Notepad and PowerShell write one.

    Raises:
        error: if it is no such text; the message says what it looks like.
    """
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in data[:4]:
        encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as fault:
        likely = looks_like(data)
        raise error(f"{where}: no text in UTF-8 ({likely or fault})") from None


def read_text(path: str | Path, error: Error = ValueError, *, limit: int = MAX_BYTES) -> str:
    """Return the text of a file; as `read_bytes` and `decode_text`."""
    return decode_text(read_bytes(path, error, limit=limit), str(path), error)


def read_json(
    path: str | Path, error: Error = ValueError, *, finite: bool = True, checked: bool = True
) -> Any:
    """Return what a JSON file holds; as `read_bytes` and `parse_json`."""
    return parse_json(read_bytes(path, error), str(path), error, finite=finite, checked=checked)


def json_lines(text: str) -> Iterator[tuple[int, str]]:
    """Return the lines of JSON lines that are not blank, with their numbers from 1.

    Only a line feed ends a line: U+2028, U+2029 and U+0085, at which Python's ``splitlines`` cuts too, may
    stand in a JSON string.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def read_json_lines(path: str | Path, error: Error = ValueError) -> Iterator[tuple[int, str]]:
    """Return the lines of a file, as `read_text` and `json_lines`."""
    return json_lines(read_text(path, error, limit=4 * MAX_BYTES))


def parse_json(
    data: str | bytes, where: str, error: Error = ValueError, *, finite: bool = True, checked: bool = True
) -> Any:
    """Return a JSON document.

    Args:
        data: the text, or its bytes in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.
        where: what to call it in messages.
        error: what is raised.
        finite: refuse NaN and Infinity, which Python's writer leaves; False: they stay as they are.
        checked: False: look at size and depth only, and let every value stand. For lines and records of our
            own, and for replies of servers, which are looked at entry by entry where they are used.

    Raises:
        error: if it is no JSON, nested deeper than `MAX_DEPTH`, larger than `MAX_BYTES` or `MAX_MEMORY`
            allow; or if it holds a number beyond `MAX_NUMBER`, half of a surrogate pair, or an object with
            two values of one name. The place is named.
    """
    text = decode_text(data, where, error) if isinstance(data, bytes) else data.removeprefix("\ufeff")
    _check_cost(text, where, error)
    try:
        content = json.loads(text, object_pairs_hook=_each_name_once if checked else None)
    except json.JSONDecodeError as fault:
        likely = looks_like(text[:40].encode("utf-8", "replace"))
        hint = f"; it looks like {likely}" if likely else ""
        raise error(
            f"{where}: not JSON, line {fault.lineno} column {fault.colno}: {fault.msg}{hint}"
        ) from None
    except (ValueError, RecursionError) as fault:  # an integer of thousands of digits
        raise error(f"{where}: not JSON: {str(fault)[:200]}") from None
    wrong = _first_fault(content, finite) if checked else ""
    if wrong:
        raise error(f"{where}: {wrong}")
    return content


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; Python would let the last of two values win, in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for name, value in pairs:
            if found[name] != value:
                raise ValueError(f"two values of the name {name[:40]!r} in one object: which one is meant?")
    return found


def _check_cost(text: str, where: str, error: Error) -> None:
    """Refuse what would be too deep or too large once parsed, from the text alone."""
    if len(text) > 4 * MAX_BYTES:
        raise error(f"{where}: {len(text)} characters are more than the {4 * MAX_BYTES} that are read")
    # without escapes, each quotation mark begins or ends a string
    plain = text.replace("\\\\", "").replace('\\"', "")
    depth = deepest = containers = commas = 0
    inside = False
    for start in range(0, len(plain), _BLOCK):
        block = plain[start : start + _BLOCK].encode("latin-1", "replace")
        codes = np.frombuffer(block, np.uint8)
        quoted = np.logical_xor.accumulate(np.append(inside, codes == 0x22))[1:]
        inside = bool(quoted[-1])
        outside = codes[~quoted]
        opens = (outside == 0x5B) | (outside == 0x7B)
        steps = opens.astype(np.int8) - ((outside == 0x5D) | (outside == 0x7D)).astype(np.int8)
        levels = depth + np.cumsum(steps[steps != 0], dtype=np.int64)
        if levels.size:
            depth, deepest = int(levels[-1]), max(deepest, int(levels.max()))
        containers += int(opens.sum())
        commas += int((outside == 0x2C).sum())
    if deepest > MAX_DEPTH:
        raise error(f"{where}: lists and objects are nested {deepest} deep, {MAX_DEPTH} are read")
    cost = 2 * len(text) + _PER_CONTAINER * containers + _PER_VALUE * commas
    if len(text) > MAX_BYTES or cost > MAX_MEMORY:
        raise error(
            f"{where}: {len(text)} characters with {containers} lists or objects would take "
            f"{cost >> 20} MiB of memory, {MAX_MEMORY >> 20} are allowed; is it the right file?"
        )


def _first_fault(content: Any, finite: bool) -> str:
    """Says where the first value is that nobody can use; empty if there is none."""
    path: list[Any] = []
    if said := _fault(content, finite):
        return f"the value {said}"
    stack = [_items(content)]
    while stack:
        for key, value in stack[-1]:
            if isinstance(key, str) and not _encodes(key):
                return f"{_place(path)}: a key is no text: it holds half of a surrogate pair"
            if isinstance(value, list | dict):
                path.append(key)
                stack.append(_items(value))
                break
            if said := _fault(value, finite):
                return f"{_place([*path, key])}: {said}"
        else:
            stack.pop()
            if path:
                path.pop()
    return ""


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return iter(enumerate(value)) if isinstance(value, list) else iter(())


def _fault(value: Any, finite: bool) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            return f"must be a finite number, got {value}" if finite else ""
        return "" if -MAX_NUMBER <= value <= MAX_NUMBER else f"the number {value:g} is huge: damaged?"
    if isinstance(value, int):
        if -(1 << 63) < value < 1 << 63:
            return ""
        return f"a number of {value.bit_length()} bits is huge: damaged?"
    if isinstance(value, str) and not _encodes(value):
        return "is no text: it holds half of a surrogate pair"
    return ""


def _encodes(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(path: list[Any]) -> str:
    said = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    said = said if len(said) <= 120 else said[:117] + "..."
    return said.encode("ascii", "backslashreplace").decode() if not _encodes(said) else said
