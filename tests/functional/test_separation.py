"""Two meshes pushed apart: balls and boxes in closed form, bodies by what must hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from apu_losses import load_body, separate
from apu_losses.geometry import penetration

BALL = trimesh.creation.icosphere(subdivisions=3, radius=1.0)
BOX = trimesh.creation.box((1, 1, 1)).subdivide().subdivide().subdivide()


@pytest.mark.parametrize("center", [(1.5, 0.0, 0.0), (0.7, -0.9, 0.4)])
def test_balls_leave_each_other_along_the_line_of_their_centres(center):
    center = np.array(center)
    found = separate(BALL.vertices, BALL.vertices + center, BALL.faces, tolerance=0.002)
    # touching balls are 2 apart; facets lie up to 0.9 % within the ball
    assert found.distance == pytest.approx(2 - np.linalg.norm(center), abs=0.015)
    way = (found.shift_b - found.shift_a).numpy()
    cosine = way @ center / np.linalg.norm(way) / np.linalg.norm(center)
    assert cosine > 0.98
    assert found.depth_before > 0.3 and 0 < found.depth_after <= 0.002
    torch.testing.assert_close(found.shift_a, -found.shift_b)
    torch.testing.assert_close(found.verts_b, torch.as_tensor(BALL.vertices + center) + found.shift_b)


@pytest.mark.parametrize(
    ("center", "axis", "overlap"), [((0.8, 0.3, 0.1), 0, 0.2), ((-0.2, 0.7, 0.3), 1, 0.3)]
)
def test_boxes_leave_each_other_along_the_axis_of_least_overlap(center, axis, overlap):
    found = separate(BOX.vertices, BOX.vertices + np.array(center), BOX.faces, move="b", tolerance=0.001)
    assert not found.shift_a.any()
    assert found.distance == pytest.approx(overlap - 0.001, abs=5e-4)
    assert abs(found.shift_b[axis]) == pytest.approx(found.distance, rel=1e-3)


def test_bodies_are_free_afterwards_and_went_no_further_than_a_plane_needs():
    body = load_body()
    one = body(transl=torch.zeros(1, 3)).vertices()[0]
    other = one + torch.tensor([0.3, 0.0, 0.05])
    found = separate(one, other, body.faces, move="a", tolerance=0.005)
    assert not found.shift_b.any() and found.verts_a.dtype == one.dtype
    for points, mesh in ((found.verts_a, found.verts_b), (found.verts_b, found.verts_a)):
        deep = penetration(points[None], mesh[None], body.faces, target="surface").distance2.max().sqrt()
        assert deep <= 0.0051
    # flat bodies beside each other: the shortest way is through their thickness, not past the arm
    along_x = float(one[:, 0].max() - other[:, 0].min())
    along_z = float(one[:, 2].max() - other[:, 2].min())
    assert found.distance < along_z < along_x
    again = separate(found.verts_a, found.verts_b, body.faces, tolerance=0.0052)
    assert again.distance == 0 and torch.equal(again.verts_a, found.verts_a)


def test_meshes_that_are_apart_stay_where_they_are():
    found = separate(BALL.vertices, BALL.vertices + np.array([3.0, 0, 0]), BALL.faces)
    assert found.distance == 0 and found.depth_before == found.depth_after == 0
    assert torch.equal(found.verts_a, torch.as_tensor(BALL.vertices))


def test_a_ball_leaves_a_box_by_its_nearest_side():
    """Two topologies, and far from the origin."""
    far = np.array([5.0, -20.0, 40.0])
    small = np.array(BALL.vertices) * 0.1 + np.array([0.35, 0.05, 0.0]) + far
    found = separate(small, np.array(BOX.vertices) + far, BALL.faces, BOX.faces, move="a")
    assert found.shift_a[0] == pytest.approx(0.25, abs=0.003)
    assert found.shift_a[1:].abs().max() < 0.03


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"move": "c"}, "move must be 'both' or 'a' or 'b', got 'c'"),
        ({"tolerance": -1.0}, "tolerance must be at least 0 metres"),
        ({"faces": BALL.faces[:, ::-1].copy()}, "inside out"),
        ({"verts_b": BOX.vertices}, "faces_b must be the faces of the second mesh"),
        ({"verts_b": np.full(BALL.vertices.shape, np.nan)}, "verts_b must have finite coordinates"),
    ],
)
def test_mistakes_are_named(change, said):
    arguments = {
        "verts_a": BALL.vertices,
        "verts_b": BALL.vertices + 0.5,
        "faces": BALL.faces,
        **change,
    }
    with pytest.raises(ValueError, match=said):
        separate(**arguments)
