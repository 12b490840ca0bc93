"""A package that its user cannot write to, a user without a home, and numba's compiler switched off."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UNPRIVILEGED = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
"""Root without capabilities is bound by modes like everybody, and can still start this Python."""

USE = """
import sys, warnings
import torch
import apu_losses as al
from apu_contacts import ContactMap, RegionMap
body = al.load_body()
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    transl = torch.tensor([[0.0, 0, 3], [0.3, 0, 3]], requires_grad=True)
    vertices = body.pose({"transl": transl}).vertices()
    loss = al.SoftContactLoss(RegionMap.load("free"))(vertices[:1], vertices[1:], ContactMap([(3, 26)]))
    loss.sum().backward()
print(al.__file__)
print(f"{loss.item():.6g} {transl.grad.norm().item():.6g}")
for each in seen:
    if "apu" in str(each.message):
        print(each.category.__name__, each.message)
"""


def child(*command: str, bound: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    hidden = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "NUMBA_DISABLE_JIT", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    before = UNPRIVILEGED if bound and os.getuid() == 0 else ()
    return subprocess.run(
        [*before, sys.executable, *command],
        env={**kept, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def installed() -> Iterator[Path]:
    """A copy of both packages that nobody may write to, with a temporary directory for all beside it."""
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    for package in ("apu_contacts", "apu_losses"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    inside = [path for path in folder.rglob("*") if path.is_dir()]
    for path in (folder, *inside):
        path.chmod(0o555)
    folder.chmod(0o755)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    yield folder
    for path in inside:
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="users and modes are POSIX")
def test_a_user_without_a_home_and_a_package_that_cannot_be_written(installed):
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and setpriv is not there to change that")
    place = {"PYTHONPATH": str(installed), "TMPDIR": str(installed / "tmp"), "HOME": os.devnull}
    done = child("-c", USE, bound=True, **place)
    assert done.returncode == 0, done.stderr
    where, numbers, *warned = done.stdout.splitlines()
    assert Path(where).is_relative_to(installed) and not warned
    expected = child("-c", USE, PYTHONPATH=str(ROOT), NUMBA_CACHE_DIR=os.environ.get("NUMBA_CACHE_DIR", ""))
    assert numbers == expected.stdout.splitlines()[1], expected.stderr
    (kept,) = (installed / "tmp").glob("apu-losses-*")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700 and list(kept.glob("*/*.kernel"))

    done = child("-m", "apu_losses.app.cli", "doctor", bound=True, COLUMNS="200", **place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "problem" not in done.stdout and str(kept) in done.stdout


@pytest.mark.long
def test_without_the_compiler_auto_takes_torch_and_says_so_once():
    here = {"PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1"}
    done = child("-c", USE, **here)
    assert done.returncode == 0, done.stderr
    _, numbers, *warned = done.stdout.splitlines()
    assert len(warned) == 1 and warned[0].startswith("RuntimeWarning plain PyTorch runs instead of")
    assert "NUMBA_DISABLE_JIT" in warned[0] and "hundred times" in warned[0]
    cache = os.environ.get("NUMBA_CACHE_DIR", "")
    expected = child("-c", USE, PYTHONPATH=str(ROOT), NUMBA_CACHE_DIR=cache)
    compiled = [float(x) for x in expected.stdout.splitlines()[1].split()]
    assert [float(x) for x in numbers.split()] == pytest.approx(compiled, rel=1e-4)

    done = child("-m", "apu_losses.app.cli", "doctor", COLUMNS="200", **here)
    assert done.returncode == 1 and "problem" in done.stdout and "1 problem found" in done.stderr
    assert "NUMBA_DISABLE_JIT" in done.stdout
    code = "import apu_losses as al; al.load_body(backend='cpu').pose({}).vertices()"
    refused = child("-c", code, **here)
    assert "backend 'cpu' was selected and cannot run: numba's compiler is switched off" in refused.stderr
