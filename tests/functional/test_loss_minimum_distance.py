"""The nearest two points of two bodies, against kd-trees, spheres and finite differences."""

from __future__ import annotations

import pytest
import torch
from loss_toys import icosphere
from scipy.spatial import cKDTree

from apu_losses.bodies import load_body
from apu_losses.functional.nearest import (
    minimum_distance,
    minimum_distance_energy,
    select_nearest,
)
from apu_losses.functional.rows import gather_points
from apu_losses.modules import MinimumDistanceLoss

SPHERE, FACES = icosphere(0.2, (0, 0, 0), subdivisions=2)


@pytest.mark.parametrize("apart", [0.41, 0.6, 2.0])
def test_spheres_along_an_axis_where_both_have_a_vertex(apart):
    """The icosphere has no vertex on the axis through two others' middle, so the kd-tree says which it is."""
    b = SPHERE + torch.tensor([apart, 0.0, 0.0], dtype=SPHERE.dtype)
    value = minimum_distance(SPHERE[None], b[None], FACES)
    assert value.item() == pytest.approx(cKDTree(b.numpy()).query(SPHERE.numpy())[0].min() ** 2, rel=1e-12)
    assert apart - 0.4 <= value.sqrt().item() < apart - 0.4 + 0.02


def test_bodies_of_different_poses_equal_a_kd_tree():
    body = load_body("free")
    generator = torch.Generator().manual_seed(3)
    pose = 0.3 * torch.randn(4, 63, generator=generator)
    places = torch.tensor([[0.0, 0, 0], [0.9, 0.1, 0.3], [0.2, 0.1, 0.3], [2.0, 1, 1]])
    vertices = body.pose({"body_pose": pose, "transl": places}).vertices().detach()
    rows = torch.tensor([0, 0, 1, 3]), torch.tensor([1, 2, 2, 0])
    found = select_nearest(vertices, body.faces, *rows)
    for k, (a, b) in enumerate(zip(*(r.tolist() for r in rows), strict=True)):
        distances, ids = cKDTree(vertices[b].double().numpy()).query(vertices[a].double().numpy())
        assert found.vertex_a[k] == distances.argmin() and found.vertex_b[k] == ids[distances.argmin()]


def test_gradient_by_finite_differences_and_to_two_vertices_only():
    b = (SPHERE + torch.tensor([0.5, 0.03, 0.02], dtype=SPHERE.dtype))[None]
    shift = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: minimum_distance(SPHERE[None], b + s, FACES), shift)
    bodies = torch.stack([SPHERE, b[0]]).requires_grad_()
    minimum_distance(bodies[:1], bodies[1:], FACES).sum().backward()
    assert (bodies.grad.abs().sum(2) > 0).sum(1).tolist() == [1, 1]
    torch.testing.assert_close(bodies.grad[0].sum(0), -bodies.grad[1].sum(0))


def test_descent_closes_the_gap():
    offset = torch.tensor([0.7, 0.1, -0.2], dtype=torch.float64).requires_grad_()
    optimiser = torch.optim.Adam([offset], lr=0.02)
    for _ in range(60):
        optimiser.zero_grad()
        loss = minimum_distance(SPHERE[None], SPHERE[None] + offset, FACES).sum()
        loss.backward()
        optimiser.step()
    assert loss.item() ** 0.5 < 0.01


def test_a_broken_body_is_nan_alone():
    bodies = torch.stack([SPHERE, SPHERE + 0.5, SPHERE - 0.5])
    bodies[2, 7] = torch.nan
    bodies.requires_grad_()
    found = select_nearest(bodies, FACES, torch.tensor([0, 0]), torch.tensor([1, 2]))
    value = minimum_distance_energy(
        gather_points(bodies, found.row_a, found.vertex_a),
        gather_points(bodies, found.row_b, found.vertex_b),
        found,
    )
    assert value[0] > 0 and value[1].isnan()
    value[0].backward()
    assert bodies.grad.isfinite().all()


def test_module_is_a_shell():
    a, b = SPHERE[None], SPHERE[None] + 0.4
    torch.testing.assert_close(
        MinimumDistanceLoss(FACES, template=SPHERE)(a, b), minimum_distance(a, b, FACES)
    )


def test_errors():
    rows = torch.tensor([0])
    with pytest.raises(ValueError, match="different bodies"):
        select_nearest(SPHERE[None], FACES, rows, rows)
    with pytest.raises(ValueError, match=r"shape \(Q,\)"):
        select_nearest(SPHERE[None], FACES, rows, torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="same shape"):
        minimum_distance(SPHERE[None], SPHERE[None, :9], FACES)
    found = select_nearest(torch.stack([SPHERE, SPHERE + 1]), FACES, rows, rows + 1)
    with pytest.raises(ValueError, match=r"points_a must have shape \(1, 3\)"):
        minimum_distance_energy(SPHERE[:2], SPHERE[:1], found)
