"""`SceneFitter` with the bodies that people have: their own files of the SMPL family, and posed meshes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_scenes import CAMERA, HAND_ON_SHOULDER, UPRIGHT, scene
from other_body import whole_body_as

from apu_contacts import Keypoints2D, RegionMap
from apu_contacts.keypoints import SKELETONS
from apu_losses.bodies import LinearBlendBody, PosedMeshBody, load_body
from apu_losses.bodies.families import SMPL, SMPLH, SMPLX
from apu_losses.fitting import (
    FitState,
    InitialBody,
    Joints3D,
    SceneContact,
    SceneFitter,
    ScenePerson,
    load_preset,
    make_batch,
)
from apu_losses.fitting.body_parameters import pose_joints, smplx_pose
from apu_losses.fitting.objective.terms import DepthOrderTerm, SmoothnessTerm

BEST = load_preset("best")
# with penetration from the first step: where the hand lands then does not depend on the last bits
FIRST = replace(BEST.stages[0], weights={**BEST.stages[0].weights, "penetration": 200.0}, max_iterations=60)
SHORT = replace(BEST, stages=[FIRST, *BEST.stages[1:]])


def seen(body, params):
    """BODY_25 keypoints that the body has in this pose, projected."""
    with torch.no_grad():
        points = body.keypoints(body.pose(params), "body25").double().numpy()
    xy = points[..., :2] / np.where(points[..., 2:] > 0, points[..., 2:], 1) * CAMERA.focal + np.array(
        CAMERA.center
    )
    return [Keypoints2D("body25", p, np.where(body.keypoint_mask("body25"), 0.9, 0.0)) for p in xy]


def two_people(body, gap=0.06):
    """Two in T-pose side by side; the left hand of one nearly reaches the right shoulder of the other."""
    size = body.parameter_specs["body_pose"].size
    pose = torch.zeros(2, size)
    return {
        "global_orient": torch.tensor([UPRIGHT] * 2).float(),
        "body_pose": pose,
        "transl": torch.tensor([[-0.55 - gap, 0.3, 4.0], [0.55, 0.3, 4.0]]),
    }


def pair_of(body, params, joints=True):
    keypoints = seen(body, params)
    posed = body.pose(params)
    joints_of = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    names = ("pelvis", *(f"{side}_{joint}" for joint in joints_of for side in ("left", "right")))
    index = [body.joint_names.index(name) for name in names]
    people = []
    for k in range(2):
        given = {name: value[k].numpy() for name, value in params.items()}
        xyz = posed.joints[k, index].double().numpy()
        people.append(ScenePerson(keypoints[k], InitialBody(given, Joints3D(names, xyz) if joints else None)))
    return scene(people, [SceneContact(0, 1, HAND_ON_SHOULDER)])


@pytest.mark.parametrize("family", [SMPL, SMPLH, SMPLX], ids=lambda family: family.name)
def test_a_pair_on_a_body_of_the_family_comes_into_contact(family, tmp_path):
    whole_body_as(family, tmp_path / "MINE.npz")
    body = load_body(tmp_path / "MINE.npz")
    # the mesh is the free body's, so its map is as well, under the family's name
    free = RegionMap.load("free")
    ids = np.arange(body.num_vertices)
    regions = free.transfer(ids, topology=family.name).regions
    params = two_people(body)
    retargeted = family is SMPL  # or the parameters as they came
    (result,) = SceneFitter(body, regions=regions, preset=SHORT).fit([pair_of(body, params, retargeted)])
    assert not result.failed and max(result.after.keypoint_error) < 30
    assert 0.03 < min(result.before.contact_distance) < 0.2
    assert result.after.contact_share(0.01, over="parts") == 1.0
    assert result.parameters["body_pose"].shape == (2, 69 if family is SMPL else 63)
    record = json.loads(result.save(tmp_path / "out")[1].read_text())
    assert (record["body"], record["body_model"]) == ("MINE", family.name)
    assert record["regions"]["kind"] == "transferred" and record["regions"]["topology"] == family.name
    assert "by given vertex ids" in record["regions"]["provenance"]
    missing = [note for note in record["notes"] if "hand_pose" in note]
    assert len(missing) == (2 if family is SMPL else 0)


def test_posed_meshes_move_into_contact_and_keep_their_shape(body, tmp_path):
    """SAM 3D Body's way: vertices and 3D keypoints, no parameters of a body."""
    params = two_people(body)
    posed = body.pose(params)
    names = [n for n in SKELETONS["body25"].joint_names if n not in ("neck", "mid_hip")]
    index = SKELETONS["body25"].indices(names)
    points = body.keypoints(posed, "body25")[:, index]
    mesh = PosedMeshBody(posed.vertices(), body.faces, joints=points, joint_names=names, name="mhr")
    keypoints = seen(mesh, {"transl": torch.zeros(2, 3)})
    pairs = [
        scene([ScenePerson(k) for k in keypoints], [SceneContact(0, 1, HAND_ON_SHOULDER)], "first"),
        scene(
            [ScenePerson(k, InitialBody({"mesh": [m]})) for k, m in zip(keypoints, (0, 1), strict=True)],
            [SceneContact(0, 1, HAND_ON_SHOULDER)],
            "second",
        ),
    ]
    fitter = SceneFitter(mesh, regions=RegionMap.load("free"), preset=SHORT, batch_size=1)
    for result in fitter.fit([pairs[0]]) + fitter.fit([pairs[1]]):
        # stiff bodies trade contact for keypoints: they come near
        assert not result.failed and min(result.before.contact_distance) > 0.05
        assert result.after.contact_share(0.02, over="parts") == 1.0
        assert result.body_model == "mhr" and set(result.parameters) == {"global_orient", "transl", "mesh"}
        assert result.after.pose_change_rms == (0, 0) and result.after.stature_change == (0, 0)
        assert any("'betas'" in note for note in result.notes)
        # one moved towards the other; the sizes stay
        moved = mesh.pose({k: torch.as_tensor(v).float() for k, v in result.parameters.items()}).vertices()
        extent = torch.linalg.svdvals(moved - moved.mean(1, keepdim=True))
        expected = torch.linalg.svdvals(posed.vertices() - posed.vertices().mean(1, keepdim=True))
        torch.testing.assert_close(extent, expected, rtol=1e-4, atol=0)


def test_meshes_are_counted_through_all_batches(body):
    vertices = body.pose({"transl": torch.tensor([[0.0, 0, 4], [0, 0, 5], [0, 0, 6]])}).vertices()
    points = body.pose({"transl": torch.tensor([[0.0, 0, 4], [0, 0, 5], [0, 0, 6]])}).joints[:, 1:9]
    mesh = PosedMeshBody(vertices, body.faces, joints=points, joint_names=body.joint_names[1:9])
    nobody = Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25))
    scenes = [scene([ScenePerson(nobody)] * 2, name="two"), scene([ScenePerson(nobody)], name="one")]
    results = SceneFitter(mesh, preset=SHORT, batch_size=1).fit(scenes)
    assert [r.parameters["mesh"].ravel().tolist() for r in results] == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("names", "counted"),
    [
        (("nose", "left_hip", "right_hip"), ("left_hip", "right_hip")),  # not the nose, which comes first
        (("nose", "pelvis"), ("pelvis",)),
        (("nose", "left_ear", "right_ear"), ("nose", "left_ear", "right_ear")),
    ],
)
def test_order_and_motion_of_given_meshes_go_by_the_points_that_they_have(body, names, counted):
    """Two meshes 1 m apart; each named point of the second is nearer by a length of its own."""
    vertices = body.pose({"transl": torch.tensor([[0.0, 0, 4], [1, 0, 4]])}).vertices()
    nearer = {"nose": 0.19, "left_hip": 0.02, "right_hip": 0.04, "pelvis": 0.05}
    nearer |= {"left_ear": 0.06, "right_ear": 0.07}
    points = vertices[:, :1].repeat(1, len(names), 1)
    points[1, :, 2] -= torch.tensor([nearer[name] for name in names])
    meshes = PosedMeshBody(vertices, body.faces, joints=points, joint_names=names)
    nobody = Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25))
    people = [ScenePerson(nobody, frame=frame, track="she") for frame in (0, 1)]
    batch = make_batch([replace(scene(people), depth_order=[(0, 1)])], torch.device("cpu"), torch.float32)
    state = FitState(meshes, None, None, batch, {"transl": torch.zeros(2, 3)}, {}, {})
    lengths = np.array([nearer[name] for name in counted])
    (order,), (speed,) = DepthOrderTerm(margin=1e-6)(state), SmoothnessTerm("velocity")(state)
    assert order.sqrt().item() == pytest.approx(lengths.mean(), rel=1e-3)
    assert speed.item() == pytest.approx((1 + lengths**2).sum(), rel=1e-4)


def test_the_priors_find_their_joints_by_name(tmp_path, body):
    whole_body_as(SMPL, tmp_path / "SMPL.npz")
    smpl = load_body(tmp_path / "SMPL.npz")
    assert pose_joints(smpl) == SMPL.joint_names[1:] and pose_joints(body) == SMPLX.joint_names[1:22]
    pose = torch.arange(69.0)[None]
    assert torch.equal(smplx_pose(smpl, {"body_pose": pose}), pose[:, :63])


def test_a_start_with_parameters_that_the_body_lacks(tmp_path):
    whole_body_as(SMPL, tmp_path / "SMPL.npz")
    body = load_body(tmp_path / "SMPL.npz")
    params = two_people(body)
    whole = pair_of(body, params)
    hands = {"left_hand_pose": np.zeros(45)}
    fitter = SceneFitter(body, regions=RegionMap.load("free"))
    for joints in (True, False):
        people = [
            replace(
                person,
                initial=InitialBody(
                    {**person.initial.parameters, **hands}, person.initial.joints if joints else None
                ),
            )
            for person in whole.people
        ]
        if joints:
            assert fitter.start([scene(people)])["body_pose"].shape == (2, 69)
        else:
            with pytest.raises(
                ValueError, match="'left_hand_pose' of person 0 is unknown to the body 'SMPL'"
            ):
                fitter.start([scene(people)])


def test_a_body_file_gets_a_map_of_its_own(body):
    data = body.data

    def longer(array):
        return np.concatenate([array, array[:1]])

    one_more = replace(
        data,
        name="mine",
        **{name: longer(getattr(data, name)) for name in ("v_template", "weights", "shapedirs")},
        joint_regressor=np.concatenate([data.joint_regressor, np.zeros((55, 1))], 1),
        age_direction=None,
        posedirs=None,
    )
    with pytest.warns(UserWarning, match="approximate"):
        fitter = SceneFitter(LinearBlendBody(one_more), preset=SHORT)
    assert fitter.regions.kind == "derived" and fitter.regions.topology == "mine"
