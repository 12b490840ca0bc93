"""Pairs of different topologies: against one topology renumbered, kd-trees, libigl and finite differences."""

from __future__ import annotations

import igl
import numpy as np
import pytest
import torch
from loss_toys import VERTICES, icosphere, toy_bodies, toy_map, toy_regions
from scipy.spatial import cKDTree

from apu_contacts import ContactMap, RegionMap
from apu_losses.functional import minimum_distance, penetration_loss, soft_contact
from apu_losses.geometry.topology import RegionIndex
from apu_losses.modules import MinimumDistanceLoss, PenetrationLoss, SoftContactLoss

REGIONS = toy_regions()
A, B = toy_bodies(4)[:2], toy_bodies(4)[2:]
MAPS = [toy_map(3, 0), toy_map(2, 5)]
ORDER = np.random.default_rng(3).permutation(VERTICES)
EXTRA = 7  # vertices of the other topology that are in no region
OTHER = RegionIndex.from_lists(
    [np.argsort(ORDER)[REGIONS.vertices(r).numpy()] for r in range(75)], VERTICES + EXTRA
)
B_RENUMBERED = torch.cat([B[:, ORDER], torch.zeros(2, EXTRA, 3, dtype=B.dtype)], 1)


@pytest.mark.parametrize("order", ["given", "either", ("either", "given")], ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"over": "pairs"}, {"robust": 0.2}, {"soft": 0.02}, {"mode": "chamfer_quartic"}],
    ids=str,
)
def test_another_numbering_of_one_mesh_is_the_same_pair(options: dict, order) -> None:
    one = soft_contact(A, B, MAPS, REGIONS, order=order, **options)
    two = soft_contact(A, B_RENUMBERED, MAPS, REGIONS, regions_b=OTHER, order=order, **options)
    torch.testing.assert_close(two, one, rtol=1e-12, atol=1e-15)


def test_the_gradient_is_that_of_one_topology_and_of_differences() -> None:
    a, b = A.clone().requires_grad_(), B.clone().requires_grad_()
    soft_contact(a, b, MAPS, REGIONS).sum().backward()
    a2, b2 = A.clone().requires_grad_(), B_RENUMBERED.clone().requires_grad_()
    soft_contact(a2, b2, MAPS, REGIONS, regions_b=OTHER).sum().backward()
    torch.testing.assert_close(a2.grad, a.grad)
    assert b2.grad is not None and b.grad is not None
    torch.testing.assert_close(b2.grad[:, :VERTICES], b.grad[:, ORDER])
    assert not b2.grad[:, VERTICES:].any()
    shift = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda s: soft_contact(A, B_RENUMBERED + s, MAPS, REGIONS, regions_b=OTHER, robust=0.3), shift
    )


def test_a_person_and_an_object_with_regions_of_its_own() -> None:
    """A ball of two halves, regions 0 and 1 of an object; the other numbers have no vertices there."""
    ball, _ = icosphere(0.3, (0.8, 0, 0), subdivisions=2)
    upper = ball[:, 1] > 0
    halves = RegionMap.from_lists(
        [np.flatnonzero(upper), np.flatnonzero(~upper), *[[]] * 73],
        len(ball),
        topology="ball",
        provenance="test",
    )
    loss = SoftContactLoss(REGIONS, regions_b=halves)
    value = loss(A[:1], ball[None], ContactMap([(12, 0)], [0.5]))
    nearest = cKDTree(ball[upper].numpy()).query(A[0][REGIONS.vertices(12)].numpy())[0].min()
    assert value.item() == pytest.approx(0.5 * nearest**2, rel=1e-9)
    found = loss.values(A[:1], ball[None], ContactMap([(12, 0), (13, 1)], [0.5, 1.0]))
    assert found.per_pair().shape == (1,) and found.value[0].item() == pytest.approx(nearest**2, rel=1e-9)
    with pytest.raises(ValueError, match=r"regions \[40\] of mesh b"):
        loss(A[:1], ball[None], ContactMap([(12, 40)]))
    with pytest.raises(ValueError, match="the other way round"):
        loss(ball[None], A[:1], ContactMap([(0, 12)]))
    with pytest.raises(ValueError, match="as many items"):
        loss(A, ball[None], ContactMap([(12, 0)]))
    with pytest.raises(TypeError, match="laid out for one"):
        loss(A[:1], ball[None], SoftContactLoss(REGIONS).edges(ContactMap([(12, 0)])))


def test_an_empty_map_gives_nothing() -> None:
    a = A.clone().requires_grad_()
    value = soft_contact(a, B_RENUMBERED, ContactMap.empty(), REGIONS, regions_b=OTHER)
    assert value.tolist() == [0, 0]


COARSE, COARSE_FACES = icosphere(0.2, (0, 0, 0), subdivisions=2)
FINE, FINE_FACES = icosphere(0.12, (0.25, 0.01, 0.02), subdivisions=3)


def by_igl(power: int = 1) -> float:
    total = 0.0
    for points, mesh, faces in ((COARSE, FINE, FINE_FACES), (FINE, COARSE, COARSE_FACES)):
        p, v, f = points.numpy(), mesh.numpy(), faces.numpy()
        inside = igl.winding_number(v, f, p) > 0.5
        squared = igl.point_mesh_squared_distance(p[inside], v, f)[0]
        assert inside.any()
        total += float(squared.sum() if power == 1 else ((100 * squared) ** 2).sum())
    return total


def test_penetration_of_two_meshes_equals_libigl() -> None:
    given = COARSE[None], FINE[None], COARSE_FACES
    assert penetration_loss(*given, faces_b=FINE_FACES).item() == pytest.approx(by_igl(), rel=1e-6)
    quartic = PenetrationLoss(COARSE_FACES, faces_b=FINE_FACES, energy="quartic")(*given[:2])
    assert quartic.item() == pytest.approx(by_igl(2), rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"target": "vertex"}, {"mutual": True}], ids=str)
def test_penetration_of_one_mesh_twice_is_that_of_one(options: dict) -> None:
    b = COARSE[None] + torch.tensor([0.25, 0.01, 0.02], dtype=COARSE.dtype)
    one = penetration_loss(COARSE[None], b, COARSE_FACES, **options)
    two = penetration_loss(COARSE[None], b, COARSE_FACES, faces_b=COARSE_FACES.clone(), **options)
    torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-9)


def test_the_gradient_of_penetration_by_differences() -> None:
    shift = torch.tensor([0.001, 0.0, 0.0], dtype=torch.float64, requires_grad=True)

    def loss(s: torch.Tensor) -> torch.Tensor:
        return penetration_loss(COARSE[None], FINE[None] + s, COARSE_FACES, faces_b=FINE_FACES)

    loss(shift).sum().backward()
    for axis in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[axis] = 1e-6
        numeric = (loss(shift.detach() + step) - loss(shift.detach() - step)).item() / 2e-6
        assert shift.grad is not None
        assert shift.grad[axis].item() == pytest.approx(numeric, rel=1e-3, abs=1e-5)


def test_apart_is_nothing_and_broken_shows() -> None:
    far = FINE[None] + 3
    assert penetration_loss(COARSE[None], far, COARSE_FACES, faces_b=FINE_FACES).item() == 0
    broken = FINE[None].clone()
    broken[0, 0, 0] = torch.nan
    assert penetration_loss(COARSE[None], broken, COARSE_FACES, faces_b=FINE_FACES).isnan().all()
    with pytest.raises(ValueError, match="target must be"):
        penetration_loss(COARSE[None], far, COARSE_FACES, faces_b=FINE_FACES, target="entry")


def test_the_nearest_points_of_two_topologies_are_those_of_a_kd_tree() -> None:
    """Two people, two balls of other numbers of vertices; one of them not finite; far away in float64."""
    ball, faces_b = icosphere(0.3, (0.8, 0, 0), subdivisions=2)
    balls = torch.stack([ball, ball + 0.5])
    faces_a = icosphere(1.0, (0, 0, 0), subdivisions=1)[1]
    people = torch.stack(
        [icosphere(0.2, (-0.3, 0, 0), subdivisions=1)[0], icosphere(0.2, (0, 0, 0), subdivisions=1)[0]]
    )
    nearest = [cKDTree(b.numpy()).query(a.numpy())[0].min() ** 2 for a, b in zip(people, balls, strict=True)]
    found = minimum_distance(people, balls, faces_a, faces_b=faces_b)
    np.testing.assert_allclose(found, nearest, rtol=1e-12)
    np.testing.assert_allclose(MinimumDistanceLoss(faces_a, faces_b=faces_b)(people, balls), found)
    there = torch.tensor([1e6, 0, 0], dtype=torch.float64)
    moved = minimum_distance(people + there, balls + there, faces_a, faces_b=faces_b)
    np.testing.assert_allclose(moved, nearest, rtol=1e-6)
    shift = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda s: minimum_distance(people, balls + s, faces_a, faces_b=faces_b), shift
    )
    broken = balls.clone()
    broken[1, 5] = torch.nan
    broken.requires_grad_()
    value = minimum_distance(people, broken, faces_a, faces_b=faces_b)
    value.nansum().backward()
    assert value.isnan().tolist() == [False, True]
    assert broken.grad is not None and bool(broken.grad.isfinite().all())
