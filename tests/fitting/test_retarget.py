"""The retargeted start: a body is found again from its joints; children, adults, weights, errors."""

import numpy as np
import pytest
import torch
from fitting_scenes import parameters, some_pose, tensors

from apu_contacts.sources import read_bev
from apu_losses.fitting import (
    InitialBody,
    Joints3D,
    RetargetOptions,
    initial_parameters,
    scene_from_detections,
)
from apu_losses.fitting.start.joint_trust import JOINT_TRUST

LIMBS = tuple(
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
)
NAMES = (*LIMBS, "neck", "head", "pelvis", "left_foot", "right_foot")

TRUTHS = {
    "adult": parameters(body_pose=some_pose(1)),
    "tall adult, turned": parameters(
        body_pose=some_pose(2), betas=[1.5] + [0.3] * 9, global_orient=[2.6, 0.8, -0.4]
    ),
    "child": parameters(body_pose=some_pose(3), age=[0.45], transl=[-0.8, 0.5, 6.0]),
    "far away": parameters(body_pose=some_pose(4, 0.4), transl=[3.0, 1.0, 40.0]),
}


def joints_of(body, params, names=NAMES):
    posed = body.pose(tensors([params]))
    return posed.joints[0, [body.joint_names.index(name) for name in names]].double().numpy()


def guess(truth, seed=0):
    """The truth as an estimator gets it wrong: rotations, shape, age and place."""
    rng = np.random.default_rng(seed)
    return {
        "global_orient": truth["global_orient"] + rng.normal(0, 0.1, 3),
        "body_pose": truth["body_pose"] + rng.normal(0, 0.1, 63),
        "betas": np.zeros(10),
        "age": truth["age"] + 0.08 * (truth["age"] > 0),
        "transl": truth["transl"] + rng.normal(0, 0.3, 3),
    }


def given(body, truth, names=NAMES, weights=None, start=None, xyz=None):
    xyz = joints_of(body, truth, names) if xyz is None else xyz
    return InitialBody(guess(truth) if start is None else start, Joints3D(names, xyz, weights))


def distances(body, params, row, truth, names=NAMES):
    one = {name: value[row : row + 1] for name, value in params.items()}
    index = [body.joint_names.index(name) for name in names]
    return np.linalg.norm(
        body.pose(one).joints[0, index].double().numpy() - joints_of(body, truth, names), axis=1
    )


@pytest.fixture(scope="module")
def solved(body):
    return initial_parameters(body, [given(body, truth) for truth in TRUTHS.values()])


@pytest.mark.parametrize("who", TRUTHS)
def test_joints_and_stature_come_back(body, solved, who):
    params, report = solved
    row = list(TRUTHS).index(who)
    found = distances(body, params, row, TRUTHS[who])
    assert found.mean() < 0.002 and found.max() < 0.006
    assert report.mean_distance[row].item() == pytest.approx(found.mean(), abs=2e-5)
    assert report.max_distance[row].item() == pytest.approx(found.max(), abs=2e-5)
    stature = body.stature({name: value[row : row + 1] for name, value in params.items()}).item()
    assert stature == pytest.approx(body.stature(tensors([TRUTHS[who]])).item(), abs=0.01)


def test_the_start_was_far_off(body):
    for truth in TRUTHS.values():
        start = guess(truth)
        assert np.linalg.norm(joints_of(body, start) - joints_of(body, truth), axis=1).mean() > 0.1


def test_a_row_does_not_depend_on_its_neighbours(body, solved):
    for row, truth in enumerate(TRUTHS.values()):
        alone, _ = initial_parameters(body, [given(body, truth)])
        for name, value in alone.items():
            torch.testing.assert_close(value[0], solved[0][name][row], atol=2e-3, rtol=1e-3)


def test_adults_stay_adults_and_children_stay_children(body, solved):
    age = solved[0]["age"][:, 0]
    assert age[[0, 1, 3]].abs().max() < 1e-3
    assert 0.3 < age[2] < 0.6
    # BEV calls many adults a tenth of a child
    start = {**guess(TRUTHS["adult"]), "age": np.array([0.1])}
    params, _ = initial_parameters(body, [given(body, TRUTHS["adult"], start=start)])
    assert params["age"].abs().max() < 1e-3
    strict, _ = initial_parameters(
        body, [given(body, TRUTHS["adult"], start=start)], RetargetOptions(adult_below=0.05)
    )
    assert strict["age"].item() > 1e-3


def test_joints_with_weight_zero_are_ignored(body):
    truth = TRUTHS["adult"]
    weights = np.ones(len(NAMES))
    weights[[0, 5]] = 0
    wrong = joints_of(body, truth)
    wrong[0] += 5.0
    wrong[5] = np.nan
    params, report = initial_parameters(body, [given(body, truth, weights=weights, xyz=wrong)])
    found = distances(body, params, 0, truth)
    assert found[weights > 0].mean() < 0.002 and found.max() < 0.1
    assert report.max_distance[0].item() == pytest.approx(found[weights > 0].max(), abs=2e-5)


def test_a_person_without_joints_is_left_alone(body):
    start = {name: value.astype(np.float32).astype(float) for name, value in guess(TRUTHS["child"]).items()}
    params, report = initial_parameters(
        body, [InitialBody(start), given(body, TRUTHS["adult"]), InitialBody({"transl": [1, 2, 3]})]
    )
    for name, value in start.items():
        np.testing.assert_array_equal(params[name][0].double().numpy(), value)
    assert params["transl"][2].tolist() == [1, 2, 3]
    for name, spec in body.parameter_specs.items():
        if name != "transl":
            np.testing.assert_array_equal(params[name][2].numpy(), np.float32(spec.default))
    assert report.mean_distance[[0, 2]].tolist() == [0, 0] and report.mean_distance[1] > 0


def test_people_with_different_joints_in_one_call(body):
    names = (*LIMBS, "nose", "left_big_toe", "somewhere")  # a joint, keypoints, and a name nobody knows
    truth = TRUTHS["adult"]
    posed = body.pose(tensors([truth]))
    from apu_contacts.keypoints import SKELETONS

    order = SKELETONS["coco_wholebody133"].joint_names
    surface = body.keypoints(posed, "coco_wholebody133")[0].double().numpy()
    extra = surface[[order.index("nose"), order.index("left_big_toe")]]
    xyz = np.concatenate([joints_of(body, truth, LIMBS), extra, [[9, 9, 9]]])
    params, report = initial_parameters(
        body, [given(body, TRUTHS["child"]), given(body, truth, names, xyz=xyz), given(body, truth)]
    )
    assert distances(body, params, 1, truth, LIMBS).mean() < 0.003
    after = body.keypoints(body.pose({k: v[1:2] for k, v in params.items()}), "coco_wholebody133")[0]
    assert np.linalg.norm(after[order.index("nose")].double().numpy() - extra[0]) < 0.01
    assert report.max_distance.max() < 0.01


def test_too_few_joints_and_wrong_parameters_are_named(body):
    truth = TRUTHS["adult"]
    with pytest.raises(ValueError, match=r"'free' has 2 of the joints.*at least 4"):
        initial_parameters(body, [given(body, truth, ("left_hip", "neck", "a", "b"), xyz=np.zeros((4, 3)))])
    with pytest.raises(ValueError, match=r"'body_pose' of person 1 must have 63 numbers, got 69"):
        initial_parameters(body, [InitialBody(), InitialBody({"body_pose": np.zeros(69)})])
    with pytest.raises(ValueError, match=r"'hair' of person 0 is unknown to the body 'free'.*body_pose"):
        initial_parameters(body, [InitialBody({"hair": [1]})])
    with pytest.raises(ValueError, match=r"xyz must have shape \(2, 3\), got \(3, 3\)"):
        Joints3D(("neck", "head"), np.zeros((3, 3)))


@pytest.mark.parametrize("weighted", [0, 3])
def test_fewer_than_four_trusted_joints_cannot_place_a_person(body, weighted):
    weights = np.zeros(len(NAMES))
    weights[:weighted] = 1
    with pytest.raises(ValueError, match=rf"person 1.*{weighted} .*at least 4"):
        initial_parameters(body, [InitialBody(), given(body, TRUTHS["adult"], weights=weights)])


def test_a_broken_person_does_not_disturb_the_others(body):
    truth = TRUTHS["adult"]
    broken = joints_of(body, truth)
    broken[2] = np.nan
    params, _ = initial_parameters(body, [given(body, truth, xyz=broken), given(body, truth)])
    assert not torch.isfinite(params["transl"][0]).all()  # which the fitter reports
    assert distances(body, params, 1, truth).mean() < 0.002


def real_people(real_dir):
    return {path.parent.name: read_bev(path) for path in sorted(real_dir.glob("*/bev.npz"))}


@pytest.mark.real
def test_real_estimates_are_met_within_two_centimetres(body, real_dir):
    people = []
    for estimates in real_people(real_dir).values():
        for person in estimates:
            e = person.initial_estimate()
            known = [i for i, name in enumerate(e.joint_names) if name in JOINT_TRUST]
            names = tuple(e.joint_names[i] for i in known)
            joints = Joints3D(names, e.joints[known], np.array([JOINT_TRUST[n] for n in names]))
            people.append(InitialBody(e.parameters, joints))
    assert len(people) >= 8
    params, report = initial_parameters(body, people)
    assert all(torch.isfinite(value).all() for value in params.values())
    assert report.mean_distance.max() < 0.02, report.mean_distance
    alone, _ = initial_parameters(body, people[:1])
    torch.testing.assert_close(alone["body_pose"][0], params["body_pose"][0], atol=5e-3, rtol=0)


@pytest.mark.real
def test_a_scene_of_real_detections(real_dir):
    from apu_contacts.sources import PersonDetection

    (name, estimates), *_ = real_people(real_dir).items()
    keypoints = [person.keypoints("body25") for person in estimates]
    found = [
        PersonDetection(k, np.array([0, 0, 9, 9]), p.initial_estimate(), {"bev": i})
        for i, (k, p) in enumerate(zip(keypoints, estimates, strict=True))
    ]
    scene = scene_from_detections(found, 640, 480, name=name)
    assert [p.label for p in scene.people] == [f"bev {i}" for i in range(len(estimates))]
    for person, estimate in zip(scene.people, estimates, strict=True):
        e = estimate.initial_estimate()
        joints = person.initial.joints
        for i, joint in enumerate(joints.names):
            np.testing.assert_array_equal(joints.xyz[i], e.joints[e.joint_names.index(joint)])
        assert dict(zip(joints.names, joints.weights, strict=True))["left_hip"] == 0.5
    with pytest.raises(ValueError, match="person 0 has no initial estimate"):
        nobody = PersonDetection(keypoints[0], np.array([0, 0, 9, 9]), None, {})
        scene_from_detections([nobody], 640, 480, start="estimate")
