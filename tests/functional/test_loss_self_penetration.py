"""A tube that runs into itself, whose overlap is known; a hand in the own belly, against libigl; folds."""

from __future__ import annotations

import igl
import numpy as np
import pytest
import torch
from loss_toys import icosphere
from tubes import LENGTH, RADIUS, RINGS, SIDES, elbow, spiral, tube, tube_faces

from apu_losses import SelfPenetrationLoss
from apu_losses.bodies import load_body
from apu_losses.functional.penetration_selection import penetration_points
from apu_losses.functional.self_penetration import select_self_penetrations, self_penetration_loss
from apu_losses.functional.skin import SkinPatches
from apu_losses.geometry import MeshTopology, inside
from apu_losses.numerics.normals import vertex_normals

STRAIGHT = tube(np.stack([LENGTH, 0 * LENGTH, 0 * LENGTH], 1))
FACES = tube_faces()
TOPOLOGY = MeshTopology.build(FACES, STRAIGHT.shape[1], STRAIGHT[0])


@pytest.fixture(scope="module")
def skin():
    return SkinPatches(TOPOLOGY, STRAIGHT[0])


def test_the_tube_is_closed_and_outward():
    assert TOPOLOGY.closed
    assert inside(torch.tensor([[[0.6, 0, 0]]]).double(), STRAIGHT, FACES).all()


@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
def test_a_tube_that_runs_into_itself(skin, backend):
    """A vertex is inside where the axis of another turn is nearer than the radius."""
    axis = spiral(0.05)
    bodies = tube(axis)
    found = select_self_penetrations(bodies, skin, backend=backend)
    points = bodies[0].numpy()
    own = np.append(np.repeat(np.arange(RINGS), SIDES), [0, RINGS - 1])
    apart = np.linalg.norm(points[:, None] - axis[None], axis=2)
    apart[np.abs(LENGTH[own][:, None] - LENGTH[None]) < 0.4] = np.inf
    # a polygon of 20 sides is 0.5 mm thinner than its circle, and the tube ends at its tips
    sure_in, sure_out = apart.min(1) < RADIUS - 2e-3, apart.min(1) > RADIUS + 2e-3
    chosen = np.zeros(len(points), bool)
    chosen[found.vertex] = True
    assert sure_in.sum() > 100
    ends = (LENGTH[np.where(np.isfinite(apart.min(1)), apart.argmin(1), RINGS // 2)] % 1.2 < 0.03) | (
        apart.argmin(1) > RINGS - 4
    )
    assert chosen[sure_in & ~ends].all() and not chosen[sure_out].any()
    p, q = penetration_points(bodies, found)
    depth = RADIUS - apart.min(1)[found.vertex]
    middle = ~ends[found.vertex]
    np.testing.assert_allclose((p - q).norm(dim=1).numpy()[middle], depth[middle], atol=2e-3)


@pytest.mark.parametrize("degrees", [0, 60, 120, 150])
def test_a_bent_tube_folds_and_does_not_penetrate(skin, degrees):
    bodies = tube(elbow(degrees)).float()
    overlaps = inside(bodies + 1e-3 * vertex_normals(bodies, FACES), bodies, FACES).any()
    assert bool(overlaps) == (degrees > 100)
    assert self_penetration_loss(bodies, skin).item() == 0


def test_a_loose_piece_inside_is_part_of_the_body():
    """Eyes in a head: other pieces of the mesh hang on the skin that is nearest to them."""
    eye, eye_faces = icosphere(0.02, (0.3, 0.0, 0.0), subdivisions=2)
    both = torch.cat([STRAIGHT[0], eye])
    topology = MeshTopology.build(torch.cat([FACES, eye_faces + len(STRAIGHT[0])]), len(both), both)
    assert inside(eye[None] + 0.001, both[None], topology).any()
    assert self_penetration_loss(both[None].float(), SkinPatches(topology, both)).item() == 0


def test_one_body_says_nothing_of_another(skin):
    three = torch.cat([tube(spiral(0.05)), STRAIGHT, tube(spiral(0.06))]).float()
    three[1, 7, 0] = torch.nan
    loss = self_penetration_loss(three, skin)
    assert loss[1].isnan()
    for row in (0, 2):
        assert loss[row] == self_penetration_loss(three[row : row + 1], skin)[0] > 0


def test_the_camera_may_be_far(skin):
    bodies = tube(spiral(0.05)).float()
    far = bodies + torch.tensor([10.0, -5.0, 60.0])
    expected = self_penetration_loss(bodies, skin)
    torch.testing.assert_close(self_penetration_loss(far, skin), expected, rtol=1e-2, atol=0)


def test_gradient_by_finite_differences(skin):
    bodies = tube(spiral(0.05))
    generator = torch.Generator().manual_seed(0)
    direction = torch.zeros_like(bodies)
    # parts move as a whole: a vertex that moves alone leaves or enters
    for part in (slice(0, 40 * SIDES), slice(40 * SIDES, None)):
        direction[0, part] = torch.randn(3, generator=generator, dtype=torch.float64)
    # not at 0, where the tube is its own mirror image and nearest points are ties
    step = torch.tensor(2e-3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda s: self_penetration_loss(bodies + s * direction, skin, energy="quartic"),
        step,
        eps=1e-8,
        atol=1e-5,
        rtol=1e-4,
    )


# The free body -----------------------------------------------------------------------------------------


BODY = load_body()
REST = BODY.pose({"transl": torch.zeros(1, 3)})
NUMBER = {name: i for i, name in enumerate(BODY.joint_names)}

HAND_IN_BELLY = {"left_shoulder": [0.39, -0.55, -0.66], "left_elbow": [0.27, -1.44, -1.38]}
NATURAL = {
    "the T-pose": {},
    "arms hang": {"left_shoulder": [0, 0, -1.2], "right_shoulder": [0, 0, 1.2]},
    "arms bent all the way": {"left_elbow": [0, -2.5, 0], "right_elbow": [0, 2.5, 0]},
    "knees bent all the way": {"left_knee": [2.4, 0, 0], "right_knee": [2.4, 0, 0]},
    "sitting": {"left_hip": [-1.6, 0, 0], "right_hip": [-1.6, 0, 0], "left_knee": [1.6, 0, 0]},
    "bent forward": {"left_hip": [-1.5, 0, 0], "right_hip": [-1.5, 0, 0], "spine1": [0.5, 0, 0]},
    "looking over the shoulder": {"neck": [0.5, 0.5, 0.4], "head": [0.4, 0.3, 0.3]},
}


def posed(joints: dict[str, list[float]], betas: list[float] | None = None, age: float = 0.0):
    pose = torch.zeros(1, 21, 3)
    for name, turn in joints.items():
        pose[0, NUMBER[name] - 1] = torch.tensor(turn)
    shape = torch.zeros(1, 10)
    if betas:
        shape[0, : len(betas)] = torch.tensor(betas)
    return {
        "transl": torch.zeros(1, 3),
        "body_pose": pose.flatten(1),
        "betas": shape,
        "age": torch.full((1, 1), age),
    }


@pytest.fixture(scope="module")
def loss():
    return SelfPenetrationLoss(BODY.faces, template=REST.vertices()[0])


@pytest.mark.parametrize("name", NATURAL)
@pytest.mark.parametrize("who", [{}, {"betas": [0.0, 2.0]}, {"age": 0.7}], ids=["adult", "shape", "child"])
def test_natural_poses_are_free(loss, name, who):
    assert loss(BODY.pose(posed(NATURAL[name], **who)).vertices()).item() == 0


def test_a_hand_in_the_own_belly_as_libigl_sees_it(loss):
    """Cut at the elbow, the forearm and the rest are two meshes."""
    vertices = BODY.pose(posed(HAND_IN_BELLY)).vertices()
    chosen = torch.zeros(BODY.num_vertices, dtype=torch.bool)
    chosen[select_self_penetrations(vertices, loss.skin).vertex] = True
    x, y, _ = REST.vertices()[0].T
    hand = x > REST.joints[0, NUMBER["left_elbow"], 0] + 0.02
    trunk = (x.abs() < 0.25) & (y.abs() < 0.35)
    corners = hand[BODY.faces]
    points = vertices[0].double().numpy()
    for own, others in ((hand, ~corners.any(1)), (trunk, corners.all(1))):
        winding = igl.winding_number(points, BODY.faces[others].numpy(), points[own.numpy()])
        expected = torch.as_tensor(winding > 0.5)
        assert expected.sum() > 5
        # the cut is open in libigl's meshes, and a vertex near the skin is on either side of it
        assert (chosen[own] != expected).sum() <= max(1, 0.01 * expected.sum())


def test_descent_takes_the_hand_out_of_the_belly_by_the_front(loss):
    params = posed(HAND_IN_BELLY)
    pose = params["body_pose"].clone().requires_grad_()
    moving = torch.zeros(21, 3)
    moving[[NUMBER["left_shoulder"] - 1, NUMBER["left_elbow"] - 1]] = 1
    optimizer = torch.optim.Adam([pose], lr=0.03)
    history = []
    for _ in range(40):
        value = loss(BODY.pose({**params, "body_pose": pose}).vertices()).sum()
        history.append(value.item())
        optimizer.zero_grad()
        if value.item() == 0:
            break
        value.backward()
        pose.grad *= moving.flatten()
        optimizer.step()
    assert history[0] > 1 and history[-1] < 0.01 * history[0]
    wrist = BODY.pose({**params, "body_pose": pose.detach()}).joints[0, NUMBER["left_wrist"]]
    assert wrist[2] > REST.joints[0, 0, 2] + 0.05  # in front of the belly


def test_errors(skin):
    with pytest.raises(ValueError, match="as the mesh of skin"):
        select_self_penetrations(STRAIGHT[:, :10], skin)
    with pytest.raises(ValueError, match="template must have shape"):
        SkinPatches(TOPOLOGY, STRAIGHT[0, :10])
    with pytest.raises(ValueError, match="apart must be more than"):
        SkinPatches(TOPOLOGY, STRAIGHT[0], apart=0.01)
