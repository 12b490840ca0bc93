"""Ties, NaN, infinities, empty regions, coincident vertices: the same answer on every back end, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from kernels_meshes import GPU, pair
from operator_cases import nearest_case, soft_case, winding_case

from apu_losses import geometry as g
from apu_losses.geometry.topology import RegionIndex

BACKENDS = ["reference", "torch", "cpu", *GPU]
inf, nan = math.inf, math.nan


def one(a, b, lists_a, lists_b, backend, cutoff=None):
    a, b = (torch.tensor([x], dtype=torch.float32) for x in (a, b))
    regions = [RegionIndex.from_lists(lists, x.shape[1]) for lists, x in ((lists_a, a), (lists_b, b))]
    return g.region_distance_matrix(a, b, *regions, cutoff=cutoff, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ties_go_to_the_lowest_pair_of_ids(backend):
    # Forty copies of the same two points; the regions list the ids downwards.
    a = [[0.0, 0, 0]] * 40
    b = [[5.0, 0, 0]] * 3 + [[1.0, 0, 0], [0.0, 1, 0], [0.0, 0, -1]] * 12
    found = one(a, b, [range(39, 1, -1)], [range(38, 0, -1)], backend)
    assert found.distance2.item() == 1 and found.index_a.item() == 2 and found.index_b.item() == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_coincident_vertices_are_at_zero_with_zero_gradient(backend):
    a = torch.zeros(1, 3, 3, requires_grad=True)
    regions = RegionIndex.from_lists([[2, 1], [0]], 3)
    found = g.region_distance_matrix(a, a, regions, backend=backend)
    assert found.distance2.eq(0).all()
    assert found.index_a.tolist() == [[[1, 1], [0, 0]]] and found.index_b.tolist() == [[[1, 0], [1, 0]]]
    g.safe_sqrt(found.distance2).sum().backward()
    assert a.grad.eq(0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_regions_are_infinitely_far(backend):
    found = one([[0.0, 0, 0]], [[1.0, 0, 0]], [[], [0]], [[0], []], backend)
    assert found.distance2.tolist() == [[[inf, inf], [1.0, inf]]]
    assert found.index_a.tolist() == [[[-1, -1], [0, -1]]] and found.index_b.tolist() == [[[-1, -1], [0, -1]]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_not_finite_poisons_its_region_only(backend, value):
    a = torch.tensor([[[0.0, 0, 0], [1, value, 0], [2, 0, 0]]], requires_grad=True)
    b = torch.tensor([[[0.0, 3, 0]]], requires_grad=True)
    regions = RegionIndex.from_lists([[0], [1, 2], [2]], 3)
    found = g.region_distance_matrix(a, b, regions, RegionIndex.from_lists([[0], []], 1), backend=backend)
    assert torch.isnan(found.distance2).tolist() == [[[False, False], [True, False], [False, False]]]
    assert found.index_a.tolist() == [[[0, -1], [-1, -1], [2, -1]]]
    # The poisoned entry has zero gradient; the others keep theirs.
    g_a, g_b = torch.autograd.grad(found.distance2, (a, b), torch.ones_like(found.distance2))
    assert torch.isfinite(g_a).all() and g_a[0, 1].eq(0).all()
    assert g_a[0, 0].tolist() == [0, -6, 0] and g_b[0, 0].tolist() == [-4, 12, 0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_distance_that_overflows_is_infinite(backend):
    found = one([[3e38, 0, 0]], [[-3e38, 0, 0]], [[0]], [[0]], backend)
    assert found.distance2.item() == inf and found.index_a.item() == -1


@pytest.mark.parametrize("backend", BACKENDS)
def test_cutoff_is_exclusive(backend):
    at, beyond = (one([[0.0, 0, 0]], [[2.0, 0, 0]], [[0]], [[0]], backend, cutoff=c) for c in (2.0, 2.5))
    assert at.distance2.item() == inf and at.index_b.item() == -1
    assert beyond.distance2.item() == 4 and beyond.index_b.item() == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_nearest_rules(backend):
    points = torch.tensor([[[0.0, 0, 0], [nan, 0, 0], [10, 0, 0]], [[0, 0, 0], [1, 1, 1], [2, 2, 2]]])
    vertices = torch.tensor([[[0.0, 1, 0], [0, 1, 0], [1, 0, 0]], [[0, 0, 0], [inf, 0, 0], [1, 0, 0]]])
    near = g.nearest_vertex(points, vertices, cutoff=3.0, backend=backend)
    assert near.vertex.tolist() == [[0, -1, -1], [-1, -1, -1]]
    assert near.distance2[0, 0] == 1 and near.distance2[0, 2] == inf
    assert torch.isnan(near.distance2[0, 1]) and torch.isnan(near.distance2[1]).all()
    face = torch.tensor([[0, 1, 2]])
    surface = g.nearest_surface(points, vertices, face, cutoff=3.0, backend=backend)
    assert surface.face.tolist() == [[0, -1, -1], [-1, -1, -1]]
    assert torch.isnan(surface.distance2[0, 1]) and torch.isnan(surface.distance2[1]).all()
    assert surface.barycentric[0, 1:].eq(0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_region_nearest_rules(backend):
    found, (grad_a, grad_b) = nearest_case(backend)
    n = -1
    expected = [
        # ids of a, then of b, ascending; ties to the lowest id of the other side
        ([1, 1, 1, 25, 1, 1, 1], [5, 7, 22, 5, 5, 5, 5], [2, 2, 3, 0, 2, 3, 4]),
        ([inf] * 4, [n] * 4, [n] * 4),  # nothing on the side of a
        ([inf] * 3, [n] * 3, [n] * 3),  # nothing on the side of b
        ([nan] * 6, [n] * 6, [n] * 6),  # a vertex of a is NaN
        ([nan] * 3, [n] * 3, [n] * 3),  # a vertex of b is infinite
        ([inf] * 2, [n] * 2, [n] * 2),  # nothing against what is not finite
        ([inf] * 2, [n] * 2, [n] * 2),  # too far
        ([1, 1, inf], [1, 1, n], [1, 1, n]),  # one of two too far
    ]
    flat = [[x for each in expected for x in each[c]] for c in range(3)]
    torch.testing.assert_close(found.distance2.detach(), torch.tensor(flat[0]), equal_nan=True)
    assert found.index_a.tolist() == flat[1] and found.index_b.tolist() == flat[2]
    assert found.offsets.tolist() == [0, 3, 7, 7, 11, 14, 14, 16, 20, 21, 23, 23, 25, 26, 27, 28, 30]
    expected_a, expected_b = torch.zeros_like(grad_a), torch.zeros_like(grad_b)
    # Vertex 5 of a is asked for once and is the answer of four; the last edge adds its two.
    expected_a[0, [5, 7, 22, 1], :] = torch.tensor([[-10.0, -6, -2], [0, -2, 0], [0, 0, 2], [0, 0, -4]])
    expected_b[0, [0, 2, 3, 4, 1], :] = torch.tensor(
        [[10.0, 0, 0], [0, 6, 0], [0, 0, 0], [0, 2, 0], [0, 0, 4]]
    )
    assert torch.equal(grad_a, expected_a) and torch.equal(grad_b, expected_b)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ties_of_nearest_points_go_to_the_lowest(backend):
    # Forty copies of a triangle, each with corners of its own, listed from the last to the first.
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]).repeat(1, 40, 1)
    faces = torch.arange(120).view(40, 3).flip(0)
    points = torch.tensor([[[0.2, 0.2, 1.0], [-1, -1, 0], [1, 0, 0], [0, 2, -2]]])
    mesh = g.MeshTopology.build(faces, 120, corners[0])
    assert g.nearest_surface(points, corners, mesh, backend=backend).face.tolist() == [[0, 0, 0, 0]]
    assert g.nearest_vertex(points, corners, backend=backend).vertex.tolist() == [[0, 0, 1, 2]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_soft_minimum_rules(backend):
    soft, grad_a, grad_b = soft_case(backend)
    # Two coincident vertices at distance zero, one pair, one pair of two near: then nothing, NaN, overflow.
    expected = [-0.5 * math.log(2), 2.0, 1.0, 1.0, inf, inf, nan, nan, inf]
    torch.testing.assert_close(soft, torch.tensor(expected), equal_nan=True)
    # 2 (a - b) of the three that are finite and apart; nothing to what is empty, poisoned or too far.
    torch.testing.assert_close(grad_a, torch.tensor([[[0.0, -4, 0], [2, -2, 0], [0] * 3, [0] * 3, [0] * 3]]))
    torch.testing.assert_close(grad_b, torch.tensor([[[0.0, 0, 0], [-2, 6, 0], [0] * 3, [0] * 3]]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", ["tree", "exact", "rays"])
def test_winding_number_rules(backend, method):
    """A vertex that no face names may be anything; what is not finite is NaN, and inside of nothing."""
    w, within = winding_case(backend, method)
    expected = torch.full((3, 5), nan)
    expected[0, :2] = torch.tensor([1.0, 0.0])
    torch.testing.assert_close(w, expected, equal_nan=True, rtol=1e-4, atol=1e-4)
    assert within.nonzero().tolist() == [[0, 0]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("target", ["vertex", "surface"])
def test_a_mesh_that_is_not_finite_is_no_mesh_without_penetration(backend, target):
    m = pair(2, 1)
    b = m.b.clone()
    b[1, 3, 0] = inf
    found = g.penetration(m.a, b, m.topology, target=target, backend=backend)
    assert found.distance2[0].isfinite().all() and found.distance2[1].isnan().all()
    assert found.inside[0].any() and not found.inside[1].any() and found.target[1].eq(-1).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_degenerate_faces(backend):
    vertices = torch.tensor([[[0.0, 0, 0], [2, 0, 0], [1, 0, 0], [5, 5, 5]]])
    points = torch.tensor([[[0.5, 1.0, 0], [-1, 0, 0], [5, 5, 6]]])
    faces = torch.tensor([[0, 1, 2], [3, 3, 3]])
    near = g.nearest_surface(points, vertices, faces, backend=backend)
    assert near.face.tolist() == [[0, 0, 1]]
    assert torch.allclose(near.distance2, torch.ones(1, 3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_at_all(backend):
    m = pair(2, 1)
    none = m.a[:, :0]
    assert g.nearest_vertex(none, m.b, backend=backend).vertex.shape == (2, 0)
    assert g.nearest_vertex(m.a, none, backend=backend).vertex.eq(-1).all()
    assert (
        g.nearest_surface(m.a, m.b, torch.zeros(0, 3, dtype=torch.int64), backend=backend).face.eq(-1).all()
    )
    assert g.winding_number(m.a, m.b, torch.zeros(0, 3, dtype=torch.int64), backend=backend).eq(0).all()
    empty = g.RegionPairs.from_offsets([0, 0, 0], [], [])
    assert g.region_min_distance(m.a, m.b, empty, m.regions, backend=backend).distance2.shape == (0,)
    assert g.region_soft_minimum(m.a, m.b, empty, m.regions, temperature=1.0, backend=backend).shape == (0,)
    none = g.region_nearest_vertex(m.a, m.b, empty, m.regions, backend=backend)
    assert none.distance2.shape == none.index_a.shape == (0,) and none.offsets.tolist() == [0]
    nobody = g.region_distance_matrix(m.a[:0], m.b[:0], m.regions, backend=backend)
    assert nobody.distance2.shape == (0, len(m.regions), len(m.regions))


@pytest.mark.parametrize("backend", BACKENDS)
def test_far_from_the_origin_nothing_is_lost(backend):
    # The |a|^2 + |b|^2 - 2ab form errs by centimetres here.
    shift = torch.tensor([100.0, -50.0, 200.0])
    m = pair(1, 2)
    a, b = m.a + shift, m.b + shift
    near = g.nearest_vertex(a, b, backend=backend)
    exact = torch.cdist(a.double(), b.double()).amin(2).square()
    assert (near.distance2 - exact).abs().max() < 1e-6


@pytest.mark.parametrize("backend", BACKENDS)
def test_regions_of_any_size(backend):
    """Vertex ids beyond 16 bits."""
    count = 70_000
    x = torch.arange(count, dtype=torch.float32)
    a = torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)], 1)[None]
    b = torch.tensor([[[count - 3.0, 1, 0], [count - 2, 0.5, 0]]])
    regions = [RegionIndex.from_lists([range(n)], n) for n in (count, 2)]
    found = g.region_distance_matrix(a, b, *regions, backend=backend)
    assert found.index_a.item() == count - 2 and found.index_b.item() == 1 and found.distance2.item() == 0.25
    assert g.nearest_vertex(b, a, backend=backend).vertex.tolist() == [[count - 3, count - 2]]


@pytest.mark.parametrize("backend", ["torch", "cpu"])
def test_edges_that_name_nothing_are_refused(backend):
    m = pair(2, 1)
    for row, group in ((2, 0), (-1, 0), (0, len(m.regions)), (0, -1)):
        bad, good = torch.tensor([row]), torch.tensor([0])
        pairs = g.RegionPairs(bad, good, torch.tensor([group]), good)
        with pytest.raises(ValueError, match=r"pairs\.row_a"):
            g.region_min_distance(m.a, m.b, pairs, m.regions, backend=backend)
        with pytest.raises(ValueError, match=r"pairs\.(row|group)_a"):
            g.region_nearest_vertex(m.a, m.b, pairs, m.regions, backend=backend)


@pytest.mark.parametrize("backend", ["torch", "cpu"])
def test_items_that_name_no_row_are_refused(backend):
    m = pair(2, 1)
    good = torch.tensor([0, 1])
    for bad in (torch.tensor([0, 2]), torch.tensor([-1, 0])):
        for rows in ((bad, good), (good, bad)):
            for call in (g.nearest_vertex, g.inside):
                mesh = (m.a, m.b) if call is g.nearest_vertex else (m.a, m.b, m.topology)
                with pytest.raises(ValueError, match=r"rows must be rows of the (points|mesh)"):
                    call(*mesh, rows=rows, backend=backend)
    with pytest.raises(ValueError, match=r"rows\[1\] must be int64 of shape \(2,\)"):
        g.inside(m.a, m.b, m.topology, rows=(good, good[:1]))
    with pytest.raises(ValueError, match="wanted must be bool of shape"):
        g.inside(m.a, m.b, m.topology, rows=(good[:1], good[:1]), wanted=torch.ones(2, 42, dtype=torch.bool))


def test_arguments_that_do_not_fit_are_named():
    m = pair(1, 1)
    pairs = g.RegionPairs.from_offsets([0, 1], [0], [0])
    with pytest.raises(ValueError, match=r"verts_a.*\(B, V, 3\).*leading axis"):
        g.region_min_distance(m.a[0], m.b, pairs, m.regions)
    with pytest.raises(ValueError, match="another mesh topology"):
        g.region_min_distance(m.a[:, :-1], m.b, pairs, m.regions)
    with pytest.raises(ValueError, match="one dtype"):
        g.nearest_vertex(m.a, m.b.double())
    with pytest.raises(ValueError, match="as many items"):
        g.nearest_vertex(m.a, m.b.repeat(2, 1, 1))
    with pytest.raises(TypeError, match="floating"):
        g.nearest_vertex(m.a.long(), m.b)
    with pytest.raises(ValueError, match="cutoff"):
        g.nearest_vertex(m.a, m.b, cutoff=-1.0)
    with pytest.raises(ValueError, match="temperature"):
        g.region_soft_minimum(m.a, m.b, pairs, m.regions, temperature=0.0)
    with pytest.raises(ValueError, match="method"):
        g.inside(m.a, m.b, m.faces, method="fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="another mesh topology"):
        RegionIndex.from_lists([[10**6]], 42)
    with pytest.raises(ValueError, match="another mesh"):
        g.MeshTopology.build([[0, 1, 99]], 42)


def test_a_diverged_mesh_is_not_a_mesh_without_contact():
    m = pair(1, 1)
    with pytest.raises(ValueError, match="finite"):
        g.contact_map_from_meshes(m.a * nan, m.b, m.regions, threshold=0.05)


def test_contact_map_is_the_thresholded_matrix():
    m = pair(2, 3)
    touching = g.contact_map_from_meshes(m.a, m.b, m.regions, threshold=0.05)
    distance = g.region_distance_matrix(m.a, m.b, m.regions, backend="reference").distance2.sqrt()
    assert touching.any() and torch.equal(touching, distance < 0.05)


def test_safe_sqrt():
    x = torch.tensor([0.0, 4.0, inf, nan], requires_grad=True)
    root = g.safe_sqrt(x)
    assert root.detach().tolist()[:3] == [0, 2, inf] and torch.isnan(root[3])
    (grad,) = torch.autograd.grad(root[:2].sum(), x)
    assert grad[:2].tolist() == [0, 0.25]


def test_what_lies_wholly_inside_touches():
    """A small sphere 5 cm under the skin of a large one: no vertices near, and yet they share space."""
    from trimesh.creation import icosphere

    large, small = icosphere(3, 0.3), icosphere(2, 0.05)
    a = torch.tensor(np.array(small.vertices)).float()[None] + torch.tensor([0.2, 0.0, 0.0])
    b = torch.tensor(np.array(large.vertices)).float()[None]
    halves_a = g.RegionIndex.from_lists([range(0, 80), range(80, a.shape[1])], a.shape[1])
    right = np.flatnonzero(np.array(large.vertices)[:, 0] > 0)
    left = np.setdiff1d(np.arange(b.shape[1]), right)
    halves_b = g.RegionIndex.from_lists([right, left], b.shape[1])
    faces_a, faces_b = np.array(small.faces), np.array(large.faces)
    arguments = {"threshold": 0.02}
    assert not g.contact_map_from_meshes(a, b, halves_a, halves_b, **arguments).any()
    found = g.contact_map_from_meshes(a, b, halves_a, halves_b, faces=faces_a, faces_b=faces_b, **arguments)
    assert found.tolist() == [[[True, False], [True, False]]]
    turned = g.contact_map_from_meshes(b, a, halves_b, halves_a, faces=faces_b, faces_b=faces_a, **arguments)
    assert torch.equal(turned, found.transpose(1, 2))
    apart = g.contact_map_from_meshes(
        a + 2, b, halves_a, halves_b, faces=faces_a, faces_b=faces_b, **arguments
    )
    assert not apart.any()
