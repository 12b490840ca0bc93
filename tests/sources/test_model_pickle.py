"""Pickles of body models: what chumpy and SciPy wrote comes back as arrays, and nothing runs."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from apu_contacts.sources import (
    SourceFormatError,
    SourceMissingError,
    UnsafePickleError,
    read_model_pickle,
    read_numpy_pickle,
)

RAN: list[str] = []


def sentinel(*args: Any) -> str:
    RAN.append("ran")
    return "ran"


class Calls:
    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.args

    def __repr__(self) -> str:  # names a test: the same in every process
        return f"Calls({self.function.__name__})"


@pytest.fixture
def chumpy() -> Iterator[types.SimpleNamespace]:
    """Classes that pickle as chumpy's do: by their names and the dictionary of their attributes."""
    made: dict[str, Any] = {}
    modules = {"chumpy": ("chumpy", ()), "ch": ("chumpy.ch", ("Ch",)), "ops": ("chumpy.ch_ops", ("add",))}
    modules["reordering"] = ("chumpy.reordering", ("Select",))
    for module, names in modules.values():
        sys.modules[module] = types.ModuleType(module)
        for name in names:
            made[name] = type(name, (), {"__module__": module})
            setattr(sys.modules[module], name, made[name])
    yield types.SimpleNamespace(**made)
    for module, _ in modules.values():
        del sys.modules[module]


def of(kind: Any, **attributes: Any) -> Any:
    made = kind()
    made.__dict__.update(attributes)
    return made


def write(path: Path, content: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_chumpy_and_sparse_come_back_as_arrays(protocol: int, tmp_path: Path, chumpy: Any) -> None:
    rng = np.random.default_rng(0)
    plain, matrix = rng.normal(size=(6, 3, 4)), rng.normal(size=(5, 9)) * (rng.random((5, 9)) < 0.3)
    x = of(chumpy.Ch, x=plain, _dirty_vars={"x"}, _itr=None, _cache_info={})
    chosen = np.array([5, 0, 71, 70, 3, 3])
    content = {
        "shapedirs": x,
        "selected": of(chumpy.Select, a=x, idxs=chosen, preferred_shape=(3, 2)),
        "J": of(chumpy.add, a=x, b=x, _dirty_vars=set()),
        "csc": scipy.sparse.csc_matrix(matrix),
        "csr": scipy.sparse.csr_matrix(matrix),
        "array": scipy.sparse.csc_array(matrix),
        "number": np.float64(2.5),
        "bs_style": "lbs",
    }
    read = read_model_pickle(write(tmp_path / "model.pkl", content, protocol))
    np.testing.assert_array_equal(read["shapedirs"], plain)
    np.testing.assert_array_equal(read["selected"], plain.ravel()[chosen].reshape(3, 2))
    for key in ("csc", "csr", "array"):
        np.testing.assert_array_equal(read[key], matrix)
    assert read["number"] == 2.5 and read["bs_style"] == "lbs"
    assert repr(read["J"]) == "Unread('chumpy.ch_ops.add')"


def test_old_names_of_scipys_modules(tmp_path: Path) -> None:
    matrix = np.diag([1.0, 2.0, 3.0])
    data = pickle.dumps({"J_regressor": scipy.sparse.csc_matrix(matrix)}, 2)
    old = data.replace(b"cscipy.sparse._csc\n", b"cscipy.sparse.csc\n")
    assert old != data
    (tmp_path / "old.pkl").write_bytes(old)
    np.testing.assert_array_equal(read_model_pickle(tmp_path / "old.pkl")["J_regressor"], matrix)


def test_other_readers_do_not_admit_these_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", {"J_regressor": scipy.sparse.csc_matrix(np.eye(2))})
    with pytest.raises(UnsafePickleError, match=r"scipy\.sparse"):
        read_numpy_pickle(path)


def matrix_with(**state: Any) -> Any:
    """A sparse matrix whose inner state is overwritten."""
    made = scipy.sparse.csc_matrix(np.eye(2))
    made.__dict__.update(state)
    return made


@pytest.mark.parametrize(
    "change",
    [
        {"_shape": (1 << 20, 1 << 20)},
        {"_shape": (-2, 2)},
        {"_shape": "wide"},
        {"indices": np.array([0, 7])},
        {"indices": np.array([0, -1])},
        {"indices": np.array([0.0, 1.0])},
        {"indptr": np.array([0, 5, 2])},
        {"indptr": np.array([0, 1])},
        {"data": [1.0, 2.0]},
        {"data": Calls(sentinel)},
    ],
    ids=str,
)
def test_sparse_matrices_that_lie_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        read_model_pickle(write(tmp_path / "good.pkl", {"m": matrix_with()}))["m"], np.eye(2)
    )
    with pytest.raises((UnsafePickleError, SourceFormatError)):
        read_model_pickle(write(tmp_path / "bad.pkl", {"m": matrix_with(**change)}))
    assert not RAN


def crafted(*, module: str, name: str, arguments: bytes) -> bytes:
    """A pickle that calls a name with arguments, and keeps the result."""
    return b"\x80\x02" + f"c{module}\n{name}\n".encode() + arguments + b"R."


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps({"a": Calls(os.system, "exit 3")}),
        pickle.dumps({"a": Calls(sentinel)}),
        pickle.dumps({"a": Calls(eval, "1")}),
        crafted(module="scipy.sparse._csc", name="csc_matrix", arguments=b"(K\x01K\x02t"),
        crafted(module="scipy.sparse", name="load_npz", arguments=b"(X\x01\x00\x00\x00at"),
        crafted(module="scipy.io", name="loadmat", arguments=b"(X\x01\x00\x00\x00at"),
        crafted(module="chumpy.ch", name="Ch", arguments=b"(K\x01t"),
        crafted(
            module="copyreg", name="_reconstructor", arguments=b"(cbuiltins\nobject\ncbuiltins\nobject\nNt"
        ),
        crafted(module="builtins", name="set", arguments=b"(X\x01\x00\x00\x00at"),
        crafted(module="builtins", name="object", arguments=b"(t"),
        crafted(module="builtins", name="getattr", arguments=b"(K\x01X\x01\x00\x00\x00at"),
        # attributes for the stand-in's class itself
        b"\x80\x02cchumpy.ch\nCh\n}X\x05\x00\x00\x00buildK\x01sb.",
    ],
)
def test_anything_else_is_refused_and_not_executed(data: bytes, tmp_path: Path) -> None:
    RAN.clear()
    (tmp_path / "evil.pkl").write_bytes(data)
    with pytest.raises(SourceFormatError):
        read_model_pickle(tmp_path / "evil.pkl")
    assert not RAN


def test_a_chumpy_object_that_refers_to_itself_ends(tmp_path: Path, chumpy: Any) -> None:
    loop = of(chumpy.Ch)
    loop.x = loop
    with pytest.raises(UnsafePickleError, match="inside itself"):
        read_model_pickle(write(tmp_path / "loop.pkl", {"a": loop}))


def test_missing_damaged_and_no_dictionary(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError):
        read_model_pickle(tmp_path / "none.pkl")
    with pytest.raises(SourceFormatError, match="expected a dictionary"):
        read_model_pickle(write(tmp_path / "list.pkl", [1, 2]))
    good = pickle.dumps({"a": np.eye(9)}, 2)
    for cut in (0, 7, 60, len(good) - 1):
        (tmp_path / "cut.pkl").write_bytes(good[:cut])
        with pytest.raises(SourceFormatError):
            read_model_pickle(tmp_path / "cut.pkl")
