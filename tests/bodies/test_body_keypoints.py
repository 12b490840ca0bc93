"""Keypoints of skeletons, against the smplx package's extra joints and by construction."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_body import VERTICES, random_parameters

from apu_contacts.keypoints.skeletons import SKELETONS
from apu_losses.bodies import Landmarks, LinearBlendBody, load_body, smplx_format
from apu_losses.bodies.families import SMPLX
from apu_losses.bodies.keypoints import SMPLX_SURFACE_POINTS, keypoint_sources
from apu_losses.bodies.smplx_format import JOINT_NAMES, surface_landmarks

NAMES = ("body25", "coco17", "coco_wholebody133")


@pytest.fixture(scope="module")
def free() -> LinearBlendBody:
    return load_body(dtype=torch.float64)


def test_surface_points_are_those_of_the_smplx_package() -> None:
    ids = pytest.importorskip("smplx.vertex_ids").vertex_ids["smplx"]
    named = {}
    for short, vertex in ids.items():
        side, part = (short[0].lower(), short[1:].lower()) if short != "nose" else ("", "nose")
        word = {"bigtoe": "big_toe", "smalltoe": "small_toe"}.get(part, part)
        named[f"{ {'l': 'left', 'r': 'right'}[side] }_{word}" if side else word] = vertex
    assert named == dict(SMPLX_SURFACE_POINTS)


def test_every_keypoint_of_a_model_file_is_that_of_the_smplx_package(
    smplx_create: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's output holds joints, surface points and face landmarks, by name."""
    order = list(pytest.importorskip("smplx.joint_names").JOINT_NAMES)

    for name, number in dict(SMPLX_SURFACE_POINTS).items():
        monkeypatch.setitem(SMPLX_SURFACE_POINTS, name, number % VERTICES)  # type: ignore[arg-type]
    monkeypatch.setattr(smplx_format, "_numbered_like", lambda family, weights: True)
    model = smplx_create(use_pca=False, batch_size=2)
    body = load_body(model)
    params = random_parameters(body, 2)
    joints = model(**params).joints
    posed = body.pose(params)
    checked = 0
    for skeleton in NAMES:
        found = body.keypoints(posed, skeleton)
        mask = body.keypoint_mask(skeleton)
        assert found.shape == (2, len(SKELETONS[skeleton].joint_names), 3)
        for k, name in enumerate(SKELETONS[skeleton].joint_names):
            number = int(name.removeprefix("face_")) if name.startswith("face_") else None
            if number is not None and number < 17:
                assert not mask[k] and not found[:, k].any()
                continue
            assert mask[k], name
            if number is not None:
                expected = joints[:, order.index("right_eye_brow1") + number - 17]
            elif name in ("neck", "mid_hip"):
                part = {"neck": "shoulder", "mid_hip": "hip"}[name]
                expected = sum(joints[:, order.index(f"{side}_{part}")] for side in ("left", "right")) / 2
            else:
                expected = joints[:, order.index(keypoint_sources(name)[0])]
            torch.testing.assert_close(found[:, k], expected, atol=3e-6, rtol=0)
            checked += 1
    assert checked == 25 + 17 + 133 - 17


def test_hands_run_from_the_wrist_over_the_knuckles_to_the_tips() -> None:
    names = [keypoint_sources(f"left_hand_{k}")[0] for k in range(21)]
    assert names[0] == "left_wrist"
    assert names[1:5] == ["left_thumb1", "left_thumb2", "left_thumb3", "left_thumb"]
    assert names[17:21] == ["left_pinky1", "left_pinky2", "left_pinky3", "left_pinky"]
    assert keypoint_sources("right_hand_8") == ("right_index",)


@pytest.mark.parametrize("skeleton", NAMES)
def test_the_free_body_has_every_keypoint_where_its_mirror_image_is(
    free: LinearBlendBody, skeleton: str
) -> None:
    assert free.keypoint_mask(skeleton).all()
    points = free.keypoints(free.pose({}), skeleton)[0]
    mirror = torch.tensor(SKELETONS[skeleton].mirror)
    middle = free.pose({}).joints[0, 0, 0]
    flipped = (
        points[mirror] * torch.tensor([-1.0, 1, 1]).double() + torch.tensor([2.0, 0, 0]).double() * middle
    )
    torch.testing.assert_close(points, flipped, atol=2e-3, rtol=0)


def test_the_free_bodys_keypoints_lie_where_people_have_them(free: LinearBlendBody) -> None:
    names = SKELETONS["coco_wholebody133"].joint_names
    at = dict(zip(names, free.keypoints(free.pose({}), "coco_wholebody133")[0], strict=True))
    x, y, z = range(3)
    assert at["left_wrist"][x] > at["left_elbow"][x] > at["left_shoulder"][x] > 0, (
        "left is +x, y up, facing +z"
    )
    assert at["nose"][z] > at["left_eye"][z] > at["left_ear"][z]
    assert at["left_eye"][y] > at["nose"][y] > at["left_shoulder"][y] > at["left_hip"][y] > at["left_knee"][y]
    assert at["left_big_toe"][z] > at["left_ankle"][z] > at["left_heel"][z]
    assert at["left_small_toe"][x] > at["left_big_toe"][x]
    assert at["face_30"].sub(at["nose"]).norm() < 0.02, "iBUG 30 is the tip of the nose"
    assert at["face_8"][y] < at["face_57"][y] < at["face_51"][y] < at["face_33"][y] < at["face_27"][y]
    for hand in ("left", "right"):
        for finger in range(5):
            chain = [at[f"{hand}_hand_{1 + 4 * finger + k}"] for k in range(4)]
            lengths = [float((b - a).norm()) for a, b in pairwise(chain)]
            assert all(0.01 < length < 0.06 for length in lengths), (hand, finger, lengths)


def test_gradients_reach_every_parameter_and_are_right(free: LinearBlendBody) -> None:
    params = {name: value.requires_grad_() for name, value in random_parameters(free, 1, scale=0.2).items()}
    free.keypoints(free.pose(params), "coco_wholebody133").square().sum().backward()
    for name, value in params.items():
        if name not in ("leye_pose", "reye_pose"):
            assert value.grad is not None and value.grad.abs().max() > 0, name
    names = ["body_pose", "age", "transl"]
    leaves = tuple(params[name].detach().requires_grad_() for name in names)
    assert torch.autograd.gradcheck(
        lambda *values: free.keypoints(free.pose(dict(zip(names, values, strict=True))), "body25"),
        leaves,
        fast_mode=True,
    )


def test_unknown_skeletons_are_named(free: LinearBlendBody) -> None:
    with pytest.raises(ValueError, match=r"skeleton must be one of .*body25.*, got 'openpose'"):
        free.keypoint_mask("openpose")


def test_meshes_of_another_numbering_get_no_surface_points(model_file: Path) -> None:
    """600 vertices cannot hold SMPL-X's numbers; nor can 12,000 whose skinning disagrees with them."""
    mask = load_body(model_file).keypoint_mask("body25")
    names = np.array(SKELETONS["body25"].joint_names)
    lacking = set(names[~mask.numpy()])
    assert lacking == {
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_big_toe", "left_small_toe",
        "left_heel", "right_big_toe", "right_small_toe", "right_heel",
    }  # fmt: skip
    faces, weights = np.zeros((1, 3), dtype=np.int64), np.zeros((12000, 55))
    weights[:, 0] = 1
    assert surface_landmarks(SMPLX, faces, weights, None, None).names == ()
    for point, vertex in SMPLX_SURFACE_POINTS.items():
        side, part = point.split("_", 1) if "_" in point else ("", point)
        home = {"big_toe": "foot", "small_toe": "foot", "heel": "ankle"}.get(part)
        joint = f"{side}_{home}" if home else f"{point}3" if f"{point}3" in JOINT_NAMES else "head"
        weights[vertex] = 0
        weights[vertex, JOINT_NAMES.index(joint)] = 1
    assert set(surface_landmarks(SMPLX, faces, weights, None, None).names) == set(SMPLX_SURFACE_POINTS)


def test_landmark_tables_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 3\) for 1 names"):
        Landmarks(("nose",), np.zeros((2, 3), dtype=np.int64), np.zeros((1, 3)))
