"""Closed-form derivatives against forward-mode differentiation of the body itself, in float64."""

from __future__ import annotations

import pytest
import torch

from apu_losses.bodies import load_body
from apu_losses.bodies.derivatives import ForwardModeDerivatives, body_derivatives
from apu_losses.bodies.skinning_derivatives import right_jacobian
from apu_losses.numerics.rotations import rotation_matrix

NAMES = ("transl", "body_pose", "global_orient", "betas", "age", "left_hand_pose", "jaw_pose")


@pytest.fixture(scope="module")
def body():
    return load_body("free").to(dtype=torch.float64)


def some_params(body, rows: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: 0.4 * torch.randn(rows, spec.size, generator=generator, dtype=torch.float64)
        for name, spec in body.parameter_specs.items()
    }


def test_closed_form_equals_forward_mode(body):
    params = some_params(body)
    params["body_pose"][0, :6] = 0.0  # joints that do not turn at all
    rows = torch.arange(3).repeat_interleave(40)
    ids = torch.randint(body.num_vertices, (120,), generator=torch.Generator().manual_seed(1))
    ours, twin = body_derivatives(body, params, NAMES), ForwardModeDerivatives(body, params, NAMES)
    torch.testing.assert_close(ours.joints, twin.joints, atol=1e-9, rtol=0)
    torch.testing.assert_close(ours.select(rows, ids), twin.select(rows, ids), atol=1e-9, rtol=0)
    for skeleton in ("body25", "coco_wholebody133"):
        torch.testing.assert_close(ours.keypoints(skeleton), twin.keypoints(skeleton), atol=1e-9, rtol=0)
    assert float(ours.select(rows, ids)[..., 3:].abs().amax()) > 0.1  # not all zero


@pytest.mark.parametrize("size", [0.0, 1e-4, 0.02, 0.04, 1.0, 3.1])
def test_right_jacobian_is_the_derivative_of_the_rotation(size):
    vector = size * torch.nn.functional.normalize(torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64), dim=0)
    rates = torch.func.jacfwd(rotation_matrix)(vector)  # (3, 3, c)
    local = torch.einsum("ji,jkc->ikc", rotation_matrix(vector), rates)  # R^T dR is a skew matrix
    axes = torch.stack([local[2, 1], local[0, 2], local[1, 0]])
    torch.testing.assert_close(right_jacobian(vector), axes, atol=1e-10, rtol=0)
