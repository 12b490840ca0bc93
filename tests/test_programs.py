"""Every program of the repository starts and ends well, in a form that takes seconds.

Programs are found by their folder. Those of ``benchmarks`` and ``tools`` run with ``--check`` and their
default options otherwise: all that they do, once and on the least there is, nothing written into the
repository. Examples run as they stand; one that wants files prints how it is called, and has a test with
made-up files elsewhere. What needs something that is not there says ``not run: ...`` and what it needs.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "tools", "examples")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
GUARD = 'if __name__ == "__main__":'
PROGRAMS = [path for path in SOURCES if GUARD in path.read_text(encoding="utf-8")]
TIME_OUT = 600  # no measurement: a program that never ends must not hold up the rest


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def start(path: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an empty folder, or, as a module, a file of a package."""
    command, where = [str(path)], folder
    if (path.parent / "__init__.py").exists():
        command, where = ["-m", name_of(path).removesuffix(".py").replace("/", ".")], ROOT
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, *command, *arguments],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIME_OUT,
        check=False,
    )


def state_of_the_repository() -> dict[str, tuple[int, int]]:
    """When each file that a program could overwrite was written, and its size."""
    folders = [ROOT / name for name in (*FOLDERS, "docs", "apu_contacts", "apu_losses")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {
        name_of(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in files
        if "__pycache__" not in path.parts
    }


def test_every_file_is_a_program_or_used_by_one() -> None:
    used = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                used.add((node.module or "").rpartition(".")[2])
            elif isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
    idle = [path for path in SOURCES if path not in PROGRAMS and path.stem not in used | {"__init__"}]
    assert not idle, f"neither imported nor started by {GUARD!r}: {[name_of(path) for path in idle]}"


@pytest.mark.programs
@pytest.mark.parametrize("path", PROGRAMS, ids=name_of)
def test_program(path: Path, tmp_path: Path) -> None:
    example = path.parent.name == "examples"
    before = state_of_the_repository()
    done = start(path, tmp_path) if example else start(path, tmp_path, "--check")
    assert "Traceback" not in done.stderr, done.stderr
    assert state_of_the_repository() == before, "the program changed files of the repository"
    if done.stderr.startswith("not run: "):
        assert done.returncode == 1
        pytest.skip(done.stderr.strip())
    if example and f"python {name_of(path)} FOLDER" in done.stderr:
        tested = (ROOT / "tests" / "fitting" / "test_source_examples.py").read_text(encoding="utf-8")
        assert done.returncode == 1 and f'"{path.name}"' in tested, "an example that no test gives files to"
        return
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.strip(), "a program says what it did"


@pytest.mark.programs
@pytest.mark.parametrize("arguments", [("--device", "cuda"), ("--clock", "cpu", "--tables", "soft")])
def test_kernel_benchmark_with_other_options(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = start(ROOT / "benchmarks" / "kernels.py", tmp_path, "--check", *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    if done.stderr.startswith("not run: "):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr[-2000:]
