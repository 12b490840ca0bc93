"""Meshes that are inside out are refused or spoken of, and never simply free of penetration."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from loss_toys import icosphere

from apu_losses import PenetrationLoss, SelfPenetrationLoss
from apu_losses import geometry as g
from apu_losses.bodies import PosedMeshBody
from apu_losses.functional.metrics import penetration_depth, penetration_volume
from apu_losses.functional.penetration import penetration_loss, select_penetrations
from apu_losses.geometry.orientation import signed_volumes, turned_edges

MIRROR = torch.tensor([-1.0, 1.0, 1.0])


def overlapping(batch: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two spheres of 0.3 m, 0.2 m deep in each other, and their faces."""
    vertices, faces = icosphere(0.3, (0.0, 0.0, 0.0))
    a = vertices.float().expand(batch, -1, -1).contiguous()
    return a, a + torch.tensor([0.4, 0.0, 0.0]), faces


ASK_INSIDE = {
    "PenetrationLoss": lambda a, b, f: PenetrationLoss(f)(a, b),
    "penetration_loss": penetration_loss,
    "SelfPenetrationLoss": lambda a, b, f: SelfPenetrationLoss(f, template=a[0].abs())(a),
    "inside": g.inside,
    "penetration": g.penetration,
    "select_penetrations": lambda a, b, f: select_penetrations(
        torch.cat([a, b]), f, torch.tensor([0]), torch.tensor([1])
    ),
    "penetration_depth": lambda a, b, f: penetration_depth(
        torch.cat([a, b]), f, torch.tensor([0]), torch.tensor([1])
    ),
    "penetration_volume": lambda a, b, f: penetration_volume(
        torch.cat([a, b]), f, torch.tensor([0]), torch.tensor([1])
    ),
}


@pytest.mark.parametrize("name", ASK_INSIDE)
@pytest.mark.parametrize("how", ["mirrored vertices", "y only", "faces the other way round"])
def test_whatever_asks_inside_refuses_meshes_that_are_inside_out(name, how):
    a, b, faces = overlapping()
    if how == "faces the other way round":
        faces = faces[:, [2, 1, 0]].contiguous()
    else:
        flip = MIRROR if how == "mirrored vertices" else torch.tensor([1.0, -1.0, 1.0])
        a, b = a * flip, b * flip
    with pytest.raises(ValueError, match=r"inside out.*mirrored vertices.*faces\[:, \[2, 1, 0\]\]"):
        ASK_INSIDE[name](a, b, faces)


def test_the_remedies_that_the_error_names_give_the_value_back():
    a, b, faces = overlapping()
    truth = penetration_loss(a, b, faces)
    assert truth > 0.1
    turned = faces[:, [2, 1, 0]]
    torch.testing.assert_close(penetration_loss(a * MIRROR, b * MIRROR, turned), truth)
    half_turn = torch.tensor([1.0, -1.0, -1.0])
    torch.testing.assert_close(penetration_loss(a * half_turn, b * half_turn, faces), truth)


def test_mirrored_bodies_of_a_batch_are_spoken_of_once_and_the_others_stay_right():
    a, b, faces = overlapping(3)
    loss = PenetrationLoss(faces)
    expected = loss(a, b)
    a[1], b[1] = a[1] * MIRROR, b[1] * MIRROR
    with pytest.warns(UserWarning, match="2 of 6 bodies are inside out"):
        found = loss(a, b)
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(a, b)


def test_a_mirrored_pair_among_pairs_that_do_not_meet_is_no_error():
    """Only the bodies whose boxes overlap are searched; what is refused does not hang on that."""
    a, b, faces = overlapping(2)
    a[0], b[0] = a[0] * MIRROR, b[0] * MIRROR
    b[1] += 5
    with pytest.warns(UserWarning, match="2 of 4 bodies"):
        assert penetration_loss(a, b, faces).tolist() == [0, 0]


def test_faces_that_are_partly_turned_over_are_spoken_of():
    a, b, faces = overlapping()
    mixed = faces.clone()
    mixed[::2] = mixed[::2].flip(1)
    assert turned_edges(faces, a.shape[1]) == 0 < turned_edges(mixed, a.shape[1])
    with pytest.warns(UserWarning, match="turned over"):
        PenetrationLoss(mixed)(a, b)


def test_open_sheets_and_broken_bodies_are_let_through():
    a, b, faces = overlapping()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        g.inside(a, b, faces[len(faces) // 2 :].contiguous())
        assert PenetrationLoss(faces)(a * torch.nan, b).isnan().all()
        flat = a * torch.tensor([1.0, 1.0, 0.0])
        g.inside(a, flat, faces)


def test_signed_volume_of_a_sphere():
    a, _, faces = overlapping()
    far = a.double() + torch.tensor([3.0, -4.0, 60.0], dtype=torch.float64)
    volume, size = signed_volumes(torch.cat([far, far * MIRROR]), faces)
    exact = 4 / 3 * np.pi * 0.3**3
    torch.testing.assert_close(volume, torch.tensor([exact, -exact], dtype=torch.float64), rtol=0.02, atol=0)
    torch.testing.assert_close(size, volume.abs())


def test_posed_meshes_name_the_one_that_is_inside_out():
    vertices, faces = icosphere(0.8, (0.0, 0.0, 4.0))
    meshes = torch.stack([vertices, vertices * torch.tensor([1.0, -1.0, 1.0]), vertices]).float()
    with pytest.raises(ValueError, match=r"got \[1\] inside out"):
        PosedMeshBody(meshes, faces)
    assert PosedMeshBody(meshes[[0, 2]], faces).num_vertices == len(vertices)
