"""The pickle reader: what NumPy writes comes back, and nothing else is even looked at."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apu_contacts.sources import SourceFormatError, SourceMissingError, UnsafePickleError, read_numpy_pickle
from apu_contacts.sources._numpy_pickle import loads, read_npz

RAN: list[str] = []


def sentinel(text: str = "ran") -> str:
    RAN.append(text)
    return text


class Calls:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.args


def content() -> dict[str, Any]:
    generator = np.random.default_rng(0)
    return {
        "f4": generator.normal(size=(5, 71, 3)).astype(np.float32),
        "i8": np.arange(7),
        "empty": np.zeros((0, 3), np.float32),
        "fortran": np.asfortranarray(generator.normal(size=(3, 4))),
        "big-endian": np.arange(5, dtype=">i4"),
        "bool": np.array([True, False]),
        "scalar array": np.array(2.5),
        "scalar": np.array([np.float32(3.5)])[0],
        "text array": np.array(["left", "right hand"]),
        "nested": [{"a": (1, 2.5, None, "text", b"bytes")}],
    }


def assert_same(a: Any, b: Any) -> None:
    if isinstance(b, np.ndarray):
        assert (
            isinstance(a, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b) and a.shape == b.shape
        )
    elif isinstance(b, dict):
        assert a.keys() == b.keys()
        for key in b:
            assert_same(a[key], b[key])
    else:
        assert a == b


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_back_from_every_protocol(protocol: int) -> None:
    assert_same(loads(pickle.dumps(content(), protocol)), content())


def test_arrays_are_writable_and_own_their_memory() -> None:
    array = loads(pickle.dumps(np.zeros(3)))
    array += 1
    assert array.flags.owndata


def test_npz_with_a_pickled_dictionary_and_with_plain_arrays(tmp_path: Path) -> None:
    path = tmp_path / "both.npz"
    np.savez(path, results=np.array(content(), dtype=object), plain=np.eye(3))
    read = read_npz(path)
    assert_same(read["results"], content())
    assert_same(read["plain"], np.eye(3))


def test_python_2_pickle_of_an_array(tmp_path: Path) -> None:
    # What Python 2's cPickle writes for {'means': array([1., 2.])}: bytes as a latin-1 STRING.
    raw = np.array([1.0, 2.0]).tobytes()
    data = (
        b"(dp1\nS'means'\np2\ncnumpy.core.multiarray\n_reconstruct\np3\n(cnumpy\nndarray\np4\n(I0\ntp5\nS'b'\np6\n"
        b"tp7\nRp8\n(I1\n(I2\ntp9\ncnumpy\ndtype\np10\n(S'f8'\np11\nI0\nI1\ntp12\nRp13\n(I3\nS'<'\np14\nNNNI-1\nI-1\n"
        b"I0\ntp15\nbI00\nS" + ascii(raw.decode("latin1")).encode("ascii") + b"\np16\ntp17\nbs."
    )
    path = tmp_path / "gmm.pkl"
    path.write_bytes(data)
    assert_same(read_numpy_pickle(path), {"means": np.array([1.0, 2.0])})


@pytest.mark.parametrize(
    "payload",
    [
        Calls(sentinel),
        Calls(os.system, "exit 3"),
        Calls(eval, "1"),
        Calls(np.load, "somewhere.npy"),
        Calls(np.fromfile, "/etc/hostname"),
        Calls(getattr, "text", "upper"),
        {"results": [Calls(sentinel, "deep")]},
        np.array([Calls(sentinel, "in an array")], dtype=object),
        pickle.Unpickler,
        np.ma.masked_array([1.0]),
        np.float64(1.0).reshape(1).view(np.recarray),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_anything_else_is_refused_and_not_executed(payload: Any, tmp_path: Path) -> None:
    RAN.clear()
    data = pickle.dumps(payload, 3)
    with pytest.raises(UnsafePickleError, match=r"nothing|was run"):
        loads(data)
    path = tmp_path / "evil.npz"
    np.savez(path, results=np.array({"joints": payload}, dtype=object))
    with pytest.raises(UnsafePickleError, match=r"evil\.npz"):
        read_npz(path)
    assert RAN == []
    # The payload is real: an ordinary load would have run it.
    if isinstance(payload, Calls) and payload.function is sentinel:
        pickle.loads(data)
        assert RAN == ["ran"]


def assemble_pickle(*parts: bytes) -> bytes:
    data = b"\x80\x03" + b"".join(parts) + b"."
    pickletools.dis(data, out=io.StringIO())  # the test's own opcodes are well formed
    return data


NDARRAY = b"cnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize(
    "data",
    [
        assemble_pickle(NDARRAY, b"(K\x05\x85tR"),  # call the class: uninitialised memory
        assemble_pickle(
            RECONSTRUCT, b"(", NDARRAY, b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ftC\x01btR"
        ),  # huge shape
        assemble_pickle(RECONSTRUCT, b"}X\x05\x00\x00\x00stateK\x01sb"),  # change the function
        assemble_pickle(NDARRAY, b"}X\x05\x00\x00\x00shapeK\x01sb"),  # change the class
        assemble_pickle(DTYPE, b"(X\x05\x00\x00\x00f4,f4tR"),  # structured
        assemble_pickle(DTYPE, b"(X\x04\x00\x00\x00V100tR"),  # void
        assemble_pickle(DTYPE, b"(", NDARRAY, b"tR"),  # not a string
        assemble_pickle(b"]q\x01h\x01a"),  # a list inside itself
        assemble_pickle(NDARRAY),  # the name itself as the result
        assemble_pickle(b"X\x03\x00\x00\x00pidQ"),  # persistent id
    ],
)
def test_the_admitted_names_cannot_be_misused(data: bytes) -> None:
    with pytest.raises(UnsafePickleError):
        loads(data)
    assert_same(loads(pickle.dumps(np.arange(3), 3)), np.arange(3))  # and nothing of it stays


def test_repetition_does_not_fill_the_memory() -> None:
    nested: list[Any] = [0]
    for _ in range(60):
        nested = [nested, nested]
    with pytest.raises(SourceFormatError, match="written out"):  # 2**60 elements, for whoever makes an array
        loads(pickle.dumps(nested))


@pytest.mark.parametrize("cut", [1, 20, 60, 200, -5])
def test_truncated_pickles_are_damaged_files(cut: int) -> None:
    data = pickle.dumps(content(), 3)
    with pytest.raises(SourceFormatError, match="not a readable pickle"):
        loads(data[:cut])


def test_bytes_that_do_not_fill_the_shape() -> None:
    data = pickle.dumps(np.zeros(1000, np.float64), 3)
    short = data.replace(b"\x00" * 800, b"\x00" * 792, 1)
    with pytest.raises(SourceFormatError):
        loads(short)


def test_random_damage_never_escapes_as_another_error() -> None:
    data = bytearray(pickle.dumps(content(), 3))
    generator = np.random.default_rng(1)
    for _ in range(300):
        damaged = bytearray(data)
        for place in generator.integers(0, len(data), 3):
            damaged[place] = generator.integers(0, 256)
        with contextlib.suppress(SourceFormatError):
            loads(bytes(damaged))


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError, match="no such file"):
        read_npz(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("not a zip")
    with pytest.raises(SourceFormatError, match=r"text.npz: not an .npz archive"):
        read_npz(tmp_path / "text.npz")
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("results.npy", b"no array")
    with pytest.raises(SourceFormatError, match=r"odd.npz/results.npy: not a NumPy array"):
        read_npz(tmp_path / "odd.npz")
