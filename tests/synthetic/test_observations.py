"""Each noise source of the simulated detections, measured against what its dial says."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation

from apu_contacts.keypoints import SKELETONS
from apu_losses.bodies import load_body
from apu_losses.fitting import SceneFitter, scene_from_detections
from apu_losses.functional.metrics.joints import joint_pa_mpjpe
from apu_losses.synthetic import (
    ESTIMATORS,
    Observation,
    ObservationNoise,
    TruthScene,
    describe,
    load_truth_scenes,
    observe,
)
from apu_losses.synthetic.detector import detect, detector_points
from apu_losses.synthetic.view import View, draw_view

NONE = ObservationNoise.none()
MANY = 400


def seen(made_scenes: list[TruthScene], noise: ObservationNoise, count: int) -> list[Observation]:
    """Observations of the scenes in turn, with a seed each."""
    return [observe(made_scenes[i % len(made_scenes)], noise, seed=i) for i in range(count)]


@pytest.fixture(scope="module")
def view(made_scenes: list[TruthScene]) -> View:
    return draw_view(made_scenes[0].vertices, NONE, np.random.default_rng(3))


def detections(
    truth: TruthScene, view: View, noise: ObservationNoise, hidden: bool = False
) -> dict[str, np.ndarray]:
    """Many detections of one picture: errors over the person's size, confidences."""
    points = view.to_camera(detector_points(truth, noise.definition))
    behind = np.full(points.shape[:2], hidden)
    error, confidence = [], []
    for seed in range(MANY):
        found = detect(points, behind, view, noise, np.random.default_rng(seed))
        size = np.ptp(found.true_xy, axis=1).max(1) / 512
        error.append([(k.xy - xy) / s for k, xy, s in zip(found.keypoints, found.true_xy, size, strict=True)])
        confidence.append([k.confidence for k in found.keypoints])
    return {"error": np.array(error), "confidence": np.array(confidence)}


def binomial(hits: int, trials: int, share: float) -> bool:
    """Whether a count lies within the central 99.98 percent of its binomial distribution."""
    low, high = stats.binom.interval(0.9998, trials, share)
    return bool(low <= hits <= high)


def test_without_noise_the_detector_is_right_and_the_pelvis_is_found(made_scenes: list[TruthScene]) -> None:
    for observation in seen(made_scenes, NONE, 5):
        for person, detection in enumerate(observation.detections):
            kept = detection.keypoints.confidence > 0
            assert np.allclose(detection.keypoints.xy[kept], observation.true_xy[person][kept])
            assert detection.initial is not None
            assert np.allclose(detection.initial.joints[0], observation.joints[person, 0], atol=1e-6)
            assert np.allclose(detection.initial.joints, observation.joints[person, :22], atol=1e-4)


def test_the_picture_shows_the_true_mesh_where_the_camera_says(made_scenes: list[TruthScene]) -> None:
    for observation in seen(made_scenes, ObservationNoise(), 10):
        view = observation.view
        rigid = view.rotation @ view.rotation.T
        assert np.allclose(rigid, np.eye(3)) and np.linalg.det(view.rotation) > 0
        # heads are up in the picture: the y axis points down
        head, feet = observation.joints[:, 15], observation.joints[:, [7, 8]].mean(1)
        assert (view.camera.project(head)[:, 1] < view.camera.project(feet)[:, 1]).all()
        assert observation.vertices[..., 2].min() > 0.3
        across = view.camera.project(observation.joints[:, 0])[:, 0]
        assert observation.left == int(across.argmin())


def test_fields_of_view_fill_their_range_and_are_not_the_fitters(made_scenes: list[TruthScene]) -> None:
    noise = ObservationNoise(fov_low=35, fov_high=75)
    rng = np.random.default_rng(0)
    fovs = [draw_view(made_scenes[0].vertices, noise, rng).fov for _ in range(MANY)]
    assert stats.kstest(fovs, stats.uniform(35, 40).cdf).pvalue > 1e-3
    observation = observe(made_scenes[0], noise)
    scene = scene_from_detections(observation.detections, observation.view.width, observation.view.height)
    assert abs(scene.camera.focal / observation.view.camera.focal - 1) > 0.01


def test_legs_are_cut_off_as_often_as_said(made_scenes: list[TruthScene]) -> None:
    rng = np.random.default_rng(1)
    noise = replace(NONE, cut_off=0.3)
    cut = 0
    for _ in range(MANY):
        view = draw_view(made_scenes[1].vertices, noise, rng)
        xy = view.camera.project(view.to_camera(made_scenes[1].vertices)).reshape(-1, 2)
        cut += bool(xy[:, 1].max() > view.height + 1)
        assert xy[:, 1].min() > -1 and xy[:, 0].min() > -1 and xy[:, 0].max() < view.width + 1
    assert binomial(cut, MANY, 0.3)


def test_keypoint_error_grows_as_the_confidence_falls(made_scenes: list[TruthScene], view: View) -> None:
    noise = replace(NONE, pixel=1.0, occlusion=1.0)
    both = [detections(made_scenes[0], view, noise, hidden) for hidden in (False, True)]
    error = np.concatenate([d["error"].reshape(-1, 17, 2) for d in both])
    confidence = np.concatenate([d["confidence"].reshape(-1, 17) for d in both])
    knee, eye = (SKELETONS["coco17"].index[name] for name in ("left_knee", "left_eye"))
    for joint, factor in ((knee, 1.4), (eye, 0.7)):
        kept = confidence[:, joint] > 0
        unit = error[kept, joint] / (2.2 * factor * (1 + 14.0 * (1 - confidence[kept, joint])))[:, None]
        assert stats.kstest(unit.ravel(), "norm").pvalue > 1e-3


def test_heavy_errors_are_as_frequent_as_said(made_scenes: list[TruthScene], view: View) -> None:
    noise = replace(NONE, pixel=1.0, heavy=0.1)
    found = detections(made_scenes[0], view, noise)
    nose = found["error"][:, :, 0] / (2.2 * 0.8 * (1 + 14.0 * (1 - found["confidence"][:, :, 0])))[..., None]
    # a mixture of normal distributions of sd 1 and 4: its variance is 0.9 + 0.1 * 16
    assert nose.var() == pytest.approx(2.5, rel=0.15)


def test_joints_are_dropped_as_often_as_said(made_scenes: list[TruthScene], view: View) -> None:
    noise = replace(NONE, dropped=0.1, dropped_hidden=0.4, occlusion=1.0)
    for hidden, share in ((False, 0.1), (True, 0.4)):
        confidence = detections(made_scenes[0], view, noise, hidden)["confidence"]
        assert binomial(int((confidence == 0).sum()), confidence.size, share)


def test_a_detector_that_ignores_occlusion_is_as_sure_of_what_it_cannot_see(
    made_scenes: list[TruthScene], view: View
) -> None:
    sure = detections(made_scenes[0], view, replace(NONE, occlusion=0.0), hidden=True)["confidence"].mean()
    told = detections(made_scenes[0], view, replace(NONE, occlusion=1.0), hidden=True)["confidence"].mean()
    assert sure == pytest.approx(9 / 10.1, abs=0.01)
    assert told == pytest.approx(5 / 9, abs=0.01)


def test_limbs_are_swapped_as_often_as_said(made_scenes: list[TruthScene], view: View) -> None:
    error = detections(made_scenes[0], view, replace(NONE, swapped=0.2))["error"]
    moved = np.linalg.norm(error, axis=-1) > 1e-6
    names = SKELETONS["coco17"].index
    legs, arms = moved[:, :, names["left_knee"]], moved[:, :, names["left_elbow"]]
    assert not (legs & arms).any() and (moved[:, :, names["left_ankle"]] == legs).all()
    assert binomial(int((legs | arms).sum()), legs.size, 0.2)
    assert binomial(int(legs.sum()), legs.size, 0.14)


def test_the_detectors_joints_are_not_the_fitters(made_scenes: list[TruthScene]) -> None:
    body = load_body("free")
    for truth in made_scenes:
        params = {k: torch.as_tensor(v, dtype=torch.float32) for k, v in truth.parameters.items()}
        fitters = body.keypoints(body.pose(params), "coco17").numpy()
        apart = np.linalg.norm(fitters - detector_points(truth), axis=-1)
        assert apart.min() > 0.004 and 0.015 < apart.mean() < 0.03 and apart.max() < 0.05


def test_who_is_behind_somebody_is_hidden(made_scenes: list[TruthScene]) -> None:
    """Against ray casting of another library."""
    igl = pytest.importorskip("igl")
    faces = load_body("free").faces.numpy().astype(np.int64)
    agree = []
    for observation in seen(made_scenes, NONE, 10):
        points = observation.view.to_camera(detector_points(observation.truth, 0.0))
        for person in (0, 1):
            mesh = np.ascontiguousarray(observation.vertices[1 - person])
            for k, point in enumerate(points[person]):
                hits = igl.ray_mesh_intersect(np.zeros(3), point, mesh, faces)
                blocked = any(hit[-1] < 1 - 0.05 / point[2] for hit in hits)
                if blocked or not observation.hidden[person, k]:
                    agree.append(blocked == observation.hidden[person, k])
    # the depth picture has pixels of a centimetre and more, so outlines differ
    assert np.mean(agree) > 0.96


def test_depth_is_wrong_by_as_much_as_said(made_scenes: list[TruthScene]) -> None:
    noise = replace(NONE, shared_depth=0.06, own_depth=0.045)
    relative = np.array(
        [
            [d.initial.joints[0, 2] / j[0, 2] - 1 for d, j in zip(o.detections, o.joints, strict=True)]
            for o in seen(made_scenes, noise, 120)
        ]
    )
    assert relative.std() == pytest.approx(np.hypot(0.06, 0.045), rel=0.12)
    assert (relative[:, 0] - relative[:, 1]).std() == pytest.approx(0.045 * np.sqrt(2), rel=0.12)


def test_another_field_of_view_moves_people_in_depth_and_not_in_the_picture(
    made_scenes: list[TruthScene],
) -> None:
    for observation in seen(made_scenes, replace(NONE, fov_low=30.0, fov_high=40.0), 5):
        scene = scene_from_detections(observation.detections, observation.view.width, observation.view.height)
        for person, detection in enumerate(observation.detections):
            pelvis, true = detection.initial.joints[0], observation.joints[person, 0]
            assert pelvis[2] < 0.7 * true[2]
            in_picture = scene.camera.focal * pelvis[:2] / pelvis[2] + scene.camera.center
            assert np.allclose(in_picture, observation.view.camera.project(true))


def test_orientation_pose_and_place_are_wrong_by_as_much_as_said(made_scenes: list[TruthScene]) -> None:
    noise = replace(NONE, orientation=0.13, lateral=0.035, pose=1.0, pose_shrink=0.12)
    turns, places, elbows = [], [], []
    for o in seen(made_scenes, noise, 120):
        for person, detection in enumerate(o.detections):
            given = detection.initial.parameters
            true = Rotation.from_matrix(o.view.rotation) * Rotation.from_rotvec(
                o.truth.parameters["global_orient"][person]
            )
            turns.append((Rotation.from_rotvec(given["global_orient"]) * true.inv()).as_rotvec())
            places.append(detection.initial.joints[0, :2] - o.joints[person, 0, :2])
            pose, true_pose = (
                given["body_pose"].reshape(-1, 3),
                o.truth.parameters["body_pose"][person].reshape(-1, 3),
            )
            unsure = 1.15 if o.hidden[person].any() else 1.0
            elbows.append((pose[17] - 0.88 * true_pose[17]) / (0.24 * unsure))
    assert stats.kstest(np.ravel(turns) / 0.13, "norm").pvalue > 1e-3
    assert stats.kstest(np.ravel(places) / 0.035, "norm").pvalue > 1e-3
    assert stats.kstest(np.ravel(elbows), "norm").pvalue > 1e-3


@pytest.mark.long
def test_shape_age_and_skeleton_are_wrong_by_as_much_as_said(made_scenes: list[TruthScene]) -> None:
    ages = [
        float(d.initial.parameters["age"][0])
        for o in seen(made_scenes, replace(NONE, age=0.06), 100)
        for d in o.detections
    ]
    assert stats.kstest(np.array(ages) / 0.06, stats.halfnorm.cdf).pvalue > 1e-3
    moved = [
        np.linalg.norm(d.initial.joints - j[:22], axis=1)
        for o in seen(made_scenes, replace(NONE, skeleton=1.0), 5)
        for d, j in zip(o.detections, o.joints, strict=True)
    ]
    # fixed offsets: the same for every picture, of a definition's size
    assert np.ptp(np.array(moved), axis=0).max() < 1e-3
    assert 0.015 < np.mean(moved) < 0.03
    body = load_body("free")
    for factor in (0.0, 1.0):
        sizes = []
        for o in seen(made_scenes, replace(NONE, shape=0.25 * factor, shape_shrink=0.5 * factor), 40):
            legs = [
                np.linalg.norm(j[1] - j[4]) for j in (*(d.initial.joints for d in o.detections), *o.joints)
            ]
            sizes.append(np.array(legs[:2]) / legs[2:])
        assert (np.std(sizes) > 5e-3) == bool(factor)
    assert body.num_vertices == made_scenes[0].vertices.shape[1]


def test_a_seed_gives_the_same_and_another_seed_something_else(made_scenes: list[TruthScene]) -> None:
    first, again, other = (observe(made_scenes[2], seed=s) for s in (5, 5, 6))
    for a, b in zip(first.detections, again.detections, strict=True):
        assert np.array_equal(a.keypoints.xy, b.keypoints.xy)
        assert np.array_equal(a.initial.joints, b.initial.joints)
    assert not np.allclose(first.detections[0].keypoints.xy, other.detections[0].keypoints.xy)


def test_a_dial_changes_its_own_source_only(made_scenes: list[TruthScene]) -> None:
    usual, other = observe(made_scenes[0]), observe(made_scenes[0], ObservationNoise(pixel=2.0, swapped=0.5))
    for a, b in zip(usual.detections, other.detections, strict=True):
        assert np.array_equal(a.initial.joints, b.initial.joints)
        assert not np.array_equal(a.keypoints.xy, b.keypoints.xy)
    deeper = observe(made_scenes[0], ObservationNoise(own_depth=0.2, pose=0.0))
    assert np.array_equal(usual.detections[0].keypoints.xy, deeper.detections[0].keypoints.xy)


def test_the_estimate_can_be_fitted_from(made_scenes: list[TruthScene]) -> None:
    observation = observe(made_scenes[0])
    scene = scene_from_detections(observation.detections, observation.view.width, observation.view.height)
    start = SceneFitter(preset="no_contact").start([scene])
    body = load_body("free")
    joints = body.pose(start).joints[:, :22].double().numpy()
    given = np.stack([d.initial.joints for d in observation.detections])
    limbs = [4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
    assert np.linalg.norm(joints - given, axis=-1)[:, limbs].mean() < 0.04


def test_every_dial_is_described_and_may_not_be_nonsense() -> None:
    dials = describe(ObservationNoise(pixel=2.0))
    assert [d.name for d in dials] == [f.name for f in fields(ObservationNoise)]
    assert {d.basis for d in dials} == {"real", "assumed"}
    assert [d.name for d in dials if d.value != d.default] == ["pixel"]
    with pytest.raises(ValueError, match="dropped must lie in"):
        ObservationNoise(dropped=20)
    with pytest.raises(ValueError, match="radians"):
        ObservationNoise(fov_low=0.7, fov_high=1.2)
    with pytest.raises(ValueError, match="lateral must be finite"):
        ObservationNoise(lateral=-1.0)


def test_estimators_err_as_they_say() -> None:
    """Joints of the estimates against the true ones, the two people aligned as one."""
    truths = load_truth_scenes("development", per_type=1)
    found = {}
    for error, factor in ESTIMATORS.items():
        noise = ObservationNoise().estimated(factor)
        apart = []
        for truth in truths:
            seen = observe(truth, noise)
            guessed = np.stack([d.initial.joints[:22] for d in seen.detections])
            true = torch.as_tensor(seen.joints[:, :22])
            apart.append(float(joint_pa_mpjpe(torch.as_tensor(guessed)[None], true[None])))
        found[error] = 1000 * np.mean(apart)
    assert all(0.75 * error < value < 1.25 * error for error, value in found.items()), found
    assert ObservationNoise().estimated(1.0) == ObservationNoise()
