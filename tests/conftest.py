"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """The folder of real photographs with detections; the test skips, saying so, where it is absent."""
    if not REAL.is_dir():
        pytest.skip("the folder shared/real beside the checkout is absent (real detections may not be redistributed)")
    return REAL
