"""Penetration of vertices in half and in double precision."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import trimesh
from tubes import spiral, tube, tube_faces

import apu_losses as al
from apu_losses.functional.metrics.penetration import penetration_depth, penetration_volume
from apu_losses.numerics import precision

BALL = trimesh.creation.icosphere(3, 0.3)
FACES = np.asarray(BALL.faces)
VERTICES = torch.tensor(np.asarray(BALL.vertices), dtype=torch.float64)[None]
HALF = [torch.float16, torch.bfloat16]


def pair(depth: float, dtype: torch.dtype, away: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two balls of 0.3 m, ``depth`` metres inside each other, ``away`` metres from the origin."""
    off = torch.tensor([0.6 - depth, 0.013, 0.007], dtype=torch.float64)
    return (VERTICES + away).to(dtype), (VERTICES + off + away).to(dtype)


@pytest.mark.filterwarnings("ignore:vertices come in")
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("energy", ["l2", "quartic"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "mapped"])
def test_half_precision_is_computed_and_returned_in_single(dtype, energy, compiled):
    a, b = pair(0.1, dtype)
    loss = al.PenetrationLoss(FACES, energy=energy)
    ours, wide = a.clone().requires_grad_(), a.float().requires_grad_()
    mapped = torch.func.vmap(lambda x, y: loss(x[None], y[None])[0])  # works as compiled code does
    value = (mapped if compiled else loss)(ours, b)
    expected = loss(wide, b.float())
    assert value.dtype == torch.float32 and expected.item() > 0
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    value.sum().backward(), expected.sum().backward()
    assert ours.grad.dtype == dtype
    torch.testing.assert_close(ours.grad, wide.grad.to(dtype), rtol=0.01, atol=1e-6)


@pytest.mark.filterwarnings("ignore:vertices come in")
@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_within_one_body_and_in_metrics(dtype):
    coiled = tube(spiral(0.02)).to(dtype)  # each turn inside the one before
    loss = al.SelfPenetrationLoss(tube_faces(), template=coiled[0].double(), apart=0.3)
    value = loss(coiled)
    assert value.dtype == torch.float32 and value.item() > 0
    assert value.item() == pytest.approx(loss(coiled.float()).item(), rel=1e-6)
    rows = torch.tensor([0]), torch.tensor([1])
    both = torch.cat(pair(0.1, dtype))
    for metric in (penetration_depth, penetration_volume):
        found, expected = metric(both, FACES, *rows), metric(both.float(), FACES, *rows)
        torch.testing.assert_close(found, expected)


def test_double_precision_is_searched_in_single_and_valued_in_double():
    a, b = (x.requires_grad_() for x in pair(0.1, torch.float64, away=3.0))
    exact = al.PenetrationLoss(FACES, backend="reference")(a, b)  # searches in float64
    slopes = torch.autograd.grad(exact.sum(), (a, b))
    # the compiled search is float32 and takes nothing else
    for backend in ("cpu", "auto"):
        value = al.PenetrationLoss(FACES, backend=backend)(a, b)
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(exact.item(), rel=1e-9)
        for ours, theirs in zip(torch.autograd.grad(value.sum(), (a, b)), slopes, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)  # weights of the search


@pytest.fixture
def fresh_warnings():
    precision._warn_of_rounding.cache_clear()
    yield
    precision._warn_of_rounding.cache_clear()


@pytest.mark.parametrize(
    ("dtype", "away", "said"), [(torch.float16, 4.0, "4 mm at 4 m"), (torch.bfloat16, 4.0, "31 mm at 4 m")]
)
def test_positions_that_were_rounded_are_spoken_of_once(dtype, away, said, fresh_warnings):
    a, b = pair(0.1, dtype, away)
    loss = al.PenetrationLoss(FACES)
    with pytest.warns(RuntimeWarning, match=said):
        loss(a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(a, b)


def test_positions_near_the_origin_are_fine(fresh_warnings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        al.PenetrationLoss(FACES)(*pair(0.1, torch.float16))
        al.PenetrationLoss(FACES)(*pair(0.1, torch.float32, away=40.0))
