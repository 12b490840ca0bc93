"""What people give by mistake: each error names the argument, what came, and what to do instead."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from loss_toys import icosphere, toy_bodies, toy_map, toy_regions

from apu_contacts import ContactMap, PartContact, RegionMap
from apu_contacts.regions import REGIONS
from apu_losses import MinimumDistanceLoss, PenetrationLoss, SelfPenetrationLoss, SoftContactLoss
from apu_losses.bodies import PosedMeshBody
from apu_losses.functional.contact import soft_contact
from apu_losses.functional.facing import contact_facing
from apu_losses.functional.penetration import penetration_loss
from apu_losses.numerics import precision

A, B = toy_bodies(2, dtype=torch.float32), toy_bodies(2, seed=1, dtype=torch.float32)
VERTICES, FACES = icosphere(0.3, (0.0, 0.0, 0.0))
PALM = PartContact("hand", "left", "back", "none")
W = np.zeros((75, 75))


def sphere() -> torch.Tensor:
    return VERTICES.float()[None].clone()


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: SoftContactLoss(toy_regions())(a, b, toy_map()),
        lambda a, b: soft_contact(a, b, toy_map(), toy_regions()),
        lambda a, b: PenetrationLoss(FACES)(a, b),
        lambda a, b: penetration_loss(a, b, FACES),
        lambda a, b: MinimumDistanceLoss(FACES)(a, b),
        lambda a, b: SelfPenetrationLoss(FACES, template=VERTICES)(b),
        lambda a, b: contact_facing(a, b, toy_map(), toy_regions(), FACES),
    ],
)
def test_vertices_that_are_no_tensor_of_bodies(loss):
    with pytest.raises(TypeError, match=r"(verts_a|vertices) must .*ndarray; torch\.as_tensor\(x\)"):
        loss(A.numpy(), B.numpy())
    with pytest.raises(TypeError, match=r"must have a floating dtype, got torch\.int64"):
        loss(A.long(), B.long())
    with pytest.raises(ValueError, match=r"one mesh needs a leading axis: x\[None\]"):
        loss(A[0], B[0])


def test_two_dtypes():
    with pytest.raises(ValueError, match="must have one dtype"):
        penetration_loss(sphere(), sphere().double(), FACES)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"contact_maps must .*got None; .*ContactMap\.empty\(\)"),
        (torch.zeros(75, 75), r"contact_maps must .*Tensor of shape \(75, 75\); ContactMap\.from_dense"),
        (W, r"contact_maps must .*ndarray of shape \(75, 75\); ContactMap\.from_dense"),
        ([W, W], r"contact_maps\[0\] must .*ndarray of shape \(75, 75\); ContactMap\.from_dense"),
        ([PALM, PALM], r"contact_maps\[0\] must .*a PartContact; ContactMap\.from_parts"),
        ([toy_map(), None], r"contact_maps\[1\] must .*got None"),
        ([[(3, 4)], [(3, 4)]], r"contact_maps\[0\] must .*a list; ContactMap\(pairs\)"),
        ("contacts.json", r"contact_maps must .*got str"),
        (PALM, r"contact_maps must .*a PartContact; ContactMap\.from_parts"),
    ],
)
def test_what_is_no_contact_map(given, message):
    for call in (SoftContactLoss(toy_regions()), lambda a, b, m: soft_contact(a, b, m, toy_regions())):
        with pytest.raises(TypeError, match=message):
            call(A, B, given)
    if given is not PALM:
        with pytest.raises(TypeError, match=message):
            SoftContactLoss(toy_regions()).edges(given)


@pytest.mark.parametrize("given", ["free", "map.json", None, np.zeros((10, 3))])
def test_what_is_no_region_map(given):
    with pytest.raises(TypeError, match=r"regions must .*RegionMap\.load\('free'\).*region_map_for\(body\)"):
        SoftContactLoss(given)
    with pytest.raises(TypeError, match="regions must be a RegionMap"):
        soft_contact(A, B, toy_map(), given)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: PenetrationLoss(FACES, VERTICES), TypeError, "takes 2 positional arguments"),
        (lambda: SelfPenetrationLoss(FACES, VERTICES), TypeError, "takes 2 positional arguments"),
        (lambda: PenetrationLoss(FACES, vertex_count=VERTICES), TypeError, "vertex_count must .*template="),
        (lambda: MinimumDistanceLoss(FACES, vertex_count=2.5), TypeError, "vertex_count must .*2.5"),
        (lambda: PenetrationLoss(np.zeros((0, 3), int)), ValueError, r"faces must .*got \(0, 3\)"),
        (lambda: PenetrationLoss(FACES[None]), ValueError, r"faces must .*faces\[0\]"),
        (lambda: PenetrationLoss(np.zeros((5, 4), int)), ValueError, "faces must .*cut into triangles"),
        (lambda: PenetrationLoss(VERTICES.numpy()), TypeError, "faces must be whole numbers"),
        (
            lambda: PosedMeshBody(sphere() + 1, np.zeros((0, 3))),
            ValueError,
            r"faces must have shape \(F, 3\)",
        ),
    ],
)
def test_faces_and_counts(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_posed_meshes_take_arrays():
    vertices = (VERTICES * 3).numpy()[None]
    made = PosedMeshBody(vertices, FACES.numpy().astype(np.uint32))
    assert made.faces.dtype == torch.int64
    torch.testing.assert_close(made.pose({}).vertices(), torch.tensor(vertices).float())


def test_regions_by_name():
    regions = RegionMap.load("free")
    for region in REGIONS:
        assert np.array_equal(regions.vertices(region.name), regions.vertices(region.id))
    with pytest.raises(ValueError, match=r"no region is named 'left hand'.*part_regions"):
        regions.vertices("left hand")


def test_edges_refuse_a_loss_of_other_options():
    """The same map gives other values by other options, so edges say what they were made for."""
    a, b, cmap = A.double(), B.double(), toy_map()
    losses = {
        "parts": SoftContactLoss(toy_regions()),
        "pairs": SoftContactLoss(toy_regions(), over="pairs"),
        "either": SoftContactLoss(toy_regions(), order="either"),
        "soft": SoftContactLoss(toy_regions(), soft=0.1),
    }
    for name, loss in losses.items():
        edges = loss.edges(cmap, 2)
        torch.testing.assert_close(loss(a, b, edges), loss(a, b, cmap))
        for other, maker in losses.items():
            if other != name:
                with pytest.raises(ValueError, match=r"contact_maps must .*this loss's own edges\(maps\)"):
                    loss(a, b, maker.edges(cmap, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_spoken_of_once(dtype):
    loss = PenetrationLoss(FACES)
    a = (sphere() + torch.tensor([0.0, 0.0, 4.0])).to(dtype)
    precision._warn_of_rounding.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"vertices come in b?float16.*mm at 4 m.*autocast"):
        loss(a, a + 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(a, a + 0.1)
        PenetrationLoss(FACES)(sphere(), sphere() + 0.1)


@pytest.mark.parametrize(
    ("scale", "cause"),
    [(3000.0, "are these millimetres"), (300.0, "are these centimetres"), (1e-2, "other units")],
)
def test_bodies_that_are_not_in_metres_are_spoken_of(scale, cause):
    for make in (PenetrationLoss, MinimumDistanceLoss):
        with pytest.warns(UserWarning, match=f"must be bodies in metres.*{cause}"):
            make(FACES)(sphere() * scale, sphere() * scale + 0.1)
    with pytest.warns(UserWarning, match="must be bodies in metres"):
        SoftContactLoss(toy_regions())(A * scale * 100, B * scale * 100, toy_map()) if scale > 1 else (
            SoftContactLoss(toy_regions())(A * 1e-4, B * 1e-4, toy_map())
        )


def test_an_empty_map_is_no_contact():
    assert SoftContactLoss(toy_regions())(A, B, ContactMap.empty()).tolist() == [0, 0]
