"""The Triton kernels in Triton's interpreter against the reference, and their compilation ahead of time.

Without a GPU this is all that can be checked: the numbers and the indices, not the speed. Small meshes,
because the interpreter runs a program at a time in NumPy.
"""

from __future__ import annotations

import pytest
import torch
from kernels_meshes import pair

from apu_losses.functional import geometry as g
from apu_losses.kernels.topology import RegionIndex

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture
def meshes():
    m = pair(2, 1)
    return type(m)(m.a.to(DEVICE), m.b.to(DEVICE), m.faces, m.topology.to(DEVICE), m.regions.to(DEVICE))


def assert_same(got, expected):
    for x, y in zip(got, expected, strict=True):
        assert x is y is None or torch.equal(torch.nan_to_num(x, nan=-7.0), torch.nan_to_num(y, nan=-7.0))


def both(call):
    return call("cuda"), call("reference")


def test_region_minima(meshes):
    m = meshes
    pairs = g.RegionPairs.from_unions(
        [0, 1, 1, 0], [1, 0, 1, 0], [[0, 3], [5, 5, 2], [10], [1]], [[2, 4], [6], [1, 10], [10]]
    ).to(DEVICE)
    assert_same(*both(lambda k: g.region_min_distance(m.a, m.b, pairs, m.regions, backend=k)))
    assert_same(*both(lambda k: g.region_min_distance(m.a, None, pairs, m.regions, backend=k)))
    half = RegionIndex.from_lists([m.regions.vertices(r).cpu() for r in (0, 4, 10)], 42).to(DEVICE)
    for cutoff in (None, 0.2):
        assert_same(
            *both(
                lambda k, c=cutoff: g.region_distance_matrix(
                    m.a[:1], m.b[:1], half, m.regions, cutoff=c, backend=k
                )
            )
        )


def test_rules():
    a = torch.tensor([[[0.0, 0, 0]] * 40 + [[float("nan"), 0, 0], [3e38, 0, 0]]], device=DEVICE)
    b = torch.tensor([[[5.0, 0, 0]] * 3 + [[1.0, 0, 0], [0.0, 1, 0], [-3e38, 0, 0]] * 12], device=DEVICE)
    regions_a = RegionIndex.from_lists([range(39, 1, -1), [40, 0], [], [41]], 42).to(DEVICE)
    regions_b = RegionIndex.from_lists([range(38, 0, -1), [], [5]], 39).to(DEVICE)
    assert_same(*both(lambda k: g.region_distance_matrix(a, b, regions_a, regions_b, backend=k)))
    assert_same(*both(lambda k: g.nearest_vertex(a, b, cutoff=0.9, backend=k)))
    assert_same(*both(lambda k: g.nearest_vertex(b, a, backend=k)))
    faces = torch.tensor([[0, 3, 4], [3, 3, 3], [0, 1, 2]], device=DEVICE)
    assert_same(*both(lambda k: g.nearest_surface(a, b, faces, backend=k)))
    # A kernel cannot raise: an edge that names nothing is NaN.
    zero, far = torch.zeros(1, dtype=torch.int64, device=DEVICE), torch.full((1,), 9, device=DEVICE)
    for pairs in (g.RegionPairs(far, zero, zero, zero), g.RegionPairs(zero, zero, zero, far)):
        found = g.region_min_distance(a, b, pairs, regions_a, regions_b, backend="cuda")
        assert torch.isnan(found.distance2).all() and found.index_a.eq(-1).all()


@pytest.mark.parametrize("target", ["vertex", "surface"])
def test_nearest_and_penetration(meshes, target):
    m = meshes
    if target == "vertex":
        assert_same(*both(lambda k: g.nearest_vertex(m.a, m.b, backend=k)))
    else:
        assert_same(*both(lambda k: g.nearest_surface(m.a[:1], m.b[:1], m.topology, backend=k)))
    t = m.topology
    assert_same(*both(lambda k: g.penetration(m.a, m.b, t, target=target, points_topology=t, backend=k)))


def test_bodies_as_rows(meshes):
    m = meshes
    bodies = torch.cat([m.a, m.b])
    rows = torch.tensor([0, 2, 1], device=DEVICE), torch.tensor([2, 0, 2], device=DEVICE)
    wanted = torch.arange(bodies.shape[1], device=DEVICE).remainder(3).ne(0).repeat(3, 1)
    t = m.topology
    for options in (
        {"target": "surface", "wanted": wanted, "points_topology": t},
        {"target": "vertex", "wanted": None},
    ):
        grads = []
        for backend in ("cuda", "reference"):
            leaf = bodies.clone().requires_grad_()
            found = g.penetration(leaf, leaf, t, rows=rows, backend=backend, **options)
            grads.append((found, torch.autograd.grad(found.distance2.sum(), leaf)[0]))
        assert grads[0][0].inside.any()
        assert_same(grads[0][0], grads[1][0])
        assert torch.allclose(grads[0][1], grads[1][1], rtol=1e-4, atol=1e-6)
    # A kernel cannot raise: an item that names no row is NaN.
    far = rows[0] + 7
    near = g.nearest_vertex(bodies, bodies, rows=(far, rows[1]), backend="cuda")
    assert torch.isnan(near.distance2).all() and near.vertex.eq(-1).all()
    assert not g.inside(bodies, bodies, t, rows=(rows[0], far), backend="cuda").any()


@pytest.mark.parametrize("method", ["tree", "exact", "rays"])
def test_winding_number(meshes, method):
    m = meshes
    got, exact = both(lambda k: g.winding_number(m.a, m.b, m.topology, method=method, backend=k))
    assert (got - exact).abs().max() < {"tree": 0.1, "exact": 2e-5, "rays": 1e-6}[method]
    within, expected = both(lambda k: g.inside(m.a, m.b, m.topology, method=method, backend=k))
    assert within.any() and torch.equal(within, expected)


def test_soft_minimum_and_gradients(meshes):
    m = meshes
    pairs = g.RegionPairs.from_unions([0, 1, 0], [1, 1, 1], [[0, 3], [5], [10]], [[2], [6, 7], [1]]).to(
        DEVICE
    )
    values = []
    for backend in ("cuda", "reference"):
        a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
        soft = g.region_soft_minimum(a, b, pairs, m.regions, temperature=1e-2, backend=backend)
        hard = g.region_min_distance(a, b, pairs, m.regions, backend=backend).distance2
        near = g.nearest_surface(a[:, :8], b, m.topology, backend=backend).distance2
        total = soft[:2].sum() + hard[:2].sum() + near.sum()
        values.append((soft.detach(), *torch.autograd.grad(total, (a, b))))
    assert torch.isinf(values[0][0][2])
    for got, expected in zip(*values, strict=True):
        assert torch.allclose(got, expected, rtol=1e-4, atol=1e-6)
