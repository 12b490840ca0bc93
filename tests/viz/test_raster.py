"""The z-buffer against a ray caster that tests every ray with every triangle."""

from __future__ import annotations

import numpy as np
import pytest

from apu_losses.viz import raster
from apu_losses.viz.raster import rasterize

FOCAL = np.array([60.0, 60.0])
CENTER = np.array([30.3, 21.7])
WIDTH, HEIGHT = 64, 44


def cast_rays(vertices, faces):
    """Nearest hit of the ray through each pixel centre (Moeller and Trumbore): face, depth, weights."""
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(columns - CENTER[0]) / FOCAL[0], (rows - CENTER[1]) / FOCAL[1], np.ones_like(rows)], -1)
    face = np.full(rows.shape, -1)
    depth = np.full(rows.shape, np.inf)
    weights = np.zeros((*rows.shape, 3))
    for i, (a, b, c) in enumerate(vertices[faces]):
        p = np.cross(rays, c - a)
        determinant = p @ (b - a)
        u = -(p @ a) / determinant
        q = np.cross(-a, b - a)
        v = rays @ q / determinant
        t = (c - a) @ q / determinant
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (t < depth)
        face[hit], depth[hit] = i, t[hit]
        weights[hit] = np.stack([1 - u - v, u, v], -1)[hit]
    return face, depth, weights


def random_triangles(seed, count=60):
    rng = np.random.default_rng(seed)
    centers = np.stack(
        [rng.uniform(-1, 1, count), rng.uniform(-0.7, 0.7, count), rng.uniform(1, 4, count)], -1
    )
    vertices = (centers[:, None] + rng.normal(0, 0.25, (count, 3, 3))).reshape(-1, 3)
    vertices[:, 2] = np.maximum(vertices[:, 2], 0.2)
    return vertices, np.arange(3 * count).reshape(-1, 3)


@pytest.mark.parametrize("seed", range(4))
def test_sees_what_rays_hit(seed):
    vertices, faces = random_triangles(seed)
    face, depth, weights = cast_rays(vertices, faces)
    seen = rasterize(vertices, faces, FOCAL, CENTER, WIDTH, HEIGHT)

    assert set(zip(seen.row, seen.column, strict=True)) == set(zip(*np.nonzero(face >= 0), strict=True))
    assert (seen.face == face[seen.row, seen.column]).all()
    np.testing.assert_allclose(seen.depth, depth[seen.row, seen.column], rtol=1e-9)
    np.testing.assert_allclose(seen.barycentric, weights[seen.row, seen.column], atol=1e-7)


def test_chunks_change_nothing(monkeypatch):
    vertices, faces = random_triangles(9)
    whole = rasterize(vertices, faces, FOCAL, CENTER, WIDTH, HEIGHT)
    monkeypatch.setattr(raster, "_CHUNK", 50)
    pieces = rasterize(vertices, faces, FOCAL, CENTER, WIDTH, HEIGHT)
    for a, b in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(a, b)


def test_equal_depth_goes_to_the_lower_face():
    square = np.array([[-1, -1, 2], [1, -1, 2], [1, 1, 2], [-1, 1, 2]], dtype=float)
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 3]])
    seen = rasterize(square, faces, FOCAL, CENTER, WIDTH, HEIGHT)
    assert set(seen.face) == {0, 1}


@pytest.mark.parametrize(
    "corner", [(0, 0, -1.0), (0, 0, 0.0), (np.nan, 0, 1), (0, np.inf, 1)], ids=["behind", "at", "nan", "inf"]
)
def test_a_triangle_that_cannot_be_projected_is_not_drawn(corner):
    vertices = np.array([corner, (0.5, 0, 2), (0, 0.5, 2)], dtype=float)
    assert not len(rasterize(vertices, np.array([[0, 1, 2]]), FOCAL, CENTER, WIDTH, HEIGHT).face)


def test_nothing_to_see():
    nothing = rasterize(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64), FOCAL, CENTER, WIDTH, HEIGHT)
    assert all(len(part) == 0 for part in nothing)
    outside = np.array([[50.0, 0, 2], [51, 0, 2], [50, 1, 2]])
    assert not len(rasterize(outside, np.array([[0, 1, 2]]), FOCAL, CENTER, WIDTH, HEIGHT).face)
    edge_on = np.array([[0, 0, 2.0], [0, 0, 3], [0, 0, 4]])
    assert not len(rasterize(edge_on, np.array([[0, 1, 2]]), FOCAL, CENTER, WIDTH, HEIGHT).face)
