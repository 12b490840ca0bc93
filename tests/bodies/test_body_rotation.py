"""Axis-angle to matrix, against scipy and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import roma
import torch
from scipy.spatial.transform import Rotation

from apu_losses.bodies import rotation_matrix


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-8, 1e-4, 0.0316, 0.0317, 0.5, 3.0, math.pi, 6.0, 12.0])
def test_equals_scipy_at_every_size_of_angle(angle: float) -> None:
    axis = np.random.default_rng(0).normal(size=(20, 3))
    vectors = axis / np.linalg.norm(axis, axis=1, keepdims=True) * angle
    expected = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(rotation_matrix(torch.tensor(vectors)).numpy(), expected, atol=2e-15)
    single = rotation_matrix(torch.tensor(vectors, dtype=torch.float32)).double().numpy()
    np.testing.assert_allclose(single, expected, atol=2e-6)


def test_gradient_at_zero_is_the_generator_of_rotations() -> None:
    jacobian = torch.autograd.functional.jacobian(rotation_matrix, torch.zeros(3, dtype=torch.float64))
    expected = torch.zeros(3, 3, 3, dtype=torch.float64)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        expected[i, j, k], expected[j, i, k] = -1, 1
    torch.testing.assert_close(jacobian, expected)


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.03, 0.032, 1.0, math.pi, 7.0])
def test_first_and_second_derivatives_are_those_of_finite_differences(angle: float) -> None:
    direction = torch.tensor([[0.6, -0.48, 0.64]], dtype=torch.float64)
    vector = (direction * angle).requires_grad_()
    assert torch.autograd.gradcheck(rotation_matrix, (vector,), atol=1e-8)
    assert torch.autograd.gradgradcheck(rotation_matrix, (vector,), atol=1e-6)


def test_gradient_equals_romas_in_single_precision() -> None:
    vectors = torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
    weight = torch.randn(200, 3, 3, generator=torch.Generator().manual_seed(2))
    grads = []
    for convert in (rotation_matrix, roma.rotvec_to_rotmat):
        leaf = vectors.clone().requires_grad_()
        (convert(leaf) * weight).sum().backward()
        grads.append(leaf.grad)
    torch.testing.assert_close(grads[0], grads[1], atol=2e-6, rtol=1e-5)
