"""Compiled kernels on disk: loaded when they are right, compiled anew when not, done without when need be."""

from __future__ import annotations

import ast
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numba
import pytest

import apu_losses
from apu_losses.bodies.articulate_cpu import _coefficients
from apu_losses.numerics import disk_cache
from apu_losses.numerics.jit import kernel

# Of the package that is imported: the checkout's, or the installed one's.
ROOT = Path(apu_losses.__file__).resolve().parents[1]
RIGHT = _coefficients.py_func(0.5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Compiled code goes to a folder of this test."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path), raising=False)
    disk_cache.cache_folder.cache_clear()
    disk_cache._warn_of_recompiling.cache_clear()
    yield disk_cache.cache_folder()
    disk_cache.cache_folder.cache_clear()
    disk_cache._warn_of_recompiling.cache_clear()


def loaded_from_disk() -> bool:
    """Compile a small kernel as a new process would, and check what it computes."""
    fresh = kernel(_coefficients.py_func)
    assert fresh(0.5) == pytest.approx(RIGHT, rel=1e-14)
    return bool(fresh.stats.cache_hits)


def test_what_was_compiled_is_loaded(folder, tmp_path):
    assert folder.parent == tmp_path
    assert [loaded_from_disk(), loaded_from_disk()] == [False, True]
    (file,) = folder.iterdir()  # nothing half-written stays beside it
    assert file.name.startswith("articulate_cpu._coefficients-")


DAMAGE = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "truncated": lambda data: data[: len(data) // 2],
    "random bytes": lambda data: os.urandom(len(data)),
    "random bytes behind the digest": lambda data: data[:32] + os.urandom(len(data) - 32),
    "zeros at the end": lambda data: data[:-4096] + bytes(4096),
    "one bit in the machine code": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_compiled_anew(folder, damage):
    loaded_from_disk()
    (file,) = folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert [loaded_from_disk(), loaded_from_disk()] == [False, True]


def test_a_folder_that_vanishes_or_cannot_be_written_is_done_without(folder):
    loaded_from_disk()
    shutil.rmtree(folder)
    folder.write_text("a file where the folder was")
    with pytest.warns(RuntimeWarning, match=r"every process compiles them anew.*NUMBA_CACHE_DIR"):
        assert not loaded_from_disk()
    with warnings.catch_warnings():  # said once
        warnings.simplefilter("error")
        assert not loaded_from_disk()


def test_without_any_folder_kernels_are_compiled_in_memory(folder, monkeypatch):
    monkeypatch.setattr(disk_cache, "_candidates", lambda: iter([Path(os.devnull) / "no folder"]))
    disk_cache.cache_folder.cache_clear()
    with pytest.warns(RuntimeWarning, match="none of these folders can be written to.*no folder"):
        assert not loaded_from_disk()


def child(code: str, where: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        cwd=where,
    )


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="limits of a process are POSIX")
def test_a_full_disk_is_done_without(tmp_path):
    code = (
        "import resource, warnings\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))\n"
        "from apu_losses.bodies.articulate_cpu import _coefficients\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    print(_coefficients(0.5)[0])\n"
        "assert len(seen) == 1 and 'cannot be kept on disk' in str(seen[0].message), seen\n"
    )
    done = child(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(RIGHT[0], rel=1e-14)
    (folder,) = tmp_path.iterdir()
    assert not list(folder.iterdir())


def test_a_change_in_an_inlined_function_compiles_its_callers(tmp_path):
    left_out = shutil.ignore_patterns("data", "__pycache__")
    shutil.copytree(ROOT / "apu_losses", tmp_path / "apu_losses", ignore=left_out)
    folder = tmp_path / "apu_losses" / "geometry" / "cpu"
    head = "from apu_losses.numerics.jit import inlined, kernel\n"
    inner = head + "@inlined\ndef inner(x):\n    return x + 1\n"
    (folder / "inner.py").write_text(inner)
    outer = "from apu_losses.geometry.cpu.inner import inner\n@kernel\ndef outer(x):\n    return inner(x)\n"
    (folder / "outer.py").write_text(head + outer)
    code = "from apu_losses.geometry.cpu.outer import outer; print(outer(1), len(outer.stats.cache_hits))"
    places = {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def said() -> str:
        done = child(code, tmp_path, **places)
        return done.stdout.strip() or done.stderr

    assert [said(), said()] == ["2 0", "2 1"]
    (folder / "inner.py").write_text(inner.replace("x + 1", "x + 2"))
    assert [said(), said()] == ["3 0", "3 1"]


def test_kernels_import_only_what_their_digest_covers():
    covered = disk_cache.kernel_sources()
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in covered}
    assert len(names) > 10
    for path in covered:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("apu_losses"):
                assert node.module in names, f"{path}: {node.module}"
    everywhere = [*ROOT.glob("apu_losses/**/*.py")]
    kernels = [
        path for path in everywhere if re.search(r"^@_?(kernel|inlined)$", path.read_text("utf-8"), re.M)
    ]
    assert kernels and set(kernels) <= set(covered)


@pytest.mark.parametrize("word", ["njit", "numba.jit", "@jit", "vectorize("])
def test_nothing_is_compiled_elsewhere(word):
    users = [path for path in ROOT.glob("apu_losses/**/*.py") if word in path.read_text("utf-8")]
    assert {path.name for path in users} <= {"jit.py"}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes are POSIX")
def test_the_folder_in_the_temporary_directory_is_the_users_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = disk_cache._private_temporary_folder()
    assert folder is not None and folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)  # others could have left code there
    assert disk_cache._private_temporary_folder() is None
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    assert disk_cache._private_temporary_folder() is None
