from __future__ import annotations

import numpy as np
import pytest
import torch

from apu_contacts.camera import Camera
from apu_losses.camera import PinholeCamera
from apu_losses.viz import Mesh, people_meshes, render_meshes, vertex_normals

SIZE = (120, 90)


def test_the_nearer_person_hides_the_farther_in_any_order(camera, sphere):
    near, far = sphere((0, 0, 2), color=(1, 0, 0)), sphere((0.15, 0, 3), 0.5, color=(0, 0, 1))
    picture = render_meshes([near, far], camera, SIZE)
    np.testing.assert_array_equal(picture, render_meshes([far, near], camera, SIZE))
    middle = picture[45, 60].astype(int)
    assert middle[0] > 100 > middle[2] + 50
    beside = picture[45, 60 + 19].astype(
        int
    )  # 0.15 + 0.42 m right at 3 m: only the farther ball reaches there
    assert beside[2] > 60 > beside[0]


def test_interpenetrating_balls_are_cut_where_they_cross(camera, sphere):
    picture = render_meshes(
        [sphere((-0.15, 0, 2), color=(1, 0, 0)), sphere((0.15, 0, 2), color=(0, 0, 1))], camera, SIZE
    ).astype(int)
    red = picture[45, :, 0] > picture[45, :, 2] + 20
    blue = picture[45, :, 2] > picture[45, :, 0] + 20
    assert red[42:59].all() and blue[61:78].all()


def test_a_ball_covers_the_area_of_its_outline_with_smooth_edges(sphere):
    # black on white without lights would be exact; coverage is measured on an opaque black mesh
    radius, distance, focal = 0.3, 2.0, 100.0
    camera = Camera(focal, (60.0, 45.0))
    picture = render_meshes(
        [sphere((0, 0, distance), radius, (0, 0, 0))], camera, SIZE, background=(1, 1, 1), supersample=4
    )
    dark = 1 - picture[..., 1] / 255
    outline = focal * radius / np.sqrt(distance**2 - radius**2)
    covered = (dark > 0.45).sum()  # the highlight lightens black a little
    assert covered == pytest.approx(np.pi * outline**2, rel=0.03)
    edge = np.unique(np.round(dark[45, 40:50], 2))
    assert ((edge > 0.1) & (edge < 0.9)).any(), "the edge should hold a pixel that is partly covered"


def test_a_vertex_is_drawn_where_the_camera_projects_it():
    camera = PinholeCamera(torch.tensor([150.0]), torch.tensor([[50.0, 70.0]]))
    points = torch.tensor([[[0.2, -0.3, 2.0], [-0.25, 0.1, 1.5], [0.3, 0.4, 3.0]]])
    for point, (x, y) in zip(points[0], camera.project(points)[0], strict=True):
        corner = point.numpy()[None] + 0.02 * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
        picture = render_meshes([Mesh(corner, [[0, 2, 1], [0, 3, 2]], (1, 0, 0))], camera, SIZE)
        rows, columns = np.nonzero(picture[..., 1] < 100)
        assert columns.mean() + 0.5 == pytest.approx(float(x), abs=0.5)
        assert rows.mean() + 0.5 == pytest.approx(float(y), abs=0.5)


def test_both_sides_are_lit_alike(camera, sphere):
    ball = sphere((0, 0, 2))
    inside_out = Mesh(ball.vertices, ball.faces[:, ::-1], ball.colors)
    np.testing.assert_array_equal(
        render_meshes([ball], camera, SIZE), render_meshes([inside_out], camera, SIZE)
    )


def test_light_comes_from_above(camera, sphere):
    picture = render_meshes([sphere((0, 0, 2), color=(0.8, 0.8, 0.8))], camera, SIZE).astype(int)
    assert picture[35, 60].sum() > picture[55, 60].sum() + 60


def test_opacity_and_background(camera, sphere):
    photo = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    ball = sphere((0, 0, 2))
    np.testing.assert_array_equal(render_meshes([ball], camera, SIZE, background=photo, alpha=0), photo)
    np.testing.assert_array_equal(render_meshes([], camera, SIZE, background=photo), photo)
    solid = render_meshes([ball], camera, SIZE, background=photo).astype(int)
    half = render_meshes([ball], camera, SIZE, background=photo, alpha=0.5).astype(int)
    assert np.abs(half - (solid + photo) / 2).max() <= 1


def test_vertex_colors_are_interpolated(camera):
    corners = np.array([[-0.5, -0.4, 2], [0.5, -0.4, 2], [0.5, 0.4, 2], [-0.5, 0.4, 2]])
    colors = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]])
    picture = render_meshes([Mesh(corners, [[0, 2, 1], [0, 3, 2]], colors)], camera, SIZE).astype(int)
    row = picture[45, 36:84]
    assert (np.diff(row[:, 0]) <= 0).all() and (np.diff(row[:, 2]) >= 0).all()


def test_vertex_normals_of_a_sphere_are_radial(sphere):
    ball = sphere((0, 0, 0), 1.0)
    assert (vertex_normals(ball.vertices, ball.faces) * ball.vertices).sum(1).min() > 0.999


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (0, 5)}, "size"),
        ({"alpha": 1.5}, "alpha"),
        ({"background": np.zeros((120, 90, 3), dtype=np.uint8)}, "swapped"),
        ({"background": np.zeros((90, 120, 3))}, "8-bit"),
        ({"camera": PinholeCamera(torch.ones(2), torch.ones(2, 2))}, "one camera"),
    ],
)
def test_errors_name_the_argument(camera, sphere, change, message):
    arguments = {"camera": camera, "size": SIZE, **change}
    with pytest.raises(ValueError, match=message):
        render_meshes([sphere((0, 0, 2))], **arguments)


@pytest.mark.parametrize(
    ("vertices", "faces", "colors", "message"),
    [
        (np.zeros((3, 2)), [[0, 1, 2]], (0, 0, 0), "vertices"),
        (np.zeros((3, 3)), [0, 1, 2], (0, 0, 0), "faces"),
        (np.zeros((3, 3)), [[0, 1, 3]], (0, 0, 0), "another body"),
        (np.zeros((3, 3)), [[0, 1, 2]], (0, 0, 255), "divide"),
        (np.zeros((3, 3)), [[0, 1, 2]], np.zeros((2, 3)), "colors"),
    ],
)
def test_a_mesh_that_does_not_fit_together_is_refused(vertices, faces, colors, message):
    with pytest.raises(ValueError, match=message):
        Mesh(vertices, faces, colors)


def test_people_have_colors_and_names_of_their_own():
    people = people_meshes(np.zeros((8, 3, 3)), [[0, 1, 2]])
    assert len({person.name for person in people}) == 8
    assert len({tuple(person.colors[0]) for person in people}) == 8
