"""Compiled kinematics against the plain twin, at every size of angle and on other trees."""

from __future__ import annotations

import math

import pytest
import torch
from made_up_body import PARENTS

from apu_losses.bodies.articulate import articulate
from apu_losses.bodies.kinematics import KinematicTree

SHUFFLED = (3, -1, 0, 1, 2, -1, 5)  # two roots, parents after children


@pytest.mark.parametrize("parents", [PARENTS, SHUFFLED], ids=["smplx", "shuffled"])
@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 0.0315, 0.0317, 1.0, math.pi, 7.0])
def test_values_and_gradients_are_those_of_the_twin(parents: tuple[int, ...], angle: float) -> None:
    generator = torch.Generator().manual_seed(0)
    tree = KinematicTree(parents)
    shape = (3, len(parents), 3)
    direction = torch.randn(shape, generator=generator, dtype=torch.float64)
    vectors = direction / direction.norm(dim=-1, keepdim=True) * angle
    rest = torch.randn(shape, generator=generator, dtype=torch.float64)
    results = []
    for backend in ("torch", "cpu"):
        leaves = [vectors.clone().requires_grad_(), rest.clone().requires_grad_()]
        outputs = articulate(*leaves, tree, backend)
        generator.manual_seed(1)
        loss = sum(
            (out * torch.randn(out.shape, generator=generator, dtype=out.dtype)).sum() for out in outputs
        )
        results.append([*outputs, *torch.autograd.grad(loss, leaves)])
    for compiled, plain in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(compiled, plain, atol=1e-11, rtol=1e-11)


def test_nan_stays_in_its_row() -> None:
    tree = KinematicTree(PARENTS)
    vectors, rest = torch.zeros(2, 55, 3), torch.ones(2, 55, 3)
    vectors[0, 0, 0] = math.nan
    transforms, positions, _ = articulate(vectors, rest, tree, "cpu")
    assert transforms[0].isnan().any() and positions[0, 1:].isnan().all()
    assert torch.isfinite(transforms[1]).all() and torch.isfinite(positions[1]).all()
