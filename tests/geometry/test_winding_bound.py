"""The tree's winding number lies within its bound, and the inside test is that of the exact sum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from kernels_meshes import GPU, blob, pair

from apu_losses import geometry as g
from apu_losses.geometry.cpu.winding import NODE, fit_tree
from apu_losses.geometry.topology import block_order

BACKENDS = ["cpu", "torch", *GPU]
_ROUNDING = 3e-5


def _shell(thickness):
    """Two spheres, the inner one turned inside out: closed, and nearly everywhere near its surface."""
    ball = trimesh.creation.icosphere(3)
    vertices = np.concatenate([ball.vertices, (1 - thickness) * ball.vertices])
    return vertices, np.concatenate([ball.faces, ball.faces[:, ::-1] + len(ball.vertices)])


def _soup(count=400):
    """Triangles anywhere, of very different sizes: winding numbers of any value."""
    rng = np.random.default_rng(3)
    corners = rng.normal(size=(count, 1, 3)) + rng.normal(size=(count, 3, 3)) * rng.uniform(
        0, 0.5, (count, 1, 1)
    )
    return corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


def _hemisphere():
    ball = trimesh.creation.icosphere(3)
    return ball.vertices, ball.faces[ball.triangles_center[:, 2] > 0]


def _flat():
    """A closed sheet, a hundredth as thick as it is wide."""
    box = trimesh.creation.box((1, 1, 0.01)).subdivide().subdivide().subdivide()
    return box.vertices, box.faces


MESHES = {
    "body": lambda: blob(4),
    "shell": lambda: _shell(0.01),
    "thick shell": lambda: _shell(0.3),
    "sheet": _flat,
    "hemisphere": _hemisphere,
    "soup": _soup,
}


def _case(name):
    vertices, faces = MESHES[name]()
    rng = np.random.default_rng(0)
    near = vertices[rng.integers(len(vertices), size=700)]
    points = np.concatenate([near + rng.normal(size=near.shape) * 0.03, rng.normal(size=(300, 3)) * 0.6])
    # The cuda back end takes queries as they come: neighbours must stand together, or it opens everything.
    points = points[block_order(points, 32)]
    v, p = (torch.tensor(x, dtype=torch.float32)[None] for x in (vertices, points))
    f = torch.tensor(np.ascontiguousarray(faces))
    exact = g.winding_number(p.double(), v.double(), f, backend="reference")[0]
    return p, v, g.MeshTopology.build(f, len(vertices), vertices), exact.cpu()


@pytest.mark.parametrize("name", list(MESHES))
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_error_lies_within_its_bound(backend, name):
    p, v, mesh, exact = _case(name)
    found = g.winding_number_bounded(p, v, mesh, backend=backend)
    error = (found.value[0].cpu() - exact).abs()
    assert (error <= found.bound[0].cpu() + _ROUNDING).all()
    # Something was left out, and the bound is of use: it is not so wide that it says nothing.
    assert error.max() > 10 * _ROUNDING
    if name != "soup":
        assert 0.01 < found.bound.mean() < 0.5


@pytest.mark.parametrize("name", list(MESHES))
@pytest.mark.parametrize("backend", BACKENDS)
def test_inside_is_that_of_the_exact_sum(backend, name):
    p, v, mesh, exact = _case(name)
    assert mesh.closed == (name not in ("hemisphere", "soup"))
    within = g.inside(p, v, mesh, backend=backend)[0].cpu()
    # Outside of the bounding box nothing is inside, whatever the sum of an open mesh says.
    low, high = v[0].amin(0).cpu(), v[0].amax(0).cpu()
    boxed = ((p[0].cpu() >= low) & (p[0].cpu() <= high)).all(1)
    clear = (exact - 0.5).abs() > 1e-4
    assert torch.equal(within[clear], ((exact > 0.5) & boxed)[clear])
    assert 0 < int(within.sum()) < len(within)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tenth_of_a_millimetre_off_the_surface_is_enough(backend):
    """On the surface itself there is no answer; this near to it there is, and it is right."""
    vertices, faces = blob(4)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    step = 1e-4 * mesh.face_normals
    points = np.concatenate([mesh.triangles_center - step, mesh.triangles_center + step])
    p, v = (torch.tensor(x, dtype=torch.float32)[None] for x in (points, vertices))
    within = g.inside(p, v, g.MeshTopology.build(faces, len(vertices), vertices), backend=backend)[0]
    expected = torch.arange(len(points), device=within.device) < len(faces)
    assert torch.equal(within, expected)


def test_closed_is_a_matter_of_edges():
    vertices, faces = blob(2)
    assert g.MeshTopology.build(faces, len(vertices)).closed
    assert not g.MeshTopology.build(faces[1:], len(vertices)).closed
    turned = faces.copy()
    turned[0] = turned[0, ::-1]
    assert not g.MeshTopology.build(turned, len(vertices)).closed
    assert g.MeshTopology.build(np.zeros((0, 3), np.int64), 4).closed


@pytest.mark.parametrize("faces", [1, 3, 15, 16, 17, 80])
def test_a_leaf_of_any_size_has_the_moments_of_its_faces(faces):
    """Centre, radius, area vector, quadrupole and second moment of one leaf, against sums in float64."""
    m = pair(1, 1)
    tree = (np.arange(faces), np.array([0]), np.array([faces]), np.array([1]))
    triangles, spans = np.empty((faces, 9), np.float32), np.empty((1, 2, 3), np.float32)
    nodes = np.empty((1, NODE), np.float32)
    corners = m.a[0].double().numpy()[m.faces.numpy()[:faces]]
    assert fit_tree(m.a[0].numpy(), m.faces.numpy(), *tree, triangles, nodes, spans)
    assert np.array_equal(triangles, corners.reshape(faces, 9).astype(np.float32))
    np.testing.assert_allclose(spans[0], [corners.min((0, 1)), corners.max((0, 1))], rtol=1e-6)
    normal = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area, middle = np.linalg.norm(normal, axis=1), corners.mean(1)
    centre = (area[:, None] * middle).sum(0) / area.sum()
    moment = np.einsum("fi,fj->ij", normal, middle - centre)
    bent = 3 * (moment + moment.T) / 2 - np.trace(moment) * np.eye(3)
    spread = ((corners - middle[:, None]) ** 2).sum((1, 2)) / 12 + ((middle - centre) ** 2).sum(1)
    expected = [
        *centre, np.linalg.norm(corners - centre, axis=2).max(), *normal.sum(0), *np.diag(bent),
        2 * bent[0, 1], 2 * bent[0, 2], 2 * bent[1, 2], (area * spread).sum(), area.sum(), 0.0,
    ]  # fmt: skip
    np.testing.assert_allclose(nodes[0], expected, rtol=1e-4, atol=1e-6)
