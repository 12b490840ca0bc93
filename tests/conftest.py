"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

# Before torch is imported: the tensors of tests are small, and threads that wait for each other make the
# suite several times slower on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """The folder of real photographs with detections; the test skips, saying so, where it is absent."""
    if not REAL.is_dir():
        pytest.skip(
            "the folder shared/real beside the checkout is absent (real detections may not be redistributed)"
        )
    return REAL


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C through in the processes of pytest-xdist: they, and what they start, would ignore it."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


_FIRST_STATES: dict[str, dict[str, Any]] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give each test the random numbers that it would draw as the first of its module, in any order."""
    module = getattr(item, "module", None)
    if not isinstance(module, ModuleType):
        return
    for name, value in vars(module).items():
        if isinstance(value, np.random.Generator):
            first = _FIRST_STATES.setdefault(f"{module.__name__}.{name}", value.bit_generator.state)
            value.bit_generator.state = first
