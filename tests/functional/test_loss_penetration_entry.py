"""An arm pushed into a slab, past its middle: which way out, and where descent ends."""

from __future__ import annotations

import pytest
import torch
from loss_toys import icosphere

from apu_losses.bodies import load_body
from apu_losses.functional.penetration import penetration_energy, penetration_loss, select_penetrations
from apu_losses.functional.penetration_selection import penetration_points

BALL, FACES = icosphere(1.0, (0, 0, 0), subdivisions=4)
BALL = BALL.float()  # the compiled search
SLAB = BALL * torch.tensor([0.6, 0.6, 0.1])  # 20 cm thick, faces +-z
ARM = BALL * torch.tensor([0.04, 0.04, 0.4])  # 80 cm long, along z
PAIR = torch.tensor([0]), torch.tensor([1])


def pushed_in(depth: float) -> torch.Tensor:
    """The arm comes from -z; its tip is this far under the slab's near face."""
    return torch.stack([ARM + torch.tensor([0.02, 0.01, -0.1 + depth - 0.4]), SLAB])


def targets_of(bodies, target):
    found = select_penetrations(bodies, FACES, *PAIR, target=target)
    points, targets = penetration_points(bodies, found)
    arm = found.row == 0
    return found, points[arm], targets[arm]


def test_the_nearest_point_of_a_deep_tip_is_on_the_far_side_the_way_in_is_not():
    bodies = pushed_in(0.16)
    _, points, nearest = targets_of(bodies, "surface")
    far = nearest[:, 2] > 0
    assert far.sum() > 20 and (points[far, 2] > 0).all()
    found, _, entry = targets_of(bodies, "entry")
    assert (entry[:, 2] < 0).all()
    assert len(found) == len(select_penetrations(bodies, FACES, *PAIR))


def test_nothing_changes_where_the_nearest_point_is_the_way_in():
    bodies = pushed_in(0.08)
    a, b = (select_penetrations(bodies, FACES, *PAIR, target=t) for t in ("surface", "entry"))
    assert torch.equal(a.target_vertices, b.target_vertices) and torch.equal(
        a.target_weights, b.target_weights
    )


def end_of_descent(target: str, depth: float) -> float:
    """How far under the near face the tip ends when the arm may only slide along itself, metres."""
    bodies = pushed_in(depth)
    slide = torch.zeros(3)
    for _ in range(120):
        live = slide.clone().requires_grad_()
        moved = torch.stack([bodies[0] + live, bodies[1]])
        found = select_penetrations(moved, FACES, *PAIR, target=target)
        loss = penetration_energy(*penetration_points(moved, found), found).sum()
        if loss.item() == 0:
            break
        (gradient,) = torch.autograd.grad(loss, live)
        slide = slide - torch.tensor([0.0, 0, 5e-3]) * gradient.sign()
    return depth + slide[2].item()


@pytest.mark.parametrize(("depth", "through"), [(0.06, False), (0.19, True)])
def test_descent_leaves_by_the_way_in(depth, through):
    assert end_of_descent("entry", depth) <= 0.011
    ended = end_of_descent("surface", depth)
    assert (ended > 0.1) == through  # stuck, or through the far side


def test_both_directions_and_other_pairs_are_kept_apart():
    """Two arms in one slab, from either side: each leaves by its own side."""
    bodies = pushed_in(0.16)
    three = torch.stack([*bodies, ARM + torch.tensor([0.3, 0.0, 0.34])])
    rows = torch.tensor([0, 1]), torch.tensor([1, 2])
    found = select_penetrations(three, FACES, *rows, target="entry")
    points, targets = penetration_points(three, found)
    for arm, sign in ((0, -1), (2, 1)):
        own = found.row == arm
        assert own.sum() > 50 and (targets[own, 2] * sign > 0).all()
    alone = select_penetrations(three[:2], FACES, *PAIR, target="entry")
    torch.testing.assert_close(
        penetration_energy(points, targets, found)[0],
        penetration_energy(*penetration_points(three[:2], alone), alone)[0],
    )


def test_what_is_wholly_inside_has_no_way_in():
    inside = torch.stack([BALL * 0.05, SLAB])
    a, b = (penetration_loss(inside[:1], inside[1:], FACES, target=t) for t in ("surface", "entry"))
    assert a == b > 0


def test_gradient_is_that_of_the_squared_way_out():
    """Targets are held: the gradient is twice the step to them, and opposite on the slab."""
    bodies = pushed_in(0.16).requires_grad_()
    found, points, targets = targets_of(bodies.detach(), "entry")
    loss = penetration_energy(*penetration_points(bodies, found), found).sum()
    (gradient,) = torch.autograd.grad(loss, bodies)
    torch.testing.assert_close(gradient[0, found.vertex[found.row == 0]][:5], 2 * (points - targets)[:5])
    torch.testing.assert_close(gradient[0].sum(0), -gradient[1].sum(0), rtol=1e-4, atol=1e-4)


def test_mutual_penetration():
    """A ball wholly inside is seen by one mesh only: BUDDI's rule calls that no penetration."""
    inside = torch.stack([BALL * 0.05, SLAB])
    crossing = pushed_in(0.1)
    for bodies, counts in ((inside, False), (crossing, True)):
        either = penetration_loss(bodies[:1], bodies[1:], FACES)
        both = penetration_loss(bodies[:1], bodies[1:], FACES, mutual=True)
        assert either > 0 and both == (either if counts else 0)


def test_errors():
    bodies = pushed_in(0.1)
    with pytest.raises(ValueError, match="mutual must be True or False"):
        select_penetrations(bodies, FACES, *PAIR, mutual="one")
    with pytest.raises(ValueError, match="depends on values"):
        torch.func.vmap(lambda a, b: penetration_loss(a[None], b[None], FACES, target="entry"))(
            bodies[:1], bodies[1:]
        )


@pytest.mark.parametrize("how", ["turned", "mirrored"])
def test_the_way_in_turns_and_mirrors_with_the_bodies(how):
    """The surface has edges, on which two faces have equal claims; which one was found must not matter."""
    body = load_body()
    generator = torch.Generator().manual_seed(0)
    place = torch.tensor([[0.0, 0.0, 5.0], [0.1, 0.1, 4.9]])
    pose = torch.randn(2, 63, generator=generator) * 0.3
    vertices = body.pose({"body_pose": pose, "transl": place}).vertices().detach()
    if how == "mirrored":
        motion, faces = torch.diag(torch.tensor([-1.0, 1.0, 1.0])), body.faces.flip(1).contiguous()
    else:
        motion, faces = torch.linalg.qr(torch.randn(3, 3, generator=generator).double())[0], body.faces
        motion = (motion * torch.linalg.det(motion).sign()).float()
    found = []
    for points, own in ((vertices, body.faces), ((vertices @ motion.T).contiguous(), faces)):
        leaf = points.clone().requires_grad_(True)
        loss = penetration_loss(leaf[:1], leaf[1:], own, target="entry")
        found.append((loss.detach(), *torch.autograd.grad(loss.sum(), leaf)))
    (loss, gradient), (moved, turned) = found
    torch.testing.assert_close(moved, loss, rtol=2e-5, atol=0)
    assert (turned @ motion - gradient).norm() < 2e-3 * gradient.norm()
