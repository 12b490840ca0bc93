"""The Triton kernels in Triton's interpreter against the reference, and their compilation ahead of time.

Without a GPU this is all that can be checked: the numbers and the indices, not the speed. Small meshes,
because the interpreter runs a program at a time in NumPy.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kernels_meshes import pair
from operator_cases import nearest_case, soft_case, winding_case

from apu_losses import geometry as g
from apu_losses.geometry import gradients
from apu_losses.geometry.cpu.winding import NODE, fit_tree
from apu_losses.geometry.cuda import backend as cuda
from apu_losses.geometry.requests import Bodies, EdgeGradient, Found
from apu_losses.geometry.topology import RegionIndex

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


@pytest.mark.parametrize("programs", [0, cuda._PROGRAMS])
def test_region_minima(meshes, programs, monkeypatch):
    """With one program for an edge, and with several that share it."""
    monkeypatch.setattr(cuda, "_PROGRAMS", programs)
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


@pytest.mark.parametrize("programs", [0, cuda._PROGRAMS])
def test_region_nearest(meshes, programs, monkeypatch):
    """Both sides of unions, of one tensor, of an edge that names no row; and what flows back."""
    monkeypatch.setattr(cuda, "_PROGRAMS", programs)
    m = meshes
    pairs = g.RegionPairs.from_unions(
        [0, 1, 1, 0],
        [1, 0, 1, 0],
        [[0, 3], list(range(len(m.regions))), [10], [0]],
        [[2, 4], [6], [1, 10], [10]],
    ).to(DEVICE)
    for second in (m.b, None):
        leaves = [x.clone().requires_grad_() for x in (m.a, m.b)]
        inputs = leaves[0], None if second is None else leaves[1]
        got, expected = both(lambda k, x=inputs: g.region_nearest_vertex(*x, pairs, m.regions, backend=k))
        assert_same(got, expected)
        for x, y in zip(
            *(
                torch.autograd.grad(f.distance2[f.distance2.isfinite()].sum(), leaves, allow_unused=True)
                for f in (got, expected)
            ),
            strict=True,
        ):
            assert x is y is None or torch.allclose(x, y, rtol=1e-4, atol=1e-6)
    zero, far = torch.zeros(1, dtype=torch.int64, device=DEVICE), torch.full((1,), 9, device=DEVICE)
    found = g.region_nearest_vertex(m.a, m.b, g.RegionPairs(far, zero, zero, zero), m.regions, backend="cuda")
    assert torch.isnan(found.distance2).all() and found.index_a.eq(-1).all() and found.index_b.eq(-1).all()


@pytest.mark.parametrize("self_contact", [False, True])
def test_gradients_that_meet_at_a_vertex(meshes, self_contact):
    """More ends than a tile holds, many of them at one vertex, some of them none."""
    m = meshes
    generator = torch.Generator().manual_seed(0)
    ends = [torch.randint(0, high, (150,), generator=generator) for high in (2, 2, 5, 7)]
    row_a, row_b, index_a, index_b = (x.to(DEVICE) for x in ends)
    index_a[3::17] = index_b[3::17] = -1
    gradient = torch.linspace(-1, 1, 150, device=DEVICE)

    def asked(a, b):
        found = Found(Bodies(a, None if self_contact else b), row_a, row_b, index_a, index_b)
        return EdgeGradient(found, gradient)

    got = cuda.edge_gradient(asked(m.a, m.b))
    expected = gradients.edge_gradient(asked(m.a.double(), m.b.double()))
    for x, y in zip(got, expected, strict=True):
        assert x.shape == y.shape and torch.allclose(x.double(), y, rtol=1e-5, atol=1e-6)
    assert got[0].abs().sum() > 0


def test_the_tree_is_that_of_the_cpu():
    """320 faces make four units: nodes of a unit and less from faces, larger ones from units."""
    m = pair(2, 2)
    m.a[1, 7, 2] = float("nan")
    t = m.topology
    order, start, end, skip = (x.numpy() for x in (t.face_order, t.node_start, t.node_end, t.node_skip))
    assert (end - start).max() > 2 * cuda.CONFIG["fit_nodes"]["UNIT"]
    fitted = cuda._fit_trees(m.a.to(DEVICE), t.to(DEVICE).tree)
    assert fitted.finite.tolist() == [1, 0]
    triangles = np.empty((len(order), 9), np.float32)
    nodes, spans = np.empty((len(start), NODE), np.float32), np.empty((len(start), 2, 3), np.float32)
    fit_tree(m.a[0].numpy(), t.faces.numpy(), order, start, end, skip, triangles, nodes, spans)
    got = fitted.nodes[0, : len(start)].numpy(force=True)
    assert np.array_equal(fitted.triangles[0].numpy(force=True), triangles)
    assert np.array_equal(fitted.boxes[0].numpy(force=True), spans[0])
    # The cpu back end does not divide nodes of 16 faces and less.
    visited, n = [], 0
    while n < len(start):
        visited.append(n)
        n = skip[n] if end[n] - start[n] <= 16 else n + 1
    same = [k for k in range(NODE) if k not in (3, 15)]
    assert np.allclose(got[visited][:, same], nodes[visited][:, same], rtol=1e-4, atol=2e-6)
    assert np.array_equal(got[:, 15], (end - start).astype(np.float32))
    for n in range(len(start)):  # every corner lies within the radius, and the radius not far beyond
        corners = triangles[start[n] : end[n]].reshape(-1, 3)
        far = np.linalg.norm(corners - got[n, :3], axis=1).max()
        assert far * (1 - 1e-5) <= got[n, 3] <= 1.5 * far


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


def test_rules_of_sums():
    torch.set_default_device(DEVICE)
    try:
        near = both(nearest_case)
        assert_same(near[0][0], near[1][0])
        assert_same(near[0][1], near[1][1])
        for got, expected in zip(*both(soft_case), strict=True):
            torch.testing.assert_close(got, expected, equal_nan=True)
        for method in ("tree", "exact"):
            got, expected = both(lambda k, m=method: winding_case(k, m))
            torch.testing.assert_close(got[0], expected[0], equal_nan=True, rtol=1e-4, atol=1e-4)
            assert torch.equal(got[1], expected[1])
    finally:
        torch.set_default_device("cpu")


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
