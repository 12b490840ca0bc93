"""The fitter mixes no tensors of its device with tensors of the host; seen without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fake_device
import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.long
@pytest.mark.skipif(not fake_device.AVAILABLE, reason="this torch has no devices that are written in Python")
def test_fits_on_another_device():
    checks = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(HERE / "elsewhere_checks.py"),
    ]
    done = subprocess.run(checks, capture_output=True, text=True, env=dict(os.environ), cwd=HERE.parents[1])
    assert done.returncode == 0 and "9 passed" in done.stdout, done.stdout + done.stderr
