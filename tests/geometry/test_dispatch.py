"""Which back end runs: a named one runs or raises, "auto" chooses and says why."""

from __future__ import annotations

import pytest
import torch
from kernels_meshes import pair

from apu_losses import geometry as g
from apu_losses.geometry import describe, dispatch, warmup


def test_unknown_names_are_refused():
    m = pair(1, 1)
    with pytest.raises(
        ValueError, match="backend must be 'auto' or one of reference, torch, cpu, cuda, got 'numba'"
    ):
        g.nearest_vertex(m.a, m.b, backend="numba")  # type: ignore[arg-type]


def test_a_named_back_end_that_cannot_run_raises(monkeypatch):
    m = pair(1, 1, dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"backend='cpu'.*float32.*float64"):
        g.nearest_vertex(m.a, m.b, backend="cpu")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(RuntimeError, match=r"backend='cuda'.*tensors are on cpu"):
        g.nearest_vertex(m.a.float(), m.b.float(), backend="cuda")


def test_auto():
    cpu = torch.device("cpu")
    assert dispatch.choose(cpu, torch.float32) == "cpu"
    assert dispatch.choose(cpu, torch.float64) == "torch"
    assert dispatch.choose(torch.device("mps"), torch.float32) == "torch"
    assert dispatch.choose(torch.device("meta"), torch.float32) == "torch"


def test_without_numba_auto_falls_to_torch_and_says_so(monkeypatch):
    monkeypatch.setattr(dispatch, "numba_problem", lambda: "numba is not installed (pip install numba)")
    monkeypatch.setattr(
        dispatch, "cpu_problem", dispatch.cpu_problem.__wrapped__
    )  # asked anew, not remembered
    m = pair(1, 1)
    assert dispatch.choose(torch.device("cpu"), torch.float32) == "torch"
    with pytest.raises(RuntimeError, match="pip install numba"):
        g.nearest_vertex(m.a, m.b, backend="cpu")
    line = next(x for x in describe() if x.name == "cpu")
    assert not line.available and "not installed" in line.reason and not line.auto_for
    assert "CPU float32" in next(x for x in describe() if x.name == "torch").auto_for


def test_describe_covers_all_back_ends():
    lines = {x.name: x for x in describe()}
    assert set(lines) == {"cpu", "cuda", "torch", "reference"}
    assert lines["cpu"].auto_for == ("CPU float32",) and "numba" in lines["cpu"].reason
    assert lines["reference"].available and lines["reference"].auto_for == ()


@pytest.mark.parametrize("backend", ["auto", "torch", "cpu", "reference"])
def test_warmup(backend):
    assert warmup(backend) >= 0
