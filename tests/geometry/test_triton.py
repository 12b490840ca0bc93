"""The Triton kernels without a GPU: their numbers in Triton's interpreter, and their compilation ahead of
time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed (it comes with torch's CUDA wheels for Linux)")

HERE = Path(__file__).resolve().parent


def run(command: list[str], **variables: str) -> str:
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | variables
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=env, cwd=HERE.parents[1]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_against_the_reference():
    variables = {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "triton_checks.py")]
    assert "16 passed" in run(command, **variables)


@pytest.mark.parametrize("target", [("cuda", "80", "32"), ("cuda", "90", "32"), ("hip", "gfx942", "64")])
def test_compiles_ahead(target, tmp_path):
    tool = str(HERE.parents[1] / "tools" / "compile_triton.py")
    assert run([tool, *target], TRITON_CACHE_DIR=str(tmp_path)).count("compiled") == 18
