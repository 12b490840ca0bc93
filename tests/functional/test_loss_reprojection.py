"""Keypoint loss, ankle filling and keypoint error: closed forms, invariances and real detections."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from apu_contacts.keypoints.skeletons import SKELETONS
from apu_losses.functional.reprojection import (
    fill_missing_ankles,
    keypoint_error,
    keypoint_reprojection,
    keypoint_scale,
)
from apu_losses.modules import KeypointReprojectionLoss

NAMES = SKELETONS["body25"].joint_names
ANKLE, TOE, HEEL = (NAMES.index(f"left_{n}") for n in ("ankle", "big_toe", "heel"))


def people(count: int = 3, seed: int = 0):
    """Detected keypoints, confidences (some 0) and projections some pixels off."""
    g = torch.Generator().manual_seed(seed)
    xy = torch.rand(count, 25, 2, generator=g, dtype=torch.float64) * torch.tensor([200.0, 400.0])
    confidence = torch.rand(count, 25, generator=g, dtype=torch.float64)
    confidence[:, ::6] = 0
    projected = xy + 10 * torch.randn(count, 25, 2, generator=g, dtype=torch.float64)
    return projected, xy, confidence


def test_scale_makes_the_box_of_seen_joints_512_long():
    xy = torch.tensor([[[10.0, 20.0], [110.0, 276.0], [5000.0, 0.0]]])
    confidence = torch.tensor([[0.9, 0.1, 0.0]])
    assert keypoint_scale(xy, confidence).tolist() == [2.0]


def test_nobody_seen_weighs_nothing_and_has_no_error():
    _, xy, confidence = people()
    confidence[1] = 0
    scale = keypoint_scale(xy, confidence)
    assert scale[1] == 0 and scale[0] > 0
    loss = keypoint_reprojection(xy + 5, xy, confidence, scale)
    error = keypoint_error(xy + 5, xy, confidence, scale)
    assert loss[1] == 0 and error[1].isnan() and error[0] > 0


def test_one_visible_joint_spans_no_box():
    xy, confidence = torch.rand(2, 25, 2), torch.ones(2, 25)
    confidence[1, 1:] = 0
    with pytest.raises(ValueError, match=r"person 1 span no box: 1 visible"):
        keypoint_scale(xy, confidence)


def test_equals_the_formula():
    projected, xy, confidence = people()
    scale = keypoint_scale(xy, confidence)
    expected = np.zeros(3)
    for n in range(3):
        for j in range(25):
            offset = (projected[n, j] - xy[n, j]).numpy() * scale[n].item()
            expected[n] += confidence[n, j].item() * (offset**2).sum()
    np.testing.assert_allclose(keypoint_reprojection(projected, xy, confidence, scale), expected)


def test_size_of_the_picture_does_not_matter():
    projected, xy, confidence = people()
    small = keypoint_reprojection(projected, xy, confidence, keypoint_scale(xy, confidence))
    xy, projected = xy * 7.5, projected * 7.5
    torch.testing.assert_close(
        keypoint_reprojection(projected, xy, confidence, keypoint_scale(xy, confidence)), small
    )


def test_confidence_options():
    projected, xy, confidence = people()
    scale = keypoint_scale(xy, confidence)
    squared = (projected - xy).square().sum(-1) * scale[:, None] ** 2
    torch.testing.assert_close(
        keypoint_reprojection(projected, xy, confidence, scale, confidence_power=2),
        (confidence**2 * squared).sum(1),
    )
    torch.testing.assert_close(
        keypoint_reprojection(projected, xy, confidence, scale, min_confidence=0.5),
        (confidence * (confidence > 0.5) * squared).sum(1),
    )
    # a power of 0 must not bring joints back that were not seen
    torch.testing.assert_close(
        keypoint_reprojection(projected, xy, confidence, scale, confidence_power=0),
        ((confidence > 0) * squared).sum(1),
    )
    rho = 30.0
    torch.testing.assert_close(
        keypoint_reprojection(projected, xy, confidence, scale, robust=rho),
        (confidence * rho**2 * squared / (rho**2 + squared)).sum(1),
    )


def test_coordinates_of_unseen_joints_do_not_matter():
    projected, xy, confidence = people()
    scale = keypoint_scale(xy, confidence)
    reference = keypoint_reprojection(projected, xy, confidence, scale)
    xy[:, ::6], projected[:, ::6] = float("nan"), float("inf")
    projected.requires_grad_(True)
    loss = keypoint_reprojection(projected, xy, confidence, keypoint_scale(xy, confidence))
    loss.sum().backward()
    torch.testing.assert_close(loss, reference)
    assert torch.isfinite(projected.grad).all()


@pytest.mark.parametrize("robust", [None, 20.0])
def test_gradient_by_finite_differences(robust):
    projected, xy, confidence = people()
    scale = keypoint_scale(xy, confidence)
    assert torch.autograd.gradcheck(
        lambda p: keypoint_reprojection(p, xy, confidence, scale, robust=robust),
        projected.requires_grad_(True),
    )


def test_error_is_the_mean_distance_over_trusted_joints():
    projected, xy, confidence = people()
    scale = keypoint_scale(xy, confidence)
    distance = (projected - xy).norm(dim=-1) * scale[:, None]
    for threshold in (0.2, 0.5):
        used = confidence > threshold
        expected = [distance[n][used[n]].mean().item() for n in range(3)]
        error = keypoint_error(projected, xy, confidence, scale, min_confidence=threshold)
        np.testing.assert_allclose(error, expected)


def test_a_broken_body_has_no_good_error():
    """A failure must not score 0."""
    projected, xy, confidence = people()
    scale = keypoint_scale(xy, confidence)
    joint = int(torch.nonzero(confidence[0] > 0.5)[0, 0])
    projected[0, joint] = float("nan")
    error = keypoint_error(projected, xy, confidence, scale)
    assert error[0].isnan() and error[1:].isfinite().all()
    assert keypoint_reprojection(projected, xy, confidence, scale)[0].isnan()


def test_a_missing_ankle_is_filled_with_the_toes_that_are_missing_too():
    projected, xy, confidence = people(2)
    confidence[:] = 0.9
    confidence[0, [ANKLE, HEEL]] = 0.1
    filled_xy, filled = fill_missing_ankles(xy, confidence, projected, NAMES)
    changed = (filled_xy != xy).any(-1)
    assert torch.nonzero(changed).tolist() == sorted([[0, ANKLE], [0, HEEL]])
    assert torch.equal(filled_xy[changed], projected[changed])
    assert filled[0, ANKLE] == filled[0, HEEL] == 0.5 and filled[0, TOE] == 0.9
    assert torch.equal(filled_xy[1], xy[1]) and torch.equal(filled[1], confidence[1])
    overwritten, weights = fill_missing_ankles(xy, confidence, projected, NAMES, keep_detected=False)
    assert torch.equal(overwritten[0, TOE], projected[0, TOE]) and weights[0, TOE] == 0.5
    assert confidence[0, ANKLE] == 0.1, "the arguments stay as they are"


def test_a_detected_ankle_keeps_its_foot():
    projected, xy, confidence = people(1)
    confidence[:] = 0.0
    confidence[0, ANKLE] = 0.8
    filled_xy, _ = fill_missing_ankles(xy, confidence, projected, NAMES)
    left = [NAMES.index(f"left_{n}") for n in ("ankle", "big_toe", "small_toe", "heel")]
    right = [NAMES.index(f"right_{n}") for n in ("ankle", "big_toe", "small_toe", "heel")]
    assert torch.equal(filled_xy[0, left], xy[0, left])
    assert torch.equal(filled_xy[0, right], projected[0, right])


def test_nothing_is_filled_from_a_joint_that_the_body_lacks():
    projected, xy, confidence = people(1)
    confidence[:] = 0
    projected[0, ANKLE] = float("nan")
    filled_xy, filled = fill_missing_ankles(xy, confidence, projected, NAMES)
    assert filled[0, ANKLE] == 0 and torch.equal(filled_xy[0, ANKLE], xy[0, ANKLE])
    assert filled[0, TOE] == 0.5


def test_other_skeletons_have_other_columns():
    names = SKELETONS["coco17"].joint_names
    xy, confidence = torch.rand(1, 17, 2), torch.zeros(1, 17)
    _, filled = fill_missing_ankles(xy, confidence, xy + 1, names)
    assert {names[j] for j in torch.nonzero(filled[0])[:, 0].tolist()} == {"left_ankle", "right_ankle"}


def test_module_is_a_shell():
    projected, xy, confidence = people()
    scale = keypoint_scale(xy, confidence)
    options = {"confidence_power": 2.0, "min_confidence": 0.3, "robust": 40.0}
    torch.testing.assert_close(
        KeypointReprojectionLoss(**options)(projected, xy, confidence, scale),
        keypoint_reprojection(projected, xy, confidence, scale, **options),
    )


def test_errors():
    projected, xy, confidence = people()
    scale = keypoint_scale(xy, confidence)
    with pytest.raises(ValueError, match=r"\(N, J, 2\)"):
        keypoint_scale(xy[0], confidence)
    with pytest.raises(ValueError, match="one value a person"):
        keypoint_reprojection(projected, xy, confidence, scale[:1])
    with pytest.raises(ValueError, match="one name a joint"):
        fill_missing_ankles(xy, confidence, projected, NAMES[:5])


@pytest.mark.real
def test_real_people_of_which_some_ankles_are_missing(real_dir):
    from apu_contacts.sources import read_vitpose_body25

    missing = []
    for picture in ("girls_250416", "college_232334"):
        found = read_vitpose_body25(real_dir / picture / "vitpose.json")
        xy = torch.tensor(np.array([p.xy for p in found]))
        confidence = torch.tensor(np.array([p.confidence for p in found]))
        scale = keypoint_scale(xy, confidence)
        for n in range(len(found)):
            seen = xy[n][confidence[n] > 0]
            longer = float((seen.amax(0) - seen.amin(0)).max())
            assert math.isclose(scale[n].item() * longer, 512, rel_tol=1e-9)
        filled_xy, filled = fill_missing_ankles(xy, confidence, xy + 1000, NAMES)
        changed = (filled_xy > 900).any(-1)
        assert (confidence[changed] < 0.2).all() and (filled[changed] == 0.5).all()
        missing += [(picture, n) for n in torch.nonzero(changed.any(1))[:, 0].tolist()]
    # these people of the real photographs lack ankles
    assert {("college_232334", 3), ("girls_250416", 13), ("girls_250416", 16)} <= set(missing)
