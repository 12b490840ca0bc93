"""One free body in double precision, and its layout."""

from __future__ import annotations

import pytest
import torch

from apu_losses.bodies import load_body
from apu_losses.prior import PriorLayout


@pytest.fixture(scope="session")
def body():
    return load_body("free", dtype=torch.float64)


@pytest.fixture(scope="session")
def layout(body):
    return PriorLayout.of_body(body)
