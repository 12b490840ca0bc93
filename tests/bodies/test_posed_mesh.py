"""Given meshes can be turned and moved like bodies, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from apu_contacts.sources import Camera, InitialEstimate
from apu_losses.bodies import BodyModel, PosedBody, PosedMeshBody, load_body

NAMES = ("left_wrist", "right_wrist", "left_shoulder", "right_shoulder", "pelvis")


@pytest.fixture(scope="module")
def body() -> PosedMeshBody:
    free = load_body()
    generator = torch.Generator().manual_seed(0)
    posed = free.pose({"body_pose": 0.2 * torch.randn(3, 63, generator=generator)})
    at = torch.tensor([free.joint_names.index(name) for name in NAMES])
    shift = torch.tensor([0.3, -0.2, 4.0])
    return PosedMeshBody(
        posed.vertices() + shift,
        free.faces,
        joints=posed.joints[:, at] + shift,
        joint_names=NAMES,
        name="mhr",
    )


def test_it_is_a_body_model_and_stands_as_given(body: PosedMeshBody) -> None:
    posed = body.pose({})
    assert isinstance(body, BodyModel) and isinstance(posed, PosedBody)
    torch.testing.assert_close(posed.vertices(), body._vertices, atol=2e-6, rtol=0)
    assert len(posed) == 3 and body.stature({}).shape == (3,)


def test_it_turns_about_the_pelvis_and_moves(body: PosedMeshBody) -> None:
    generator = torch.Generator().manual_seed(1)
    params = {
        "global_orient": torch.randn(4, 3, generator=generator),
        "transl": torch.randn(4, 3, generator=generator),
        "mesh": torch.tensor([[2.0], [0.0], [2.0], [1.0]]),
    }
    posed = body.pose(params)
    which = [2, 0, 2, 1]
    pelvis = body._joints[which, 4][:, None]
    turned = (body._vertices[which] - pelvis) @ roma.rotvec_to_rotmat(params["global_orient"]).mT
    expected = turned + pelvis + params["transl"][:, None]
    torch.testing.assert_close(posed.vertices(), expected, atol=3e-6, rtol=0)
    torch.testing.assert_close(posed.joints[:, 4], pelvis[:, 0] + params["transl"], atol=2e-6, rtol=0)
    rows, ids = torch.tensor([3, 0, 1]), torch.tensor([5, 900, 12000])
    torch.testing.assert_close(posed.select(rows, ids), expected[rows, ids], atol=3e-6, rtol=0)
    torch.testing.assert_close(posed.vertices(ids), expected[:, ids], atol=3e-6, rtol=0)


def test_gradients(body: PosedMeshBody) -> None:
    rows, ids = torch.tensor([1, 0]), torch.tensor([5, 900])
    double = PosedMeshBody(body._vertices.double(), body.faces)

    def selected(orient: torch.Tensor, transl: torch.Tensor) -> torch.Tensor:
        return double.pose({"global_orient": orient, "transl": transl}).select(rows, ids)

    inputs = [torch.randn(3, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(selected, inputs)


def test_keypoints_are_those_that_were_given(body: PosedMeshBody) -> None:
    posed = body.pose({})
    mask = body.keypoint_mask("body25")
    assert int(mask.sum()) == 5  # two wrists, two shoulders, and the neck between them
    found = body.keypoints(posed, "body25")
    torch.testing.assert_close(found[:, 7], posed.joints[:, 0])
    torch.testing.assert_close(found[:, 1], posed.joints[:, 2:4].mean(1))
    assert not found[:, ~mask].any()


def test_it_is_made_of_what_a_reader_gives(body: PosedMeshBody) -> None:
    camera = Camera(900.0, (320.0, 240.0))
    given = [
        InitialEstimate(
            "sam3d", {}, NAMES, joints.double().numpy(), model="mhr", camera=camera, vertices=vertices.numpy()
        )
        for joints, vertices in zip(body._joints, body._vertices, strict=True)
    ]
    made = PosedMeshBody.from_estimates(given, body.faces.numpy().astype(np.int32))
    assert made.name == "mhr" and made.joint_names == NAMES
    torch.testing.assert_close(made.pose({}).vertices(), body.pose({}).vertices())
    torch.testing.assert_close(made.pose({}).joints, body.pose({}).joints)
    for changed, message in (
        (replace(given[1], vertices=None), r"estimates\[1\] of 'sam3d' has no vertices"),
        (replace(given[1], vertices=given[1].vertices[:-1]), "another topology, or another estimator"),
        (replace(given[1], camera=Camera(901.0, (320.0, 240.0))), "in another camera than estimates"),
    ):
        with pytest.raises(ValueError, match=message):
            PosedMeshBody.from_estimates([given[0], changed], body.faces)
    with pytest.raises(ValueError, match="must hold somebody"):
        PosedMeshBody.from_estimates([], body.faces)


def test_mistakes_are_named(body: PosedMeshBody) -> None:
    vertices, faces = body._vertices, body.faces
    for factor, unit in ((1000, "millimetres"), (100, "centimetres")):
        with pytest.raises(ValueError, match=f"are these {unit}"):
            PosedMeshBody(vertices * factor, faces)
    with pytest.raises(ValueError, match="relative to the pelvis and the vertices in the camera's frame"):
        PosedMeshBody(vertices, faces, joints=body._joints - 4, joint_names=NAMES)
    with pytest.raises(ValueError, match="faces of another mesh"):
        PosedMeshBody(vertices[:, :100], faces)
    with pytest.raises(ValueError, match="its shape and pose are fixed"):
        body.pose({"betas": torch.zeros(3, 10)})
    with pytest.raises(ValueError, match="must name one of the 3 given meshes, got 3"):
        body.pose({"transl": torch.zeros(4, 3)})


def test_contact_pulls_given_meshes_together(body: PosedMeshBody) -> None:
    """The mesh's region map is the free body's here: the hands of two people meet by moving alone."""
    from apu_contacts import RegionMap
    from apu_contacts.regions import part_regions

    regions = RegionMap.load("free")
    ids = torch.tensor(regions.union(part_regions("hand", "left")))
    transl = torch.zeros(2, 3, requires_grad=True)
    start = torch.tensor([[0.0, 0.0, 0.0], [1.5, 0.0, 0.5]])
    optimiser = torch.optim.Adam([transl], lr=0.05)
    gaps = []
    for _ in range(60):
        posed = body.pose({"transl": transl + start, "mesh": torch.tensor([[0.0], [1.0]])})
        hands = posed.vertices(ids)
        gap = torch.cdist(hands[:1], hands[1:]).amin()
        optimiser.zero_grad()
        gap.square().backward()
        optimiser.step()
        gaps.append(gap.item())
    assert gaps[0] > 0.5 and min(gaps) < 0.02
