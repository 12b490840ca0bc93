"""What torch and joblib write is read without them, as they read it themselves."""

from __future__ import annotations

import contextlib
import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from apu_contacts.sources import (
    SourceFormatError,
    UnsafePickleError,
    read_numpy_pickle,
    read_torch,
)


def tensors() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    base = torch.randn(6, 5, 4, generator=generator)
    return {
        "plain": base,
        "turned": base.permute(2, 0, 1),
        "part": base[1:5:2, 1:, ::3],
        "expanded": base[:1].expand(3, 5, 4),
        "double": base.double(),
        "half": base.half(),
        "brain": base.bfloat16(),
        "whole": torch.arange(7),
        "truth": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
        "complex": torch.tensor([1 + 2j]),
        "nested": [{"ids": (torch.tensor([1, 2], dtype=torch.int32), "a")}],
        "size": base.shape,
        "number": 3.0,
    }


def same(found: Any, wanted: Any) -> None:
    if isinstance(wanted, torch.Tensor):
        wanted = wanted.detach()
        wanted = (wanted.float() if wanted.dtype == torch.bfloat16 else wanted).numpy()
        assert isinstance(found, np.ndarray) and found.dtype == wanted.dtype and found.shape == wanted.shape
        np.testing.assert_array_equal(found, wanted)
    elif isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key, value in wanted.items():
            same(found[key], value)
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    else:
        assert found == wanted


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("ending", [".pt", ".pkl"])
def test_tensors_are_read_as_torch_reads_them(tmp_path: Path, zipped: bool, ending: str) -> None:
    path = tmp_path / f"saved{ending}"
    torch.save(tensors(), path, _use_new_zipfile_serialization=zipped)
    wanted = torch.load(path, weights_only=True)
    same(read_torch(path), wanted)
    same(read_numpy_pickle(path), wanted)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_in_a_plain_pickle(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps(tensors(), protocol))
    same(read_numpy_pickle(path), tensors())


def test_tensors_in_an_object_array(tmp_path: Path) -> None:
    """TRAM saves a dictionary of tensors by np.save."""
    from apu_contacts.sources._records import load_content

    path = tmp_path / "hps_track_0.npy"
    np.save(path, tensors(), allow_pickle=True)
    same(load_content(path)[0], tensors())


def test_a_model_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(UnsafePickleError, match=r"Linear.*nothing was run"):
        read_torch(path)


def rewritten(path: Path, change: dict[str, Any]) -> Path:
    """Copy a zip with some entries replaced; None leaves one out."""
    out = path.with_name("changed.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            short = name.partition("/")[2]
            data = change.get(short, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return out


def test_numbers_that_are_missing_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.ones(10)}, path)
    with pytest.raises(SourceFormatError, match="36 bytes, 40 are needed"):
        read_torch(rewritten(path, {"data/0": b"\0" * 36}))
    with pytest.raises(SourceFormatError, match="not in the file"):
        read_torch(rewritten(path, {"data/0": None}))
    with pytest.raises(SourceFormatError, match=r"no data\.pkl"):
        read_torch(rewritten(path, {"data.pkl": None}))


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(torch.ones(10, dtype=torch.float64), path)
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("a/data.pkl")
    # the shape (10,) is BININT1 10 in a TUPLE1; the storage's own size comes before
    at = pickled.rindex(b"K\n\x85")
    for shape in (b"K\x0b\x85", b"J\xff\xff\xff\x7f\x85", b"J\xff\xff\xff\xff\x85"):
        with pytest.raises(UnsafePickleError):
            read_torch(rewritten(path, {"data.pkl": pickled[:at] + shape + pickled[at + 3 :]}))


def test_an_expanded_tensor_cannot_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(torch.ones(1).expand(1 << 29), path)
    with pytest.raises(SourceFormatError, match="more than"):
        read_torch(path)


def test_the_numbers_of_a_big_endian_machine(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    values = np.arange(5, dtype=np.float32)
    torch.save(torch.from_numpy(values), path)
    found = read_torch(rewritten(path, {"byteorder": b"big", "data/0": values.astype(">f4").tobytes()}))
    np.testing.assert_array_equal(found, values)


def test_random_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(tensors(), path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    generator = np.random.default_rng(2)
    for _ in range(200):
        damaged = bytearray(data)
        for place in generator.integers(20, len(data), 3):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(SourceFormatError):
            read_torch(path)


# joblib


def arrays() -> dict[Any, Any]:
    generator = np.random.default_rng(5)
    return {
        0: {"pose": generator.normal(size=(3, 72)).astype(np.float32), "frame_ids": np.arange(3)},
        "turned": np.asfortranarray(generator.normal(size=(4, 5))),
        "words": ["a", None, 1.5],
        "empty": np.zeros((0, 3)),
    }


class Wrapper:
    """What joblib's pickler puts in an array's place; written here by the documented layout."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.subclass = np.ndarray
        self.shape = array.shape
        self.order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        self.dtype = array.dtype
        self.allow_mmap = True
        self.numpy_array_alignment_bytes = 16


Wrapper.__module__, Wrapper.__qualname__, Wrapper.__name__ = (
    "joblib.numpy_pickle",
    "NumpyArrayWrapper",
    "NumpyArrayWrapper",
)


class Writer(pickle._Pickler):  # type: ignore[name-defined]
    def save(self, obj: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(obj, np.ndarray):
            wrapper = Wrapper(obj)
            super().save(wrapper, *args, **kwargs)
            if self.proto >= 4:
                self.framer.commit_frame(force=True)
            stream = self.stream
            gap = 16 - (stream.tell() + 1) % 16
            stream.write(bytes([gap]) + b"\xff" * gap)
            stream.write(obj.tobytes(order=wrapper.order))
            return
        super().save(obj, *args, **kwargs)


def joblib_bytes(content: Any, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Write as joblib does; the name in the pickle has to be found while it is written."""
    import sys
    import types

    module: Any = types.ModuleType("joblib.numpy_pickle")
    module.NumpyArrayWrapper = Wrapper
    monkeypatch.setitem(sys.modules, "joblib", types.ModuleType("joblib"))
    monkeypatch.setitem(sys.modules, "joblib.numpy_pickle", module)
    stream = io.BytesIO()
    writer = Writer(stream, protocol=4)
    writer.stream = stream
    writer.dump(content)
    return stream.getvalue()


def equal(found: Any, wanted: Any) -> None:
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            equal(found[key], wanted[key])
    else:
        np.testing.assert_array_equal(found, wanted)
        assert not isinstance(wanted, np.ndarray) or found.dtype == wanted.dtype


@pytest.mark.parametrize("packed", [False, True])
def test_joblibs_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    data = joblib_bytes(arrays(), monkeypatch)
    path = tmp_path / "wham_output.pkl"
    path.write_bytes(zlib.compress(data) if packed else data)
    equal(read_numpy_pickle(path), arrays())


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)])
def test_what_joblib_itself_writes(tmp_path: Path, compress: Any) -> None:
    joblib = pytest.importorskip("joblib")
    path = tmp_path / "results.pkl"
    content = {**arrays(), "tensor": torch.ones(2, 3), "objects": np.array([{"a": 1}, None], dtype=object)}
    joblib.dump(content, path, compress=compress)
    found = read_numpy_pickle(path)
    equal({key: found[key] for key in arrays()}, arrays())
    np.testing.assert_array_equal(found["tensor"], np.ones((2, 3)))
    assert found["objects"] == [{"a": 1}, None]


def test_joblib_files_that_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = joblib_bytes(arrays(), monkeypatch)
    path = tmp_path / "cut.pkl"
    for size in (len(data) // 3, len(data) // 2, len(data) - 40):
        path.write_bytes(data[:size])
        with pytest.raises(SourceFormatError):
            read_numpy_pickle(path)
        path.write_bytes(zlib.compress(data)[: size // 2])
        with pytest.raises(SourceFormatError):
            read_numpy_pickle(path)


def test_a_packed_file_cannot_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pkl"
    engine = zlib.compressobj()
    piece = b"\0" * (1 << 24)
    path.write_bytes(b"".join(engine.compress(piece) for _ in range(66)) + engine.flush())
    with pytest.raises(SourceFormatError, match="unpack to more than"):
        read_numpy_pickle(path)
