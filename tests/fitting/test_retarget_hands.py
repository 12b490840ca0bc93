"""Hands in the start of a fit: fingers found from their joints, poses carried over in either convention."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
import torch
from fitting_scenes import CAMERA, HEIGHT, WIDTH, nobody_saw, parameters, scene, some_pose, tensors

from apu_contacts import Keypoints2D
from apu_contacts.keypoints import SKELETONS
from apu_contacts.sources import Camera, InitialEstimate, PersonDetection
from apu_losses.bodies import flat_hand_pose, load_body
from apu_losses.fitting import (
    InitialBody,
    Joints3D,
    ScenePerson,
    initial_parameters,
    load_scene,
    posed_estimate,
    save_scene,
    scene_from_detections,
)
from apu_losses.fitting.start.retarget_hands import is_finger

HANDS = ("left_hand_pose", "right_hand_pose")
BODY = tuple(
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
)
FINGERS = tuple(
    f"{side}_{finger}{k}"
    for side in ("left", "right")
    for finger in ("thumb", "index", "middle", "ring", "pinky")
    for k in (1, 2, 3)
)
POINTS = tuple(f"{side}_hand_{k}" for side in ("left", "right") for k in range(1, 21))


def bent(seed, size=0.9):
    """Fingers bent by up to ``size`` radians at each joint, each hand by itself."""
    rng = np.random.default_rng(seed)
    hands = {}
    for name, sign in zip(HANDS, (-1, 1), strict=True):
        pose = np.zeros((15, 3))
        pose[:12, 2] = sign * rng.uniform(0, size, 12)
        pose[12:] = rng.normal(0, 0.2, (3, 3))
        hands[name] = pose.ravel()
    return hands


def somebody(seed=0, **values):
    return {**parameters(body_pose=some_pose(seed)), **bent(seed), **values}


def points_of(body, params, names):
    """``(J, 3)`` joints and COCO-WholeBody keypoints of a posed body."""
    posed = body.pose(tensors([params]))
    keypoints = body.keypoints(posed, "coco_wholebody133")[0]
    where = SKELETONS["coco_wholebody133"].joint_names
    rows = [
        posed.joints[0, body.joint_names.index(n)] if n in body.joint_names else keypoints[where.index(n)]
        for n in names
    ]
    return torch.stack(rows).double().numpy()


def retargeted(body, truth, names, xyz=None, weights=None, **start):
    """Parameters found from joints and a pose that is a little off; hands from ``start`` alone."""
    rough = {k: v for k, v in truth.items() if k not in HANDS}
    rough["body_pose"] = rough["body_pose"] + np.random.default_rng(9).normal(0, 0.05, 63)
    joints = Joints3D(tuple(names), points_of(body, truth, names) if xyz is None else xyz, weights)
    return initial_parameters(body, [InitialBody({**rough, **start}, joints)])[0]


def from_wrist(body, params, names=FINGERS):
    """``(J, 3)`` finger joints seen from their wrists, metres."""
    params = {k: np.asarray(v).reshape(-1) for k, v in params.items()}
    roots = points_of(body, params, [f"{name.split('_')[0]}_wrist" for name in names])
    return points_of(body, params, names) - roots


@pytest.mark.parametrize("names", [FINGERS, POINTS], ids=["joints", "keypoints"])
def test_bent_fingers_are_found_from_their_joints(body, names):
    truth = somebody(1)
    found = retargeted(body, truth, (*BODY, *names))
    away = np.linalg.norm(from_wrist(body, found) - from_wrist(body, truth), axis=1)
    unbent = np.linalg.norm(
        from_wrist(body, {**truth, **dict.fromkeys(HANDS, np.zeros(45))}) - from_wrist(body, truth), axis=1
    )
    assert unbent.mean() > 0.012 and away.mean() < 0.002 and away.max() < 0.006


def test_the_body_is_where_it_is_without_fingers(body):
    truth = somebody(2)
    alone = retargeted(body, truth, BODY)
    found = retargeted(body, truth, (*BODY, *FINGERS))
    wrists = np.r_[57:63]  # 19 and 20 of the 21 rotations
    for name in ("global_orient", "betas", "transl"):
        assert torch.equal(found[name], alone[name])
    same = np.setdiff1d(np.arange(63), wrists)
    assert torch.equal(found["body_pose"][:, same], alone["body_pose"][:, same])
    assert (found["body_pose"][:, wrists] != alone["body_pose"][:, wrists]).all()
    moved = points_of(body, {k: v[0].numpy() for k, v in found.items()}, BODY)
    np.testing.assert_allclose(
        moved, points_of(body, {k: v[0].numpy() for k, v in alone.items()}, BODY), atol=1e-6
    )
    assert (alone["left_hand_pose"] == 0).all()


def test_hands_of_another_size_point_the_same_way(body):
    truth = somebody(3)
    names = (*BODY, *FINGERS)
    xyz = points_of(body, truth, names)
    for side in ("left", "right"):
        rows = [i for i, n in enumerate(names) if is_finger(n) and n.startswith(side)]
        root = xyz[names.index(f"{side}_wrist")]
        xyz[rows] = root + 1.4 * (xyz[rows] - root)
    found = retargeted(body, truth, names, xyz)
    ours, theirs = from_wrist(body, found), from_wrist(body, truth)
    cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 3
    np.testing.assert_allclose(ours, theirs, atol=0.006)


def test_a_hand_that_was_not_seen_keeps_its_start(body):
    truth, start = somebody(4), bent(5)
    names = (*BODY, *FINGERS)
    weights = np.array([0.0 if is_finger(n) and n.startswith("left") else 1.0 for n in names])
    xyz = np.where(weights[:, None] > 0, points_of(body, truth, names), np.nan)
    xyz = np.nan_to_num(xyz, nan=77.0)  # anywhere
    found = retargeted(body, truth, names, xyz, weights, **start)
    np.testing.assert_allclose(found["left_hand_pose"][0], start["left_hand_pose"], atol=1e-6)
    right = [n for n in FINGERS if n.startswith("right")]
    away = np.linalg.norm(from_wrist(body, found, right) - from_wrist(body, truth, right), axis=1)
    assert away.max() < 0.006
    # three points say nothing
    few = (*BODY, *FINGERS[:3])
    alone = retargeted(body, truth, few, **start)
    np.testing.assert_allclose(alone["left_hand_pose"][0], start["left_hand_pose"], atol=1e-6)


def test_neighbours_do_not_matter(body):
    names = (*BODY, *FINGERS)
    people = []
    for seed in range(3):
        truth = somebody(seed, transl=np.array([seed, 0.3, 4.0 + seed]))
        joints = Joints3D(names, points_of(body, truth, names))
        people.append(InitialBody({k: v for k, v in truth.items() if k not in HANDS}, joints))
    together = initial_parameters(body, people)[0]
    alone = initial_parameters(body, people[1:2])[0]
    for name, value in alone.items():
        torch.testing.assert_close(together[name][1:2], value, atol=1e-5, rtol=0)


def test_which_names_are_fingers():
    yes = ("left_thumb1", "right_pinky3", "left_hand_0", "right_hand_20", "left_index2")
    no = ("left_hand", "left_wrist", "nose", "left_big_toe", "right_foot", "head", "face_3", "mid_hip")
    assert all(map(is_finger, yes)) and not any(map(is_finger, no))


# Hand poses by value


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The free body as a user's SMPL-X file; its mean hand is not flat."""
    path = tmp_path_factory.mktemp("model") / "SMPLX_NEUTRAL.npz"
    with (resources.files("apu_losses.bodies") / "data" / "free_body.npz").open("rb") as file:
        arrays = {k: v for k, v in np.load(file).items() if k != "kid_template"}
    np.savez(path, **arrays)
    return path


def estimate(hands, flat, model="smplx", joints=False, body=None):
    """Somebody of SMPL-X as a reader gives them: parameters, and perhaps body joints."""
    common = {"global_orient": np.array([np.pi, 0, 0]), "body_pose": some_pose(6)}
    own = {"betas": np.zeros(10), "transl": np.array([0.1, 0.2, 4.0]), **hands}
    names, xyz = ("pelvis",), np.array([[0.1, 0.0, 4.0]])
    if joints:
        names = BODY
        xyz = points_of(body, {**common, "betas": own["betas"], "transl": own["transl"]}, BODY)
    return InitialEstimate(
        "somebody",
        common,
        names,
        xyz,
        model=model,
        own=own,
        camera=Camera(CAMERA.focal, CAMERA.center),
        flat_hand_mean=flat,
    )


def start_of(estimate, fitted, **options):
    seen = Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25))
    person = PersonDetection(seen, np.zeros(4), estimate)
    made = scene_from_detections([person], WIDTH, HEIGHT, camera=CAMERA, **options)
    return made, initial_parameters(fitted, [made.people[0].initial])[0]


@pytest.mark.parametrize("load_flat", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_the_users_own_body_gets_the_hands_that_the_estimator_meant(files, flat, load_flat):
    hands = bent(7)
    body = load_body(files, flat_hand_mean=load_flat)
    # what the estimator meant: its own body, loaded by its own convention
    meant = load_body(files, flat_hand_mean=flat)
    given = estimate(hands, flat)
    _, found = start_of(given, body, body_model="smplx")
    whole = {**given.parameters, **given.own}
    expected = meant.pose(tensors([whole])).vertices()
    torch.testing.assert_close(body.pose(found).vertices(), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("flat", [False, True])
def test_retargeted_people_keep_their_hands(body, flat):
    """Flat: the same rotations. Relative: as far from the mean hand of the free body as from SMPL-X's."""
    hands = bent(8)
    _, found = start_of(estimate(hands, flat, joints=True, body=body), body)
    for name, space in zip(HANDS, (body.data.left_hand, body.data.right_hand), strict=True):
        value = found[name][0].double().numpy()
        np.testing.assert_allclose(flat_hand_pose(space, value) if flat else value, hands[name], atol=1e-6)


@pytest.mark.parametrize("flat", [False, True])
def test_parameters_alone_keep_their_hands_on_the_way_over_a_posed_body(body, files, flat):
    hands = bent(9)
    users = load_body(files)
    given = estimate(hands, flat)
    posed = posed_estimate(given, users)
    meant = load_body(files, flat_hand_mean=flat)
    expected = meant.pose(tensors([{**given.parameters, **given.own}])).joints[0].double().numpy()
    np.testing.assert_allclose(posed.joints[: len(expected)], expected, atol=2e-6)
    # from there to the free body, by finger joints
    _, found = start_of(given, body, body=users)
    away = np.linalg.norm(
        from_wrist(body, {k: v[0].numpy() for k, v in found.items()})
        - (
            expected[[users.joint_names.index(n) for n in FINGERS]]
            - expected[[users.joint_names.index(f"{n.split('_')[0]}_wrist") for n in FINGERS]]
        ),
        axis=1,
    )
    assert away.max() < 0.006


def test_bodies_without_fingers_go_without(body):
    """SMPL's own, and hands of another kind."""
    given = estimate(bent(1), True, model="mhr", joints=True, body=body)
    made, found = start_of(given, body)
    assert not set(HANDS) & set(made.people[0].initial.parameters)
    assert (found["left_hand_pose"] == 0).all() and made.people[0].initial.flat_hand_mean is None


def test_scene_files_say_what_hands_are_relative_to(body, tmp_path):
    hands = bent(2)
    people = [
        ScenePerson(nobody_saw({}).keypoints, InitialBody({**parameters(), **hands}, None, flat))
        for flat in (None, False, True)
    ]
    save_scene(scene(people), tmp_path / "scene.json")
    back = [person.initial for person in load_scene(tmp_path / "scene.json").people]
    assert [b.flat_hand_mean for b in back] == [None, False, True]
    found = initial_parameters(body, back)[0]["left_hand_pose"].double().numpy()
    mean = body.data.left_hand.mean
    np.testing.assert_allclose(found, hands["left_hand_pose"] - [0 * mean, 0 * mean, mean], atol=1e-6)


def test_a_smplx_object_without_its_mean_hand_refuses_relative_hands(body, files):
    blind = replace(body.data, left_hand=replace(body.data.left_hand, model_mean=None))
    blind_body = type(body)(blind)
    with pytest.raises(
        ValueError, match=r"'left_hand_pose' of person 0: .*load it with flat_hand_mean=False"
    ):
        initial_parameters(blind_body, [InitialBody({**parameters(), **bent(1)}, None, False)])
