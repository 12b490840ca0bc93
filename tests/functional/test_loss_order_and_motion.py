"""Depth order and motion: closed forms and finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from apu_losses.functional.depth_order import depth_order_energy
from apu_losses.functional.temporal import acceleration_energy, velocity_energy

NEAR = torch.tensor([2.0, 2.0, 3.0], dtype=torch.float64)
FAR = torch.tensor([3.0, 2.05, 2.0], dtype=torch.float64)


def test_depth_order_by_hand():
    hinge = depth_order_energy(NEAR, FAR, margin=0.1)
    torch.testing.assert_close(hinge, torch.tensor([0.0, 0.05**2, 1.1**2]).double())
    logistic = depth_order_energy(NEAR, FAR, form="logistic", margin=0.5)
    expected = [math.log1p(math.exp((a - b) / 0.5)) for a, b in zip(NEAR.tolist(), FAR.tolist(), strict=True)]
    torch.testing.assert_close(logistic, torch.tensor(expected).double())
    for form in ("hinge", "logistic"):
        near = NEAR.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda z, form=form: depth_order_energy(z, FAR, form=form), near)


def test_depth_order_errors():
    with pytest.raises(ValueError, match="form"):
        depth_order_energy(NEAR, FAR, form="square")
    with pytest.raises(ValueError, match="margin must be positive"):
        depth_order_energy(NEAR, FAR, margin=0.0)
    with pytest.raises(ValueError, match="same shape"):
        depth_order_energy(NEAR, FAR[:2])


def test_steady_motion_has_a_speed_and_no_acceleration():
    start = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    speed = torch.tensor([0.1, -0.2, 0.05], dtype=torch.float64)
    at = [start + t * speed for t in (0, 1, 4)]  # two frames are missing
    one, three = torch.tensor([1.0]), torch.tensor([3.0])
    expected = 5 * speed.square().sum()
    torch.testing.assert_close(velocity_energy(at[0], at[1], one), expected[None])
    torch.testing.assert_close(velocity_energy(at[1], at[2], three), expected[None])
    assert acceleration_energy(*at, one, three).item() < 1e-25


@pytest.mark.parametrize("times", [(0, 1, 2), (0, 1, 4), (3, 7, 8)])
def test_constant_acceleration_is_found_whatever_the_gaps(times):
    a = torch.tensor([0.02, 0.0, -0.04], dtype=torch.float64)
    at = [(0.5 * t * t * a + 0.3 * t).expand(2, 4, 3) for t in times]
    gaps = [torch.full((2,), float(d)) for d in (times[1] - times[0], times[2] - times[1])]
    torch.testing.assert_close(acceleration_energy(*at, *gaps), (4 * a.square().sum()).expand(2))


def test_motion_gradients_and_errors():
    g = torch.Generator().manual_seed(1)
    x = [torch.randn(2, 3, 3, generator=g, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    gaps = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0])
    assert torch.autograd.gradcheck(lambda *j: acceleration_energy(*j, *gaps), x)
    assert torch.autograd.gradcheck(lambda *j: velocity_energy(*j, gaps[0]), x[:2])
    with pytest.raises(ValueError, match="positive"):
        velocity_energy(x[0], x[1], torch.zeros(2))
    with pytest.raises(ValueError, match="same shape"):
        velocity_energy(x[0], x[1][:1], gaps[0])
    with pytest.raises(ValueError, match=r"gaps must have shape \(2,\)"):
        acceleration_energy(*x, gaps[0], gaps[1][:1])
