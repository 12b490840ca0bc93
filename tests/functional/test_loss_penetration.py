"""Penetration of spheres, whose depth is known, against libigl and finite differences."""

from __future__ import annotations

import math

import igl
import numpy as np
import pytest
import torch
from loss_toys import icosphere

from apu_losses.functional.metrics import penetration_depth
from apu_losses.functional.penetration import penetration_energy, penetration_loss, select_penetrations
from apu_losses.functional.penetration_selection import penetration_points
from apu_losses.modules import PenetrationLoss

SPHERE, FACES = icosphere(0.2, (0, 0, 0), subdivisions=2)
PAIR = (torch.tensor([0]), torch.tensor([1]))


def spheres(*centres: float, scales: tuple[float, ...] | None = None) -> torch.Tensor:
    scales = scales or (1.0,) * len(centres)
    return torch.stack(
        [
            SPHERE * s + torch.tensor([c, 0.01, 0.02], dtype=SPHERE.dtype)
            for c, s in zip(centres, scales, strict=True)
        ]
    )


def igl_loss(a: torch.Tensor, b: torch.Tensor, power: int = 1) -> float:
    total = 0.0
    for points, container in ((a, b), (b, a)):
        p, v, f = points.numpy(), container.numpy(), FACES.numpy()
        inside = igl.winding_number(v, f, p) > 0.5
        squared = igl.point_mesh_squared_distance(p[inside], v, f)[0] if inside.any() else np.zeros(0)
        total += float(squared.sum() if power == 1 else ((100 * squared) ** 2).sum())
    return total


@pytest.mark.parametrize("apart", [0.1, 0.25, 0.35, 0.39])
def test_overlapping_spheres_equal_libigl(apart):
    bodies = spheres(0, apart)
    loss = penetration_loss(bodies[:1], bodies[1:], FACES)
    assert loss.item() == pytest.approx(igl_loss(*bodies), rel=1e-9)
    quartic = penetration_loss(bodies[:1], bodies[1:], FACES, energy="quartic")
    assert quartic.item() == pytest.approx(igl_loss(*bodies, power=2), rel=1e-9)


def test_depth_of_overlapping_spheres():
    """Two spheres of radius R at distance c reach R + R - c into each other, but for the size of a face."""
    depth = penetration_depth(spheres(0, 0.3), FACES, *PAIR)
    assert depth.largest.item() == pytest.approx(0.1, abs=0.01)
    assert 0 < depth.p95 <= depth.largest and depth.inside > 10


def test_nearest_vertex_is_never_nearer_than_the_surface():
    a, b = spheres(0, 0.25)[:, None]
    surface, vertex = (penetration_loss(a, b, FACES, target=t).item() for t in ("surface", "vertex"))
    assert surface < vertex < 2 * surface + 1e-3


@pytest.mark.parametrize("target", ["surface", "vertex"])
def test_a_body_wholly_inside_another_counts(target):
    """All 162 vertices of a small sphere are inside a big one, none of the big one inside the small."""
    big, small = spheres(0, 0.05, scales=(1.0, 0.2))[:, None]
    for a, b in ((big, small), (small, big)):
        selection = select_penetrations(torch.cat([a, b]), FACES, *PAIR, target=target)
        assert len(selection) == len(SPHERE)
        loss = penetration_loss(a, b, FACES, target=target)
        assert loss.item() > 100 * 0.1**2


def test_a_third_person_far_away_changes_nothing():
    """A third body must not switch off the penetration of the other two."""
    two, three = spheres(0, 0.3), spheres(0, 0.3, 50.0)
    rows = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2])
    selection = select_penetrations(three, FACES, *rows)
    energy = penetration_energy(*penetration_points(three, selection), selection)
    assert energy[0] == penetration_loss(two[:1], two[1:], FACES)[0] > 0
    assert energy[1:].tolist() == [0, 0]


def test_nothing_inside_gives_zero_and_zero_gradient():
    bodies = spheres(0, 0.41).requires_grad_(True)
    loss = penetration_loss(bodies[:1], bodies[1:], FACES)
    loss.sum().backward()
    assert loss.item() == 0 and bodies.grad.abs().max() == 0


@pytest.mark.parametrize("energy", ["l2", "quartic"])
@pytest.mark.parametrize("target", ["surface", "vertex"])
def test_gradient_by_finite_differences(target, energy):
    bodies = spheres(0, 0.33)

    def loss(shift):
        moved = bodies[1:] + shift
        return penetration_loss(bodies[:1], moved, FACES, target=target, energy=energy)

    start = torch.tensor([[0.0, 0.003, -0.002]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, start, eps=1e-7, atol=1e-6, rtol=1e-4)


def test_descent_pushes_the_bodies_apart():
    bodies = spheres(0, 0.3)
    shift = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    losses = []
    for _ in range(60):
        loss = penetration_loss(bodies[:1], bodies[1:] + shift, FACES).sum()
        losses.append(loss.item())
        (gradient,) = torch.autograd.grad(loss, shift)
        with torch.no_grad():
            shift -= 2e-3 * gradient / (gradient.norm() + 1e-12)
    assert losses[-1] < 0.02 * losses[0] and shift[0] > 0.08


def test_only_chosen_vertices_are_tested():
    bodies = spheres(0, 0.3)
    ids = torch.arange(0, len(SPHERE), 3)
    every = select_penetrations(bodies, FACES, *PAIR)
    some = select_penetrations(bodies, FACES, *PAIR, vertex_ids=ids)
    wanted = every.vertex[torch.isin(every.vertex, ids)]
    assert torch.equal(some.vertex, wanted) and 0 < len(some) < len(every)


def test_a_broken_body_is_nan_and_spoils_no_other_pair():
    bodies = spheres(0, 0.3, 0.6)
    bodies[2, 5] = float("nan")
    rows = torch.tensor([0, 1]), torch.tensor([1, 2])
    selection = select_penetrations(bodies, FACES, *rows)
    energy = penetration_energy(*penetration_points(bodies, selection), selection)
    assert energy[0] > 0 and energy[1].isnan()
    depth = penetration_depth(bodies, FACES, *rows)
    assert depth.p95[0] > 0 and depth.inside[1].isnan() and depth.largest[1].isnan()


def test_translation_and_depth_change_nothing():
    bodies = spheres(0, 0.3)
    reference = penetration_loss(bodies[:1], bodies[1:], FACES)
    far = (bodies + torch.tensor([20.0, -15.0, 60.0], dtype=torch.float64)).float()
    loss = penetration_loss(far[:1], far[1:], FACES)
    assert loss.item() == pytest.approx(reference.item(), rel=2e-3)


def test_the_same_bits_each_time():
    results = []
    for _ in range(2):
        bodies = spheres(0, 0.3).float().requires_grad_(True)
        penetration_loss(bodies[:1], bodies[1:], FACES).sum().backward()
        results.append(bodies.grad)
    assert torch.equal(*results)


def test_module_is_a_shell():
    bodies = spheres(0, 0.3)
    module = PenetrationLoss(FACES, template=SPHERE, energy="quartic", target="vertex")
    expected = penetration_loss(bodies[:1], bodies[1:], FACES, energy="quartic", target="vertex")
    torch.testing.assert_close(module(bodies[:1], bodies[1:]), expected)


def test_percentile_is_that_of_both_directions():
    bodies = spheres(0, 0.3)
    selection = select_penetrations(bodies, FACES, *PAIR)
    points, targets = penetration_points(bodies, selection)
    depths = (points - targets).norm(dim=1).numpy()
    depth = penetration_depth(bodies, FACES, *PAIR)
    assert depth.p95.item() == pytest.approx(np.percentile(depths, 95))
    assert depth.inside.item() == len(depths) and math.isclose(depth.largest.item(), depths.max())


def test_errors():
    bodies = spheres(0, 0.3)
    with pytest.raises(ValueError, match="different bodies"):
        select_penetrations(bodies, FACES, PAIR[0], PAIR[0])
    with pytest.raises(ValueError, match="'vertex' or 'surface'"):
        penetration_loss(bodies[:1], bodies[1:], FACES, target="edge")
    with pytest.raises(ValueError, match="'l2' or 'quartic'"):
        penetration_loss(bodies[:1], bodies[1:], FACES, energy="l1")
    with pytest.raises(ValueError, match="same shape"):
        penetration_loss(bodies[:1], bodies[1:, :10], FACES)
    with pytest.raises(ValueError, match=r"shape \(Q,\)"):
        select_penetrations(bodies, FACES, PAIR[0], torch.tensor([1, 1]))
