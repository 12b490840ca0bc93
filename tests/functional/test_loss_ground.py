"""Floors with known planes, soles with known heights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from apu_losses.functional.ground import below_ground, feet_on_ground, fit_ground, ground_height

LEVEL = torch.tensor([0.0, -1.0, 0.0, -1.5], dtype=torch.float64)


def test_height_over_a_level_and_a_tilted_floor():
    points = torch.tensor([[0.0, 1.5, 3.0], [1.0, 1.0, 4.0], [0.0, 1.6, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(ground_height(points, LEVEL), torch.tensor([0.0, 0.5, -0.1]).double())
    angle = np.radians(10)
    normal = torch.tensor([0.0, -np.cos(angle), -np.sin(angle)])
    plane = torch.cat([normal, (normal @ points[0])[None]])
    along = points[0] + 2 * torch.tensor([0.0, -np.sin(angle), np.cos(angle)])  # up the slope, away from us
    found = ground_height(torch.stack([points[0], along, along + 0.3 * normal]), plane)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 0.3]).double())
    assert torch.equal(ground_height(points, LEVEL.expand(3, 4)), ground_height(points, LEVEL))


def test_energies_by_hand_and_by_finite_differences():
    height = torch.tensor([-0.2, 0.0, 0.05, 1.0], dtype=torch.float64, requires_grad=True)
    expected = [0.01 * h * h / (0.01 + h * h) for h in height.tolist()]
    torch.testing.assert_close(feet_on_ground(height), torch.tensor(expected).double())
    torch.testing.assert_close(feet_on_ground(height, robust=None), height.square())
    torch.testing.assert_close(below_ground(height), torch.tensor([0.04, 0, 0, 0]).double())
    apart = torch.tensor([-0.2, 0.03, 0.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h: feet_on_ground(h) + below_ground(h), apart)
    lifted = torch.autograd.grad(feet_on_ground(height).sum(), height)[0]
    assert lifted[3].abs() < 0.005 * lifted[2].abs()  # a foot in the air is let go


def soles_on(plane: np.ndarray, count: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    x, z = rng.uniform(-2, 2, count), rng.uniform(2, 8, count)
    y = (plane[3] - plane[0] * x - plane[2] * z) / plane[1]
    return torch.as_tensor(np.stack([x, y, z], 1))


def test_many_soles_give_the_floor_back():
    normal = np.array([0.05, -1.0, -0.1])
    normal /= np.linalg.norm(normal)
    plane = np.array([*normal, normal @ [0, 1.5, 4]])
    found = fit_ground(soles_on(plane, 200), tilt=1.0, reach=3.0)
    np.testing.assert_allclose(found.numpy(), plane, atol=2e-4)


def test_the_ridge_equals_a_closed_form():
    """Two soles along z: the slope is that of ridge regression in one variable."""
    soles = torch.tensor([[0.0, 1.5, 3.0], [0.0, 1.4, 5.0]], dtype=torch.float64)
    plane = fit_ground(soles, tilt=0.1)
    slope = 0.1 * 1.0 * 2 / 2 / (2 * 1.0 + 0.25)  # sum dz dy / (sum dz^2 + ridge), dy = -+0.05, dz = -+1
    assert (-plane[2] / plane[1]).abs().item() == pytest.approx(slope, rel=1e-9)
    assert ground_height(soles, plane).sum().abs() < 1e-9


def test_one_person_gives_a_level_floor_and_a_carried_child_none():
    one = fit_ground(torch.tensor([[0.3, 1.2, 4.0]]))
    torch.testing.assert_close(one, torch.tensor([0.0, -1.0, 0.0, -1.2]))
    carried = fit_ground(torch.tensor([[0.3, 1.2, 4.0], [0.3, 0.6, 3.8]]))
    torch.testing.assert_close(carried, one)


def test_another_up():
    up = torch.tensor([0.0, 0.0, 1.0])
    plane = fit_ground(torch.tensor([[1.0, 2.0, 0.5], [2.0, 3.0, 0.5]]), up=up)
    torch.testing.assert_close(plane, torch.tensor([0.0, 0.0, 1.0, 0.5]))


def test_errors():
    with pytest.raises(ValueError, match="K >= 1"):
        fit_ground(torch.zeros(0, 3))
    with pytest.raises(ValueError, match=r"plane \(4,\)"):
        ground_height(torch.zeros(2, 3), torch.zeros(3))
