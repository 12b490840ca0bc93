from __future__ import annotations

import numpy as np
import pytest

from apu_losses.viz import VIEWS, orbit, render_meshes
from apu_losses.viz.camera import camera_numbers

SIZE = (120, 90)
RED, BLUE, GREEN = (1, 0, 0), (0, 0, 1), (0, 1, 0)


def first_colors(meshes, view):
    """What colour is at the middle of the picture."""
    turned, camera = orbit(meshes, *VIEWS[view], SIZE)
    return render_meshes(turned, camera, SIZE)[45, 60].argmax()


@pytest.mark.parametrize(
    ("view", "towards_the_viewer"),
    [
        ("front", (0, 0, -1)),
        ("back", (0, 0, 1)),
        ("left", (-1, 0, 0)),
        ("right", (1, 0, 0)),
        ("top", (0, -1, 0)),
    ],
)
def test_each_view_sees_the_ball_on_its_side_first(sphere, view, towards_the_viewer):
    center = np.array([0.3, 0.1, 4.0])
    direction = np.array(towards_the_viewer)
    near = sphere(center + direction, color=RED)
    far = sphere(center - direction, color=BLUE)
    assert first_colors([near, far], view) == 0
    assert first_colors([far, near], view) == 0


def test_from_the_left_the_photographer_is_on_the_right(sphere):
    meshes = [sphere((0, 0, 2), color=RED), sphere((0, 0, 4), color=BLUE)]
    turned, camera = orbit(meshes, *VIEWS["left"], SIZE)
    picture = render_meshes(turned, camera, SIZE).astype(int)
    columns = np.arange(SIZE[0])
    red = (picture[..., 0] > picture[..., 2] + 50).sum(0)
    blue = (picture[..., 2] > picture[..., 0] + 50).sum(0)
    assert np.average(columns, weights=red) > np.average(columns, weights=blue)


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (35, 20), (90, 0), (-120, 70), (0, 90)])
@pytest.mark.parametrize("size", [(200, 80), (80, 200)])
def test_everything_fits_with_its_margin(sphere, yaw, pitch, size):
    meshes = [sphere((-1, 0.5, 3)), sphere((1.5, -0.4, 5), 0.7)]
    turned, camera = orbit(meshes, yaw, pitch, size, margin=0.1)
    focal, center = camera_numbers(camera)
    points = np.concatenate([mesh.vertices for mesh in turned])
    xy = points[:, :2] / points[:, 2:] * focal + center
    low, high = xy.min(0) / size, xy.max(0) / size
    assert (low >= 0.1 - 1e-9).all() and (high <= 0.9 + 1e-9).all()
    assert max(high - low) > 0.6, "the picture should not be mostly empty"


def test_turning_keeps_shapes(sphere):
    ball = sphere((0.2, 0.3, 3))
    (turned,), _ = orbit([ball], 40, 30, SIZE)
    for vertices in (ball.vertices, turned.vertices):
        np.testing.assert_allclose(np.linalg.norm(vertices - vertices.mean(0), axis=1), 0.3, atol=1e-12)

    def volume(mesh):
        return np.linalg.det(mesh.vertices[mesh.faces] - mesh.vertices.mean(0)).sum()

    assert volume(turned) == pytest.approx(volume(ball))


def test_nothing_to_look_at():
    with pytest.raises(ValueError, match="nothing to look at"):
        orbit([], 0, 0, SIZE)
