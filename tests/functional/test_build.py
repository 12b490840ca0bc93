"""Volume and thickness against closed forms and scipy."""

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from apu_losses.functional.metrics.build import body_volumes, part_thickness


def hull(seed):
    points = np.random.default_rng(seed).normal(size=(60, 3)) * [0.2, 0.4, 0.3] + [0.3, -0.2, 40.0]
    found = ConvexHull(points)
    faces = found.simplices.copy()
    outward = np.einsum(
        "fi,fi->f",
        np.cross(*(points[faces[:, i]] - points[faces[:, 0]] for i in (1, 2))),
        found.equations[:, :3],
    )
    faces[outward < 0] = faces[outward < 0][:, ::-1]
    return points, faces, found.volume


def test_volumes_are_those_of_convex_hulls_far_from_the_camera():
    points, faces, cubic_metres = hull(1)
    vertices = torch.tensor(np.stack([points, 2 * points]), dtype=torch.float32)
    found = body_volumes(vertices, torch.tensor(faces, dtype=torch.int64))
    np.testing.assert_allclose(found, [1000 * cubic_metres, 8000 * cubic_metres], rtol=1e-4)


def test_a_body_that_is_not_finite_has_no_volume():
    points, faces, _ = hull(2)
    vertices = torch.tensor(np.stack([points, points]))
    vertices[0, 0, 0] = torch.nan
    found = body_volumes(vertices, torch.tensor(faces, dtype=torch.int64))
    assert found[0].isnan() and found[1].isfinite()
    with pytest.raises(ValueError, match="vertices"):
        body_volumes(vertices[0], torch.tensor(faces, dtype=torch.int64))


def test_thickness_of_a_cylinder_is_its_radius_whatever_its_length_and_place():
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    bodies = []
    for radius, length in ((0.1, 1.0), (0.09, 1.0), (0.1, 1.3)):
        ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        rows = [np.concatenate([ring, np.full((48, 1), z)], 1) for z in np.linspace(0, length, 9)]
        bodies.append(np.concatenate(rows) @ turn.T + [1.0, 2.0, 3.0])
    found = part_thickness(torch.tensor(np.stack(bodies)), [torch.arange(9 * 48), torch.arange(3)])
    np.testing.assert_allclose(found[:, 0], [0.1, 0.09, 0.1], rtol=1e-9)
    assert found[:, 1].isnan().all()
    assert part_thickness(torch.tensor(np.stack(bodies)), []).shape == (3, 0)
