"""The numba kernels compiled for processors with narrower vectors than this one's give the same answers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processor_answers import answers

ROOT = Path(__file__).resolve().parents[2]
_AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+movbe,+cmov"


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors")
@pytest.mark.parametrize(
    ("name", "features"),
    [("haswell", _AVX2), ("x86-64", "+sse2")],
    ids=["AVX2", "SSE2 without fused multiply-add"],
)
def test_the_same_on_an_older_processor(name, features, tmp_path):
    code = "import sys, torch, processor_answers as p; torch.save(p.answers(), sys.argv[1])"
    env = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "found.pt")],
        env={**os.environ, **env, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    theirs, ours = torch.load(tmp_path / "found.pt", weights_only=True), answers()
    assert ours.keys() == theirs.keys() and ours["inside"].any()
    for key, mine in ours.items():
        if key.startswith("sum"):
            assert torch.allclose(mine, theirs[key], rtol=1e-4, atol=1e-4), key
        else:
            assert torch.equal(mine, theirs[key]), key
