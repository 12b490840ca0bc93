"""Against programs that know the answer by other means: scipy's cKDTree, libigl, closed forms."""

from __future__ import annotations

import igl
import numpy as np
import pytest
import torch
from kernels_meshes import GPU, pair
from scipy.spatial import cKDTree

from apu_losses import geometry as g

BACKENDS = ["torch", "cpu", *GPU]


def arrays(m, item=0):
    return (x.numpy(force=True) for x in (m.a[item].double(), m.b[item].double(), m.faces))


@pytest.mark.parametrize("backend", BACKENDS)
def test_nearest_vertex_is_that_of_a_kd_tree(backend):
    m = pair(1, 4)
    a, b, _ = arrays(m)
    near = g.nearest_vertex(m.a, m.b, backend=backend)
    distance, index = cKDTree(b).query(a)
    np.testing.assert_allclose(near.distance2[0].sqrt().cpu(), distance, atol=1e-6)
    # Another index only where two vertices are equally far to rounding.
    other = near.vertex[0].cpu().numpy() != index
    assert other.mean() < 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
def test_region_matrix_is_that_of_kd_trees(backend):
    m = pair(1, 4)
    a, b, _ = arrays(m)
    found = g.region_distance_matrix(m.a, m.b, m.regions, backend=backend).distance2[0].sqrt()
    for j in range(len(m.regions) - 1):
        tree = cKDTree(b[m.regions.vertices(j).numpy()])
        for i in range(len(m.regions) - 1):
            assert abs(np.min(tree.query(a[m.regions.vertices(i).numpy()])[0]) - found[i, j].item()) < 1e-6


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_region_nearest_is_that_of_kd_trees(backend):
    m = pair(1, 3)
    a, b, _ = arrays(m)
    pairs = g.RegionPairs.from_unions(
        [0, 0, 0], [0, 0, 0], [[3], [10], [8, 2]], [[4], [9], list(range(len(m.regions)))]
    )
    found = g.region_nearest_vertex(m.a, m.b, pairs, m.regions, backend=backend)
    sides = [([3], [4]), ([10], [9]), ([8, 2], range(len(m.regions)))]
    assert len(found.offsets) == 7 and found.offsets[-1] == len(found.distance2)
    for k, lists in enumerate(sides):
        ids_a, ids_b = (np.unique(np.concatenate([m.regions.vertices(r) for r in side])) for side in lists)
        for s, (own, other, ids, others, place) in enumerate(
            ((a, b, ids_a, ids_b, (found.index_a, found.index_b)),
             (b, a, ids_b, ids_a, (found.index_b, found.index_a)))
        ):  # fmt: skip
            part = slice(*found.offsets[2 * k + s : 2 * k + s + 2].tolist())
            distance, index = cKDTree(other[others]).query(own[ids])
            np.testing.assert_allclose(found.distance2[part].sqrt().cpu(), distance, atol=1e-6)
            np.testing.assert_array_equal(place[0][part].cpu(), ids)
            assert (place[1][part].cpu().numpy() != others[index]).mean() < 1e-2


@pytest.mark.parametrize("backend", BACKENDS)
def test_nearest_surface_is_that_of_libigl(backend):
    m = pair(1, 4)
    a, b, f = arrays(m)
    near = g.nearest_surface(m.a, m.b, m.topology, backend=backend)
    squared, _, closest = igl.point_mesh_squared_distance(a, b, f)
    np.testing.assert_allclose(near.distance2[0].sqrt().cpu(), np.sqrt(squared), atol=2e-6)
    corners = m.b[0][m.faces[near.face[0]]]
    ours = (near.barycentric[0, :, :, None] * corners).sum(1)
    # Where two surface points are equally far the closest points may differ, the distances not.
    assert np.quantile(np.linalg.norm(ours.cpu().numpy() - closest, axis=1), 0.99) < 1e-5
    assert near.barycentric.min() >= -1e-6
    np.testing.assert_allclose(near.barycentric.sum(-1).cpu(), 1, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", ["tree", "exact", "rays"])
def test_winding_number_is_that_of_libigl(backend, method):
    m = pair(1, 4)
    a, b, f = arrays(m)
    exact = igl.winding_number(b, f, a)
    w = g.winding_number(m.a, m.b, m.topology, method=method, backend=backend)[0].cpu().numpy()
    tolerance = {"tree": 0.1, "exact": 2e-5, "rays": 1e-4}[method]
    assert np.abs(w - exact).max() < tolerance
    within = g.inside(m.a, m.b, m.topology, method=method, backend=backend)[0].cpu().numpy()
    assert within.sum() > 10 and np.array_equal(within, exact > 0.5)


@pytest.mark.parametrize("method", ["tree", "exact"])
def test_holes_do_not_turn_the_inside_test(method):
    m = pair(1, 4)
    a, b, f = arrays(m)
    hole = f[np.linalg.norm(b[f].mean(1) - b[0], axis=1) > 0.12]
    assert 4 < len(f) - len(hole) < 0.05 * len(f)
    exact = igl.winding_number(b, hole, a)
    w = g.winding_number(m.a, m.b, torch.tensor(hole), method=method)[0].numpy()
    assert np.abs(w - exact).max() < 0.1
    clear = np.abs(exact - 0.5) > 0.1
    assert np.array_equal((w > 0.5)[clear], (exact > 0.5)[clear])


def test_inside_of_a_sphere_in_closed_form():
    import trimesh

    mesh = trimesh.creation.icosphere(4)
    rng = np.random.default_rng(0)
    points = torch.tensor(rng.normal(size=(1, 2000, 3)) * 0.7, dtype=torch.float32)
    vertices, faces = torch.tensor(mesh.vertices, dtype=torch.float32)[None], torch.tensor(mesh.faces)
    radius = points.norm(dim=-1)
    within = g.inside(points, vertices, faces)
    clear = (radius - 1).abs() > 5e-3
    assert torch.equal(within[clear], (radius < 1)[clear])
    depth = g.penetration(points, vertices, faces, target="surface")
    assert (depth.distance2.sqrt() - (1 - radius).clamp(min=0))[clear].abs().max() < 5e-3


def test_orientation_counts():
    m = pair(1, 3)
    flipped = m.faces[:, [0, 2, 1]]
    w, v = (g.winding_number(m.a, m.b, f, method="exact") for f in (m.faces, flipped))
    assert torch.allclose(w, -v, atol=1e-5)
    assert g.inside(m.a, m.b, m.faces).any()
    with pytest.raises(ValueError, match="inside out"):  # nothing would be inside
        g.inside(m.a, m.b, flipped)


def test_soft_minimum_closes_on_the_hard_one():
    m = pair(1, 3)
    pairs = g.RegionPairs.from_offsets([0, 3], [0, 2, 5], [1, 4, 6])
    hard = g.region_min_distance(m.a, m.b, pairs, m.regions).distance2
    for temperature in (1e-2, 1e-4, 1e-6):
        soft = g.region_soft_minimum(m.a, m.b, pairs, m.regions, temperature=temperature)
        assert (soft <= hard + 1e-9).all()
        assert (hard - soft).max() <= temperature * np.log(m.a.shape[1] ** 2)
