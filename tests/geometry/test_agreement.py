"""Every back end against the reference, bit for bit: values, indices, and gradients as a vector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_meshes import GPU, all_edges, blob, pair

from apu_losses import geometry as g
from apu_losses.geometry.topology import RegionIndex

FAST = ["cpu", "torch", *GPU]


def assert_same(got, expected):
    """The same numbers to the bit, NaN equal to NaN."""
    for field, x, y in zip(expected._fields, got, expected, strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape, field
        assert torch.equal(torch.nan_to_num(x, nan=-7.0), torch.nan_to_num(y, nan=-7.0)), field


def gradients(value, *inputs):
    weight = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view(value.shape)
    finite = torch.isfinite(value)
    total = (torch.where(finite, value, torch.zeros_like(value)) * weight).sum()
    return torch.autograd.grad(total, inputs)


def assert_same_direction(got, expected):
    """As one vector: length and direction agree."""
    for x, y in zip(got, expected, strict=True):
        x, y = x.flatten().double(), y.flatten().double()
        assert (x - y).norm() <= 1e-5 * y.norm().clamp(min=1e-12)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("subdivisions", [1, 2, 3])
def test_region_min(backend, batch, subdivisions):
    m = pair(batch, subdivisions)
    row, ga, gb = all_edges(batch, len(m.regions))
    pairs = g.RegionPairs(row, row, ga, gb)
    a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
    expected = g.region_min_distance(a, b, pairs, m.regions, backend="reference")
    got = g.region_min_distance(a, b, pairs, m.regions, backend=backend)
    assert_same(got, expected)
    assert_same_direction(gradients(got.distance2, a, b), gradients(expected.distance2, a, b))


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize(("batch", "subdivisions"), [(1, 1), (3, 2), (1, 3)])
def test_region_nearest(backend, batch, subdivisions):
    m = pair(batch, subdivisions)
    row, ga, gb = all_edges(batch, len(m.regions))
    pairs = g.RegionPairs(row, row, ga, gb)
    a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
    expected = g.region_nearest_vertex(a, b, pairs, m.regions, backend="reference")
    got = g.region_nearest_vertex(a, b, pairs, m.regions, backend=backend)
    assert_same(got, expected)
    assert_same_direction(gradients(got.distance2, a, b), gradients(expected.distance2, a, b))
    # The smallest of both sides is the region minimum.
    least = g.region_min_distance(a, b, pairs, m.regions, backend=backend).distance2
    for k in range(len(pairs)):
        for s in range(2 * k, 2 * k + 2):
            side = got.distance2[got.offsets[s] : got.offsets[s + 1]]
            assert not len(side) or side.min() == least[k]


@pytest.mark.parametrize("backend", FAST)
def test_region_nearest_of_unions_and_one_tensor(backend, monkeypatch):
    """Self-contact, a union that is the whole, an empty one, a region named twice; in many small parts."""
    from apu_losses.geometry.pytorch import blocks

    monkeypatch.setattr(blocks, "BLOCK_PAIRS", 20)
    monkeypatch.setattr(blocks, "TILES", 7)
    m = pair(2, 2)
    bodies = torch.cat([m.a, m.b]).requires_grad_()
    edges = g.RegionPairs.from_unions(
        [0, 1, 2, 3, 0],
        [2, 3, 2, 1, 1],
        [[0, 3], list(range(len(m.regions))), [1], [11], [4, 4, 5]],
        [[2], [7, 8, 9], [6, 5], [0], [4]],
    )
    expected = g.region_nearest_vertex(bodies, None, edges, m.regions, backend="reference")
    got = g.region_nearest_vertex(bodies, None, edges, m.regions, backend=backend)
    assert_same(got, expected)
    assert_same_direction(gradients(got.distance2, bodies), gradients(expected.distance2, bodies))


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("cutoff", [None, 0.05, 1e-4])
def test_region_matrix(backend, cutoff):
    m = pair(2, 3)
    a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
    expected = g.region_distance_matrix(a, b, m.regions, cutoff=cutoff, backend="reference")
    got = g.region_distance_matrix(a, b, m.regions, cutoff=cutoff, backend=backend)
    assert_same(got, expected)
    if cutoff != 1e-4:
        assert_same_direction(gradients(got.distance2, a, b), gradients(expected.distance2, a, b))


@pytest.mark.parametrize("backend", FAST)
def test_unions_and_graph_form(backend):
    m = pair(2, 3)
    bodies = torch.cat([m.a, m.b]).requires_grad_()
    # Between bodies, within one body, a union that is the whole, an empty one, one with a region named twice.
    edges = g.RegionPairs.from_unions(
        [0, 1, 2, 3, 0],
        [2, 3, 2, 1, 1],
        [[0, 3], list(range(len(m.regions))), [1], [11], [4, 4, 5]],
        [[2], [7, 8, 9], [6, 5], [0], [4]],
    )
    expected = g.region_min_distance(bodies, None, edges, m.regions, backend="reference")
    got = g.region_min_distance(bodies, None, edges, m.regions, backend=backend)
    assert_same(got, expected)
    assert_same_direction(gradients(got.distance2, bodies), gradients(expected.distance2, bodies))


def test_many_groups_on_many_rows(monkeypatch):
    """The patches of the cpu back end are numbered by sorting when a table would be large."""
    from apu_losses.geometry.cpu import backend

    m = pair(2, 2)
    edges = g.RegionPairs.from_unions(
        [0, 1, 0, 1], [1, 0, 0, 0], [[0, 3], [2], [0, 3], [5]], [[2], [0, 3], [4, 1], [2]]
    )
    expected = g.region_min_distance(m.a, None, edges, m.regions, backend="cpu")
    monkeypatch.setattr(backend, "_TABLE", 0)
    assert_same(g.region_min_distance(m.a, None, edges, m.regions, backend="cpu"), expected)


@pytest.mark.parametrize("backend", FAST)
def test_two_topologies(backend):
    small, large = pair(2, 2), pair(2, 3)
    row, ga, gb = all_edges(2, len(small.regions))
    pairs = g.RegionPairs(row, row, ga, gb)
    args = (small.a, large.b, pairs, small.regions, large.regions)
    for call in (g.region_min_distance, g.region_nearest_vertex):
        assert_same(call(*args, backend=backend), call(*args, backend="reference"))


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("with_topology", [True, False])
@pytest.mark.parametrize("cutoff", [None, 0.08])
def test_nearest_vertex(backend, with_topology, cutoff):
    m = pair(2, 3)
    a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
    topology = {"points_topology": m.topology, "vertices_topology": m.topology} if with_topology else {}
    expected = g.nearest_vertex(a, b, cutoff=cutoff, backend="reference")
    got = g.nearest_vertex(a, b, cutoff=cutoff, backend=backend, **topology)
    assert_same(got, expected)
    assert_same_direction(gradients(got.distance2, a, b), gradients(expected.distance2, a, b))


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("cutoff", [None, 0.05])
def test_nearest_surface(backend, cutoff):
    m = pair(2, 3)
    a, b = m.a[:, ::3].clone().requires_grad_(), m.b.clone().requires_grad_()
    expected = g.nearest_surface(a, b, m.faces, cutoff=cutoff, backend="reference")
    got = g.nearest_surface(a, b, m.topology, cutoff=cutoff, backend=backend)
    assert_same(got, expected)
    assert_same_direction(gradients(got.distance2, a, b), gradients(expected.distance2, a, b))


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("temperature", [1e-4, 1e-2])
def test_soft_minimum(backend, temperature):
    m = pair(2, 2)
    row, ga, gb = all_edges(2, len(m.regions))
    pairs = g.RegionPairs(row, row, ga, gb)
    a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
    exact = [t.detach().double().requires_grad_() for t in (a, b)]
    expected = g.region_soft_minimum(*exact, pairs, m.regions, temperature=temperature, backend="reference")
    got = g.region_soft_minimum(a, b, pairs, m.regions, temperature=temperature, backend=backend)
    assert torch.equal(torch.isinf(got), torch.isinf(expected))
    finite = torch.isfinite(expected)
    assert (got - expected)[finite].abs().max() < 1e-6
    assert_same_direction(gradients(got, a, b), gradients(expected, *exact))


@pytest.mark.parametrize("backend", FAST)
def test_soft_minimum_counts_a_vertex_of_two_regions_once(backend):
    m = pair(1, 2)
    regions = RegionIndex.from_lists([[0, 1, 2, 3], [2, 3, 4], [20, 21]], m.a.shape[1], m.a[0])
    union = g.RegionPairs.from_unions([0], [0], [[0, 1]], [[2]])
    got = g.region_soft_minimum(m.a, m.b, union, regions, temperature=1e-2, backend=backend)
    d2 = ((m.a[0, :5, None].double() - m.b[0, None, 20:22].double()) ** 2).sum(-1)
    expected = -1e-2 * torch.logsumexp(-d2.flatten() / 1e-2, 0)
    assert abs(float(got) - float(expected)) < 1e-6


@pytest.mark.parametrize("target", ["vertex", "surface"])
@pytest.mark.parametrize("backend", FAST)
def test_penetration(backend, target):
    m = pair(2, 3)
    a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
    expected = g.penetration(a, b, m.topology, target=target, backend="reference")
    got = g.penetration(a, b, m.topology, target=target, points_topology=m.topology, backend=backend)
    assert 5 < int(expected.inside.sum()) < a.shape[1]
    for x, y in zip(got, expected, strict=True):
        assert x is y is None or torch.equal(x, y)
    assert_same_direction(gradients(got.distance2, a, b), gradients(expected.distance2, a, b))


def five_bodies():
    """Five overlapping bodies, and items between them: both ways, rows used more than once."""
    m = pair(3, 2)
    bodies = torch.cat([m.a, m.b])[:5]
    rows = torch.tensor([0, 3, 1, 4, 0, 2]), torch.tensor([3, 0, 4, 1, 4, 3])
    wanted = torch.arange(bodies.shape[1]).remainder(7).ne(0).repeat(len(rows[0]), 1)
    wanted[4] = False
    return m, bodies, rows, wanted


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("target", ["vertex", "surface"])
@pytest.mark.parametrize("backend", ["reference", *FAST])
def test_bodies_as_rows(backend, target, masked):
    """Items that name rows are the same as the rows themselves laid side by side, gradients included."""
    m, bodies, rows, wanted = five_bodies()
    options = {"target": target, "wanted": wanted if masked else None, "backend": backend}
    leaf, plain = bodies.clone().requires_grad_(), bodies.clone().requires_grad_()
    got = g.penetration(leaf, leaf, m.topology, rows=rows, points_topology=m.topology, **options)
    expected = g.penetration(plain[rows[0]], plain[rows[1]], m.topology, **options)
    assert got.inside.shape == (6, bodies.shape[1]) and got.inside[:4].any(1).all()
    for x, y in zip(got, expected, strict=True):
        assert x is y is None or torch.equal(x, y)
    weight = torch.linspace(1, 2, got.distance2.numel()).view(got.distance2.shape)
    assert_same_direction(
        torch.autograd.grad((got.distance2 * weight).sum(), leaf),
        torch.autograd.grad((expected.distance2 * weight).sum(), plain),
    )


@pytest.mark.parametrize("backend", FAST)
def test_rows_and_masks_agree_with_the_reference(backend):
    m, bodies, rows, wanted = five_bodies()
    bodies[4, 3, 1] = torch.nan
    for call in (
        lambda k: g.nearest_vertex(bodies, bodies, rows=rows, wanted=wanted, cutoff=0.3, backend=k),
        lambda k: g.nearest_surface(bodies, bodies, m.topology, rows=rows, wanted=wanted, backend=k),
    ):
        assert_same(call(backend), call("reference"))
    for method in ("tree", "exact", "rays"):
        got, expected = (
            g.winding_number(bodies, bodies, m.topology, rows=rows, wanted=wanted, method=method, backend=k)
            for k in (backend, "reference")
        )
        assert torch.equal(got.isnan(), expected.isnan()) and got.isnan()[2].all()
        assert (got - expected).nan_to_num().abs().max() < (0.1 if method == "tree" else 1e-4)
        assert got[0, ~wanted[0]].eq(0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_dtypes_under_auto(dtype):
    m = pair(1, 2, dtype=dtype)
    row, ga, gb = all_edges(1, len(m.regions))
    pairs = g.RegionPairs(row, row, ga, gb)
    got = g.region_min_distance(m.a, m.b, pairs, m.regions)
    expected = g.region_min_distance(m.a, m.b, pairs, m.regions, backend="reference")
    assert got.distance2.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert_same(got, expected)
    got, expected = (
        g.region_nearest_vertex(m.a, m.b, pairs, m.regions, backend=k) for k in ("auto", "reference")
    )
    assert got.distance2.dtype == expected.distance2.dtype
    assert_same(got, expected)
    assert_same(g.nearest_vertex(m.a, m.b), g.nearest_vertex(m.a, m.b, backend="reference"))
    got, expected = (g.nearest_surface(m.a, m.b, m.topology, backend=k) for k in ("auto", "reference"))
    assert_same(got, expected)
    got, expected = (g.penetration(m.a, m.b, m.topology, backend=k) for k in ("auto", "reference"))
    assert got.inside.any() and torch.equal(got.inside, expected.inside)
    assert got.distance2.dtype == expected.distance2.dtype and torch.equal(got.distance2, expected.distance2)
    for call in (
        lambda k: g.region_soft_minimum(m.a, m.b, pairs, m.regions, temperature=1e-2, backend=k),
        lambda k: g.winding_number(m.a, m.b, m.topology, method="exact", backend=k),
        lambda k: g.winding_number(m.a, m.b, m.topology, method="rays", backend=k),
    ):
        torch.testing.assert_close(call("auto"), call("reference"), rtol=1e-4, atol=1e-4)


def test_float64_on_torch_is_exact():
    m = pair(2, 2, dtype=torch.float64)
    edges = g.RegionPairs.from_unions([0, 1], [1, 0], [[0, 3], [5]], [[2], [7, 8]])
    for call in (
        lambda k: g.region_distance_matrix(m.a, m.b, m.regions, backend=k),
        lambda k: g.nearest_vertex(m.a, m.b, backend=k),
        lambda k: g.nearest_surface(m.a, m.b, m.topology, backend=k),
        lambda k: g.region_min_distance(m.a, m.b, edges, m.regions, backend=k),
    ):
        assert_same(call("torch"), call("reference"))
    got, expected = (g.inside(m.a, m.b, m.topology, backend=k) for k in ("torch", "reference"))
    assert got.any() and torch.equal(got, expected)


@st.composite
def clouds(draw):
    """Two small clouds on a coarse grid: full of ties, coincident points and repeated vertices."""
    seed = draw(st.integers(0, 2**31))
    count_a, count_b = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    grid = draw(st.sampled_from([2, 3, 1000]))
    offset = draw(st.sampled_from([0.0, 7.0, 1e6]))
    rng = np.random.default_rng(seed)
    a, b = (
        rng.integers(0, grid, (2, n, 3)) * np.float32(0.37) + np.float32(offset) for n in (count_a, count_b)
    )
    if draw(st.booleans()):
        a[rng.integers(2), rng.integers(count_a), rng.integers(3)] = draw(
            st.sampled_from([np.nan, np.inf, 3e38])
        )
    lists_a, lists_b = (
        [np.flatnonzero(rng.random(n) < p) for p in (0.1, 0.5, 1.0)] + [np.zeros(0, np.int64)]
        for n in (count_a, count_b)
    )
    faces = rng.integers(0, count_b, (draw(st.integers(0, 40)), 3))
    return (*(torch.tensor(x.astype(np.float32)) for x in (a, b)), lists_a, lists_b, torch.tensor(faces))


@pytest.mark.parametrize("backend", FAST)
@settings(max_examples=60, deadline=None)
@given(clouds())
def test_search_for_disagreement(backend, case):
    a, b, lists_a, lists_b, faces = case
    regions_a = RegionIndex.from_lists(lists_a, a.shape[1], np.nan_to_num(a[0].numpy(force=True)))
    regions_b = RegionIndex.from_lists(lists_b, b.shape[1])
    topology = g.MeshTopology.build(faces, b.shape[1], b[0])
    unions = g.RegionPairs.from_unions([0, 1, 0], [1, 1, 0], [[0, 1], [3], [2, 1]], [[0], [1, 2], [3, 0]])
    for call in (
        lambda k: g.region_distance_matrix(a, b, regions_a, regions_b, backend=k),
        lambda k: g.region_distance_matrix(a, b, regions_a, regions_b, cutoff=0.4, backend=k),
        lambda k: g.region_min_distance(a, b, unions, regions_a, regions_b, backend=k),
        lambda k: g.region_nearest_vertex(a, b, unions, regions_a, regions_b, backend=k),
        lambda k: g.nearest_vertex(a, b, backend=k),
        lambda k: g.nearest_surface(a, b, topology, backend=k),
    ):
        assert_same(call(backend), call("reference"))


@st.composite
def sums(draw):
    """A closed mesh moved at random, perhaps flattened or on a coarse grid, and points in and around it."""
    seed, subdivisions = draw(st.integers(0, 2**31)), draw(st.integers(0, 2))
    scale, flat = draw(st.sampled_from([1e-2, 1.0, 30.0])), draw(st.sampled_from([1.0, 0.2]))
    rng = np.random.default_rng(seed)
    vertices, faces = blob(subdivisions)
    vertices = vertices * [1, 1, flat] + draw(st.sampled_from([0.0, 0.02])) * rng.normal(size=vertices.shape)
    points = rng.normal(size=(draw(st.integers(1, 80)), 3)) * 0.5
    offset = draw(st.sampled_from([0.0, 5.0])) * rng.normal(size=3)
    v, p = (torch.tensor(scale * (x + offset), dtype=torch.float32)[None] for x in (vertices, points))
    return p, v, torch.tensor(faces), scale, draw(st.sampled_from([1e-3, 1e-1]))


@pytest.mark.parametrize("backend", FAST)
@settings(max_examples=40, deadline=None)
@given(sums())
def test_search_for_disagreement_of_sums(backend, case):
    """Winding numbers, the inside test and soft minima, against the reference in float64."""
    points, vertices, faces, scale, temperature = case
    mesh = g.MeshTopology.build(faces, vertices.shape[1], vertices[0])
    exact = g.winding_number(points.double(), vertices.double(), faces, backend="reference")
    for method, tolerance in (("exact", 1e-4), ("rays", 1e-4)):
        w = g.winding_number(points, vertices, mesh, method=method, backend=backend)
        assert (w - exact).abs().max() < tolerance, method
    bounded = g.winding_number_bounded(points, vertices, mesh, backend=backend)
    assert ((bounded.value - exact).abs() <= bounded.bound + 1e-4).all()
    assert torch.equal(g.inside(points, vertices, mesh, backend=backend), exact > 0.5)
    regions_a, regions_b = (
        RegionIndex.from_lists([range(n), range(n // 2), [0]], n)
        for n in (points.shape[1], vertices.shape[1])
    )
    pairs = g.RegionPairs.from_offsets([0, 3], [0, 1, 2], [1, 2, 0])
    exact_soft, soft = (
        g.region_soft_minimum(*x, pairs, regions_a, regions_b, temperature=temperature * scale**2, backend=k)
        for x, k in (((points.double(), vertices.double()), "reference"), ((points, vertices), backend))
    )
    assert torch.equal(soft.isinf(), exact_soft.isinf())
    assert ((soft - exact_soft) / scale**2).nan_to_num(0.0, 0.0, 0.0).abs().max() < 1e-5
