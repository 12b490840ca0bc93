"""Normals of touching surfaces: against trimesh, on spheres that touch, and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from loss_toys import icosphere

from apu_contacts.contacts import ContactMap
from apu_losses.bodies import load_body
from apu_losses.functional.facing import contact_facing
from apu_losses.geometry.topology import RegionIndex
from apu_losses.numerics.normals import FaceRing, point_normals

SPHERE, FACES = icosphere(0.2, (0, 0, 0), subdivisions=3)
EAST, WEST, NORTH = (int(SPHERE[:, axis].mul(sign).argmax()) for axis, sign in ((0, 1), (0, -1), (1, 1)))
REGIONS = RegionIndex.from_lists([[EAST], [WEST], [NORTH], *([[]] * 72)], len(SPHERE))


def facing(shift, pair, weight=1.0, **options):
    other = (SPHERE + torch.as_tensor(shift, dtype=SPHERE.dtype))[None]
    return contact_facing(SPHERE[None], other, ContactMap([pair], [weight]), REGIONS, FACES, **options).item()


def test_normals_of_the_body_equal_trimesh():
    body = load_body("free", dtype=torch.float64)
    pose = 0.2 * torch.randn(1, 63, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    vertices = body.pose({"body_pose": pose}).vertices()[0].detach()
    ids = torch.arange(0, body.num_vertices, 37)
    face, owner = FaceRing.build(body.faces, body.num_vertices).of(ids)
    ours = point_normals(vertices[body.faces[face]], owner, len(ids))
    mesh = trimesh.Trimesh(vertices.numpy(), body.faces.numpy(), process=False)
    theirs = trimesh.geometry.weighted_vertex_normals(
        len(vertices), mesh.faces, mesh.face_normals, mesh.area_faces[:, None] * np.ones(3)
    )
    np.testing.assert_allclose(ours.numpy(), theirs[ids], atol=1e-9)
    outward = SPHERE[face_ids := torch.arange(0, len(SPHERE), 11)]
    face, owner = FaceRing.build(FACES, len(SPHERE)).of(face_ids)
    found = point_normals(SPHERE[FACES[face]], owner, len(face_ids))
    assert ((found * outward).sum(1) / 0.2 > 0.999).all()


def test_opposite_alike_and_crosswise():
    assert facing((0.4, 0, 0), (0, 1)) == pytest.approx(0, abs=1e-3)  # east of one touches west of the other
    assert facing((0.0, 0, 0), (0, 0)) == pytest.approx(1, abs=1e-3)  # the same point, the same normal
    assert facing((0.2, -0.2, 0), (0, 2)) == pytest.approx(0.5, abs=1e-2)  # at right angles
    assert facing((0.0, 0, 0), (0, 0), weight=0.3) == pytest.approx(0.3, abs=1e-3)


def test_what_is_far_does_not_turn_yet():
    near, far = (facing((x, 0, 0), (0, 0), within=0.1) for x in (0.1, 0.4))
    assert near == pytest.approx(0.25, abs=1e-3) and far == pytest.approx((0.01 / 0.17) ** 2, rel=1e-2)


def test_gradient_by_finite_differences_and_descent_turns_the_sphere():
    shift = torch.tensor([0.0, 0.02, 0.01], dtype=torch.float64)
    cmap = ContactMap([[0, 2]])

    def loss(angles):
        c, s = angles.cos(), angles.sin()
        zero, one = torch.zeros_like(c[0]), torch.ones_like(c[0])
        about_z = torch.stack([c[0], -s[0], zero, s[0], c[0], zero, zero, zero, one]).reshape(3, 3)
        other = SPHERE @ about_z.T
        # its north stays where our east is, so that only the direction changes
        other = other - other[NORTH].detach() + SPHERE[EAST] + 0 * shift
        return contact_facing(SPHERE[None], other[None], cmap, REGIONS, FACES)

    angle = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(angle).sum(), angle)
    step = 1e-5
    numeric = (loss(angle + step) - loss(angle - step)).item() / (2 * step)
    assert gradient.item() == pytest.approx(numeric, rel=1e-4)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(loss(angle).sum(), angle)
        angle = (angle - 0.1 * gradient).detach().requires_grad_()
    assert loss(angle).item() < 1e-3


def test_a_broken_body_is_nan():
    broken = SPHERE.clone()
    broken[EAST] = torch.nan
    value = contact_facing(broken[None], SPHERE[None], ContactMap([[0, 1]]), REGIONS, FACES)
    assert value.isnan().all()


@pytest.mark.parametrize("place", ["the point itself", "a neighbour of it"])
def test_a_broken_body_is_nan_alone_and_pulls_at_nobody(place):
    """The sound body of a broken pair has no gradient from it, and other pairs have theirs."""
    face, _ = FaceRing.build(FACES, len(SPHERE)).of(torch.tensor([EAST]))
    ring = [v for v in FACES[face].unique().tolist() if v != EAST]
    bodies = torch.stack([SPHERE, SPHERE]), torch.stack([SPHERE, SPHERE]) + torch.tensor([0.3, 0.1, 0.0])
    bodies[0][1, EAST if place == "the point itself" else ring[0]] = torch.nan
    live = [b.requires_grad_() for b in bodies]
    value = contact_facing(*live, ContactMap([[0, 2]]), REGIONS, FACES)
    alone = contact_facing(*(b[:1].detach() for b in bodies), ContactMap([[0, 2]]), REGIONS, FACES)
    assert value[1].isnan() and value[:1].equal(alone) and value[0] > 0
    for gradient in torch.autograd.grad(value.sum(), live):
        assert gradient[0].abs().sum() > 0 and gradient[1].abs().sum() == 0


def test_maps_must_fit_the_pairs():
    with pytest.raises(ValueError, match="one map or one for each of the 1 pairs, got 2"):
        contact_facing(SPHERE[None], SPHERE[None], [ContactMap([[0, 1]])] * 2, REGIONS, FACES)
