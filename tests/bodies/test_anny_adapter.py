"""Anny behind our protocol: as the package computes it. The first build of Anny takes minutes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import roma
import torch
from scipy.spatial import cKDTree

from apu_contacts.regions import REGIONS
from apu_losses.bodies import BodyModel, PosedBody
from apu_losses.bodies.anny_adapter import AnnyBody
from apu_losses.bodies.anny_derivatives import AnnyDerivatives
from apu_losses.bodies.derivatives import ForwardModeDerivatives, body_derivatives
from apu_losses.bodies.region_map import region_map_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def body() -> Any:
    pytest.importorskip("anny", reason="needs the anny package (extra [anny])")
    return AnnyBody(dtype=torch.float64)


def test_it_is_the_packages_body_in_our_frame(body: AnnyBody) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = torch.rand(2, len(body.phenotype_labels), generator=generator, dtype=torch.float64)
    pose = 0.3 * torch.randn(2, len(body.bone_labels), 3, generator=generator, dtype=torch.float64)
    pose[:, 0] = 0
    transl = torch.tensor([[0.1, 0.2, 3.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    posed = body.pose({"phenotypes": shape, "body_pose": pose[:, 1:].flatten(1), "transl": transl})
    assert isinstance(body, BodyModel) and isinstance(posed, PosedBody) and len(posed) == 2
    # turn the axis of each rotation from our frame to Anny's instead of the matrices
    deltas = torch.eye(4, dtype=torch.float64).repeat(2, len(body.bone_labels), 1, 1)
    deltas[..., :3, :3] = roma.rotvec_to_rotmat(torch.stack([pose[..., 0], -pose[..., 2], pose[..., 1]], -1))
    theirs = body._model(pose_parameters=deltas, phenotype_kwargs=shape)["vertices"]
    ours = torch.stack([theirs[..., 0], theirs[..., 2], -theirs[..., 1]], -1) + transl[:, None]
    torch.testing.assert_close(posed.vertices(), ours, atol=1e-9, rtol=0)
    rows, ids = torch.tensor([1, 0]), torch.tensor([3, 9000])
    torch.testing.assert_close(posed.select(rows, ids), ours[rows, ids], atol=1e-9, rtol=0)


def test_it_turns_about_its_pelvis(body: AnnyBody) -> None:
    turn = torch.tensor([[0.3, -1.0, 0.5]], dtype=torch.float64)
    still, turned = body.pose({}), body.pose({"global_orient": turn})
    pelvis = still.joints[:, body.joint_names.index("pelvis"), None]
    expected = (still.vertices() - pelvis) @ roma.rotvec_to_rotmat(turn).mT + pelvis
    torch.testing.assert_close(turned.vertices(), expected, atol=1e-9, rtol=0)


def test_closed_form_equals_forward_mode(body: AnnyBody) -> None:
    generator = torch.Generator().manual_seed(0)
    params = {
        name: 0.4 * torch.randn(3, spec.size, generator=generator, dtype=torch.float64)
        for name, spec in body.parameter_specs.items()
    }
    params["phenotypes"] = torch.rand(3, len(body.phenotype_labels), generator=generator, dtype=torch.float64)
    params["body_pose"][0, :30] = 0.0  # bones that do not turn at all
    names = ("transl", "body_pose", "phenotypes", "global_orient")
    rows = torch.arange(3).repeat_interleave(20)
    ids = torch.randint(body.num_vertices, (60,), generator=generator)
    ours, twin = body_derivatives(body, params, names), ForwardModeDerivatives(body, params, names)
    assert isinstance(ours, AnnyDerivatives)
    torch.testing.assert_close(ours.joints, twin.joints, atol=1e-9, rtol=0)
    torch.testing.assert_close(ours.select(rows, ids), twin.select(rows, ids), atol=1e-9, rtol=0)
    torch.testing.assert_close(ours.keypoints("body25"), twin.keypoints("body25"), atol=1e-9, rtol=0)
    some = body_derivatives(body, params, ("body_pose",)).joints
    torch.testing.assert_close(some, twin.joints[..., 3 : 3 + some.shape[-1]], atol=1e-9, rtol=0)


def test_its_regions_are_transferred_and_as_symmetric_as_it_is(body: AnnyBody) -> None:
    with pytest.warns(UserWarning, match=r"region map of 'anny' is transferred"):
        regions = region_map_for(body)
    assert regions.kind == "transferred" and (regions.sizes > 0).all()
    labels, at = regions.labels(), body.pose({}).vertices()[0].numpy()
    distance, other = cKDTree(at).query(at * [-1, 1, 1])
    opposite = np.array([region.mirror for region in REGIONS])
    same = opposite[labels] == labels[other]
    assert (distance < 1e-3).mean() > 0.99 and same.mean() > 0.97


def test_ages_keypoints_and_gradients(body: AnnyBody) -> None:
    shape = torch.tensor([body.parameter_specs["phenotypes"].default] * 3, dtype=torch.float64)
    shape[:, body.phenotype_labels.index("age")] = torch.tensor([0.0, 1 / 3, 2 / 3], dtype=torch.float64)
    shape.requires_grad_()
    height = body.stature({"phenotypes": shape})
    assert height[0] < 0.8 < height[1] < 1.5 < height[2] < 2.0
    assert body.keypoint_mask("coco17").all()
    posed = body.pose({"phenotypes": shape})
    found = body.keypoints(posed, "coco17")
    assert (found[:, 0, 1] > found[:, 5, 1]).all()  # the nose is above the shoulder
    assert (found[:, 5, 0] > found[:, 6, 0]).all()  # left is +x
    (gradient,) = torch.autograd.grad(found.square().sum(), shape)
    assert torch.isfinite(gradient).all() and (gradient.abs().sum(0) > 0).sum() >= 6
    with pytest.raises(ValueError, match="shape and age are phenotypes here"):
        body.pose({"age": torch.zeros(1, 1)})
