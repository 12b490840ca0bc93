"""The tests of a back end run on its device: those of ``cuda`` on a GPU, where there is one."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _device_of_the_back_end(request):
    """New tensors of a test that asks for ``cuda`` are on the GPU."""
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if parameters.get("backend") != "cuda":
        yield
        return
    torch.set_default_device("cuda")
    try:
        yield
    finally:
        torch.set_default_device("cpu")
