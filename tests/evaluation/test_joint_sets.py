"""Joints are the same on both sides, and a regressor is looked at before it is believed."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from dataset_layouts import joints_by_name, load_body

from apu_losses.evaluation import LIMBS, LSP14, handedness, load_regressor
from apu_losses.evaluation.frames import FittedPair, TruthFrame
from apu_losses.evaluation.handedness import sides_exchanged
from apu_losses.evaluation.joint_sets import NamedJoints, body_points, common_joints


@pytest.fixture(scope="module")
def matrix():
    body = load_body()
    rows = [np.asarray(body.data.joint_regressor)[body.joint_names.index(name)] for name in LSP14[:13]]
    top = np.zeros(body.num_vertices)
    top[int(np.asarray(body.data.v_template)[:, 1].argmax())] = 1
    return np.stack([*rows, top])


def test_a_regressor_as_it_is_found_in_the_wild(tmp_path, matrix):
    path = tmp_path / "SMPLX_to_J14.pkl"
    path.write_bytes(pickle.dumps(matrix.astype(np.float32), protocol=2))
    found = load_regressor(path, load_body())
    assert found.names == LSP14
    template = np.asarray(load_body().data.v_template, dtype=float)
    joints = found.of_fit(FittedPair({}, np.stack([template, template + 1])))
    np.testing.assert_allclose(joints[1] - joints[0], 1, atol=1e-5)
    assert "regressed from 12242 vertices by SMPLX_to_J14.pkl (digest" in found.provenance


def test_rows_in_another_order_are_refused_by_where_they_lie(tmp_path, matrix):
    left_first = matrix[[5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13]]
    np.save(tmp_path / "J14.npy", left_first)
    with pytest.raises(
        ValueError, match=r"row 0 should be right_ankle, .* nearest to left_ankle: .* another order"
    ):
        load_regressor(tmp_path / "J14.npy", load_body())


def test_another_shape_or_sum_is_refused(tmp_path, matrix):
    np.save(tmp_path / "J14.npy", matrix[:, :10475])
    with pytest.raises(ValueError, match=r"expected a regressor of shape \(14, 12242\).*got \(14, 10475\)"):
        load_regressor(tmp_path / "J14.npy", load_body())
    np.save(tmp_path / "J14.npy", 1.2 * matrix)
    with pytest.raises(ValueError, match=r"weights of row \d+ must sum to 1, got 1\.2"):
        load_regressor(tmp_path / "J14.npy", load_body())


def test_joints_at_rest_are_the_posed_joints_of_nobody_moving():
    body = load_body()
    posed = body.pose({})
    vertices = posed.vertices().double().numpy().repeat(2, 0)
    joints = posed.joints.double().numpy().repeat(2, 0)
    by_vertices, by_pose = body_points(body, vertices), body_points(body, vertices, joints)
    for name in LSP14:
        np.testing.assert_allclose(by_vertices[name], by_pose[name], atol=0.02)


def test_the_joints_that_both_sides_have():
    point = np.zeros((2, 3))
    all14 = dict.fromkeys(LSP14, point)
    limbs = dict.fromkeys(LIMBS, point)
    assert common_joints(all14, all14).names == LSP14
    assert common_joints(all14, limbs).names == LIMBS
    with pytest.raises(ValueError, match="the fits lack the joint left_knee and 0 more"):
        common_joints({k: v for k, v in all14.items() if k != "left_knee"}, all14)
    with pytest.raises(ValueError, match="the truth of f has no joint 'left_shoulder'"):
        NamedJoints(LIMBS).of_truth(TruthFrame("f", "g", "c"))


def test_handedness_tells_people_from_mirror_images_however_they_turn(scenes):
    for scene in scenes:
        points = joints_by_name(scene)
        mirrored = {name: value * [1, 1, -1] for name, value in points.items()}
        assert handedness(points) > 0.5
        assert handedness(mirrored) == pytest.approx(-handedness(points))
        assert handedness(sides_exchanged(mirrored)) == pytest.approx(handedness(points))
