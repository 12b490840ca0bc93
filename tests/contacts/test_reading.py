"""The guarded doors: what a file may cost, and what it is called when it is not read."""

from __future__ import annotations

import collections
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apu_contacts.reading import arrays, json_lines, json_text, parse_json, read_array, read_arrays, read_json
from apu_contacts.sources import SourceFormatError, UnsafePickleError, _numpy_pickle
from apu_contacts.sources._numpy_pickle import loads


class OwnError(ValueError):
    """The error of whoever reads."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested 100000 deep"),
        ('{"a":' * 5000, "nested 5000 deep"),
        ('{"a": [1, 1e999]}', r"a\[1\]: must be a finite number"),
        ('{"a": NaN}', "a: must be a finite number"),
        ('{"a": 1' + "0" * 400 + "}", "a: a number of 1329 bits is huge"),
        ('{"a": 1e300}', "a: the number 1e.300 is huge"),
        ('["\\ud800"]', "half of a surrogate pair"),
        ("<html>", "a web page"),
        ("", "an empty file"),
    ],
)
def test_json_that_costs_too_much_or_is_none(text: str, message: str) -> None:
    with pytest.raises(OwnError, match=message):
        parse_json(text, "file.json", OwnError)


def test_json_is_measured_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MAX_MEMORY", 1 << 20)
    with pytest.raises(OwnError, match="would take 2 MiB of memory"):
        parse_json("[" + "[]," * 10_000 + "[]]", "file.json", OwnError)


def test_brackets_in_strings_are_text() -> None:
    content = {"text": '[{"' * 5000 + "\\" * 33, "é": "\u2028"}
    for ascii_only in (True, False):
        assert parse_json(json.dumps(content, ensure_ascii=ascii_only), "x") == content


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_byte_order_marks_and_other_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('{"name": "Zoë"}'.encode(encoding))
    assert read_json(path) == {"name": "Zoë"}


def test_only_a_line_feed_ends_a_line() -> None:
    rows = [{"name": "a\u2028b\u2029c\x85d"}, {"name": "e"}]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"
    assert [(n, json.loads(line)) for n, line in json_lines(text)] == [(1, rows[0]), (2, rows[1])]


def archive(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return stream


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_arrays_come_back_as_numpy_reads_them() -> None:
    written = {
        "plain": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4"),
        "text": np.array(["a", "bc"]),
        "scalar": np.float32(2.5),
        "nobody": np.zeros((0, 3)),
        "flags": np.array([True, False]),
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, **written)
    for name, array in read_arrays(stream).items():
        assert array.dtype == np.asarray(written[name]).dtype and np.array_equal(array, written[name])


def test_sizes_are_summed_over_the_file_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MAX_BYTES", 1 << 20)
    small = npy(np.zeros(20_000))  # each is a sixth of what the file may take
    with pytest.raises(OwnError, match=r"would take 1\d{6} bytes together"):
        read_arrays(archive({f"{k}.npy": small for k in range(8)}), OwnError)


def test_archives_that_numpy_does_not_write() -> None:
    with pytest.raises(OwnError, match="packed by method 14"):
        read_arrays(archive({"a.npy": npy(np.ones(3))}, zipfile.ZIP_LZMA), OwnError)
    with pytest.raises(OwnError, match=r"pickled objects.*nothing was run"):
        read_arrays(archive({"a.npy": npy(np.array([None], dtype=object))}), OwnError)
    lying = npy(np.ones(3)).replace(b"(3,), }        ", b"(9999999999,), }")
    with pytest.raises(OwnError, match=r"shape .9999999999,. of float64 takes"):
        read_arrays(archive({"a.npy": lying}), OwnError)


def test_a_header_is_read_as_text_and_not_as_python(tmp_path: Path) -> None:
    header = b"(" * 5000
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(OwnError, match="its header is"):
        read_array(tmp_path / "a.npy", OwnError)


def shared(times: int, base: Any, wrap: Any) -> Any:
    for _ in range(times):
        base = wrap(base)
    return base


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(shared(10, [0], lambda x: [x] * 10)),
        pickle.dumps(shared(60, {"a": 1}, lambda x: {"a": x, "b": x})),
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 33) + b".",
        b"L" + b"9" * 100_000 + b"L\n.",
        b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".",
    ],
    ids=["lists", "dictionaries", "bytes", "digits", "depth"],
)
def test_pickles_that_would_grow_or_not_end(data: bytes) -> None:
    with pytest.raises(SourceFormatError):
        loads(data)


def test_instructions_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_numpy_pickle, "MAX_STEPS", 10_000)
    with pytest.raises(SourceFormatError, match="more than 10000 instructions"):
        loads(b"\x80\x02(" + b"}" * 11_000 + b"l.")


def test_keys_that_hash_for_ever_are_refused() -> None:
    key = pickle.dumps(shared(60, ("x",), lambda x: (x, x)), 2)[2:-1]
    with pytest.raises(UnsafePickleError, match="a key"):
        loads(b"\x80\x02}" + key + b"K\x01s.")


@pytest.mark.parametrize("data", [b"\x80\x02Nr\x00\x00\x00\x10.", b"Np200000000\n."])
def test_a_high_place_in_the_memo_takes_no_room(data: bytes) -> None:
    assert loads(data) is None


@pytest.mark.parametrize("protocol", range(6))
def test_containers_of_the_standard_library(protocol: int) -> None:
    nested: Any = collections.defaultdict(dict)
    nested["a"]["x"] = np.arange(3)
    content = {
        "ordered": collections.OrderedDict(b=1, a=2.5),
        "default": nested,
        "path": Path("a") / "b",
        "set": {"y", "x"},
        "frozen": frozenset({2, 1}),
    }
    found = loads(pickle.dumps(content, protocol))
    assert found["ordered"] == {"b": 1, "a": 2.5} and type(found["ordered"]) is dict
    assert found["default"]["a"]["x"].tolist() == [0, 1, 2]
    assert (found["path"], found["set"], found["frozen"]) == (str(Path("a") / "b"), ["x", "y"], [1, 2])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04rest", "torch.save"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x78\x9c\x01", "joblib"),
        (b"BZh91AY", "bzip2"),
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
    ],
)
def test_files_that_are_no_pickles_are_named(data: bytes, words: str) -> None:
    with pytest.raises(SourceFormatError, match=words):
        loads(data)
