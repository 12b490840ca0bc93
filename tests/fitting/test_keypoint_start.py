"""Starts from keypoints alone: a body rendered to keypoints by a known camera is found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from apu_contacts import ContactMap, RegionMap
from apu_contacts.camera import Camera
from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_contacts.sources import PersonDetection
from apu_losses.bodies import load_body
from apu_losses.fitting import (
    InitialBody,
    Preset,
    Scene,
    SceneContact,
    SceneFitter,
    ScenePerson,
    Stage,
    initial_parameters,
    scene_from_detections,
    start_from_keypoints,
)
from apu_losses.fitting.start.from_keypoints import KeypointStartOptions, unstartable
from apu_losses.fitting.start.from_keypoints.flips import FLIPS, LIMBS, flipped_limb
from apu_losses.fitting.start.from_keypoints.hiding import hiding_order
from apu_losses.fitting.start.from_keypoints.limbs import outline
from apu_losses.fitting.start.from_keypoints.sizes import settle_sizes
from apu_losses.fitting.start.from_keypoints.touching import DepthLink, depth_links, overlapping
from apu_losses.functional.pose_prior import BODY_JOINTS, relaxed_pose

WIDTH, HEIGHT = 640, 480
CAMERA = Camera.from_image_size(WIDTH, HEIGHT)
NAMES = SKELETONS["body25"].joint_names
STANDING_STILL = Preset("start", {"keypoints": {}}, (Stage("none", {"keypoints": 1.0}, ("transl",), 0.0, 0),))


@pytest.fixture(scope="module")
def body():
    return load_body("free", backend="torch")


def parameters(heading=0.0, place=(0.0, 0.0, 4.0), pose=None, **more):
    """Of a relaxed person, upright before a level camera; the pelvis is put on the place."""
    orient = Rotation.from_matrix(np.diag([1.0, -1.0, -1.0])) * Rotation.from_rotvec([0, heading, 0])
    pose = relaxed_pose().numpy() if pose is None else pose
    return {
        "global_orient": orient.as_rotvec(),
        "body_pose": np.asarray(pose, dtype=float).ravel(),
        "transl": np.asarray(place, dtype=float),
        **more,
    }


def posed(body, values):
    tensors = {n: torch.tensor(np.asarray(v), dtype=torch.float32)[None] for n, v in values.items()}
    return body.pose(tensors)


def seen(body, values, confidence=None):
    """BODY_25 keypoints of a body, exact."""
    points = body.keypoints(posed(body, values), "body25")[0].double().numpy()
    xy = points[:, :2] / points[:, 2:] * CAMERA.focal + np.array(CAMERA.center)
    return Keypoints2D("body25", xy, np.ones(25) if confidence is None else confidence)


def without(keypoints, *names):
    hidden = np.isin(NAMES, [n for n in NAMES if any(part in n for part in names)])
    return replace(keypoints, confidence=np.where(hidden, 0.0, keypoints.confidence))


def joints(body, values):
    return posed(body, values).joints[0, :22].double().numpy()


def turned_between(one, other):
    return (Rotation.from_rotvec(one).inv() * Rotation.from_rotvec(other)).magnitude()


@pytest.mark.parametrize("heading", [0.0, 0.6, np.pi / 2, np.pi, -2.2])
def test_a_body_is_found_again_whichever_way_it_faces(body, heading):
    true = parameters(heading, (0.3, 0.1, 3.7))
    (start,) = start_from_keypoints([seen(body, true)], CAMERA, body)
    assert turned_between(start.best.parameters["global_orient"], true["global_orient"]) < 0.25
    apart = np.linalg.norm(start.best.joints[:22] - joints(body, true), axis=1)
    assert apart.mean() < 0.08, apart
    assert start.notes == () and 0 < start.depth_sigma < 0.6
    assert sum(h.share for h in start.hypotheses) == pytest.approx(1)
    losses = [h.share for h in start.hypotheses]
    assert losses == sorted(losses, reverse=True)


def test_somebody_who_sits(body):
    pose = relaxed_pose().numpy().reshape(-1, 3)
    for side in ("left", "right"):
        pose[BODY_JOINTS.index(f"{side}_hip")] = [-1.4, 0, 0]
        pose[BODY_JOINTS.index(f"{side}_knee")] = [1.4, 0, 0]
    true = parameters(0.7, pose=pose)
    (start,) = start_from_keypoints([seen(body, true)], CAMERA, body)
    names = body.joint_names
    for side in ("left", "right"):
        thigh = np.subtract(*(start.best.joints[names.index(f"{side}_{j}")] for j in ("knee", "hip")))
        wanted = np.subtract(*(joints(body, true)[names.index(f"{side}_{j}")] for j in ("knee", "hip")))
        assert thigh @ wanted / np.linalg.norm(thigh) / np.linalg.norm(wanted) > 0.9


def test_a_body_that_the_picture_cuts_off_is_placed_by_what_is_seen(body):
    true = parameters(0.4, (0.0, 0.9, 2.0))
    cut = without(seen(body, true), "hip", "knee", "ankle", "toe", "heel")
    (start,) = start_from_keypoints([cut], CAMERA, body)
    assert start.notes == ("legs not seen: they are a guess", "hips not seen: they are a guess")
    truth = joints(body, true)
    upper = [
        i for i, n in enumerate(body.joint_names[:22]) if any(p in n for p in ("shoulder", "elbow", "wrist"))
    ]
    assert np.linalg.norm((start.best.joints[:22] - truth)[upper], axis=1).mean() < 0.15
    # what nobody saw hangs down
    ankles = [start.best.joints[body.joint_names.index(f"{side}_ankle"), 1] for side in ("left", "right")]
    assert min(ankles) > start.best.joints[0, 1] + 0.5


def test_it_hangs_on_nobody_else_where_nothing_is_shared(body):
    """Without feet and without hiding, everybody alone and in company have the same bits."""
    people = [
        without(seen(body, parameters(h, (x, 0.0, 4.0))), "ankle", "toe", "heel")
        for h, x in ((0.3, -1.0), (2.0, 0.0), (-1.0, 1.0))
    ]
    together = start_from_keypoints(people, CAMERA, body)
    for number, keypoints in enumerate(people):
        (alone,) = start_from_keypoints([keypoints], CAMERA, body)
        assert len(alone.hypotheses) == len(together[number].hypotheses)
        for one, other in zip(alone.hypotheses, together[number].hypotheses, strict=True):
            assert one.loss == other.loss
            for name, value in one.parameters.items():
                np.testing.assert_array_equal(value, other.parameters[name], err_msg=name)


def test_a_crowd_on_a_floor_gets_its_sizes_from_the_floor(body):
    """Three people of different stature on one floor, seen by a level camera."""
    statures = (-1.0, 0.0, 1.2)
    people = []
    for betas, (x, z) in zip(statures, ((-1.2, 4.0), (0.0, 5.0), (1.2, 4.5)), strict=True):
        shape = np.zeros(10)
        shape[0] = betas
        true = parameters(0.2 * x, (x, 0.0, z), betas=shape)
        lowest = float(posed(body, true).vertices()[0, :, 1].max())
        true["transl"] = true["transl"] + [0.0, 1.4 - lowest, 0.0]
        people.append(true)
    found = start_from_keypoints([seen(body, p) for p in people], CAMERA, body)
    alone = [start_from_keypoints([seen(body, p)], CAMERA, body)[0] for p in people]
    depth = np.array([joints(body, p)[0, 2] for p in people])

    def error(starts):
        off = np.log([s.best.joints[0, 2] for s in starts]) - np.log(depth)
        return np.abs(off - off.mean()).max()

    assert error(found) < 0.6 * error(alone)
    first = [s.best.parameters["betas"][0] for s in found]
    assert first[0] < first[1] < first[2]
    assert all(s.depth_sigma < a.depth_sigma for s, a in zip(found, alone, strict=True))


def test_sizes_by_hand():
    """Two people, one seen 10 % too far by her feet: prior and floor share the blame as least squares do."""
    options = KeypointStartOptions(pitch_sigma=1e-6, lifted=1e3)
    down = np.array([0.0, np.cos(0.05), np.sin(0.05)])

    def ankle(depth, height):
        return np.array([[0.0, (height - down[2] * depth) / down[1], depth]] * 2), np.ones(2)

    sizes = settle_sizes([ankle(4.0, 1.32), ankle(4.4, 1.45)], np.array([4.0, 4.4]), (), options)
    taller = np.log(1.45 / 1.32)  # how far apart the two floors are
    assert np.log(sizes.factor[0] / sizes.factor[1]) == pytest.approx(taller, rel=0.15)
    assert sizes.height == pytest.approx(1.46, abs=0.02)
    # one pair of feet says nothing
    nobody = (np.zeros((2, 3)), np.zeros(2))
    alone = settle_sizes([ankle(4.0, 1.32), nobody], np.array([4.0, 4.4]), (), options)
    np.testing.assert_array_equal(alone.factor, 1.0)
    assert alone.height is None
    # who hides the other is put before them
    order = settle_sizes([nobody, nobody], np.array([4.2, 4.0]), [(0, 1)], options)
    assert order.factor[0] < 1 < order.factor[1]


def test_people_who_overlap_touch_or_differ_in_height_share_the_blame():
    """Closed form of least squares, near enough for small differences."""
    nobody = (np.zeros((2, 3)), np.zeros(2))
    ankles, depths = [nobody, nobody], np.array([4.1, 3.9])
    options = KeypointStartOptions(near_sigma=0.3, touch_sigma=0.1, touch_slack=0.05, touch_reach=1e3)
    spread = 4.0 * options.stature_sigma  # of each depth, metres

    def apart(**said):
        factor = settle_sizes(ankles, depths, (), options, **said).factor
        return float(np.subtract(*(depths * factor)))

    assert apart() == pytest.approx(0.2)
    assert apart(near=[(0, 1)]) == pytest.approx(0.2 / (1 + 2 * (spread / 0.3) ** 2), rel=0.05)
    assert apart(near=[(1, 0)]) == pytest.approx(apart(near=[(0, 1)]))
    touch = 0.05 + 0.15 / (1 + 2 * (spread / 0.1) ** 2)
    assert apart(links=[DepthLink(0, 1, (4.1, 3.9), 1.0)]) == pytest.approx(touch, rel=0.05)
    assert apart(links=[DepthLink(1, 0, (3.9, 4.1), 1.0)]) == pytest.approx(touch, rel=0.05)
    # half of the weight that counts in full is half the pull; far contacts are doubted
    half = 0.05 + 0.15 / (1 + (spread / 0.1) ** 2)
    assert apart(links=[DepthLink(0, 1, (4.1, 3.9), 0.02)]) == pytest.approx(half, rel=0.05)
    doubted = KeypointStartOptions(touch_reach=0.02)
    factor = settle_sizes(ankles, depths, (), doubted, links=[DepthLink(0, 1, (6.0, 3.0), 1.0)]).factor
    np.testing.assert_allclose(factor, 1.0, atol=0.01)
    # an order and nearness together: each counts
    both = settle_sizes(ankles, depths, [(0, 1)], options, near=[(0, 1)]).factor * depths
    assert both[0] < both[1] and abs(both[0] - both[1]) < 0.2
    # somebody who is called taller becomes so, and a child who is called so stays small
    tall = settle_sizes(ankles, depths, (), options, taller=[(1, 0)])
    assert np.log(tall.factor[1] / tall.factor[0]) == pytest.approx(
        0.02 / (1 + 0.04**2 / 2 / 0.08**2), rel=1e-3
    )
    child = settle_sizes(ankles, depths, (), options, taller=[(0, 1)], statures=np.array([1.0, 0.7]))
    np.testing.assert_allclose(child.factor, 1.0, atol=1e-6)


def test_parts_that_touch_are_linked_where_the_picture_lets_them(body):
    """Middles of regions by hand: of a contact's pairs the one that is nearest across the picture counts."""
    regions = RegionMap.load("free")
    template = body.pose({"transl": torch.zeros(1, 3)}).vertices()[0].double().numpy()
    first, second = template + np.array([0, 0, 4.0]), template + np.array([0.1, 0, 4.5])
    contact = SceneContact(0, 1, ContactMap([(0, 0), (40, 40)], [0.5, 0.5]))
    (one, other) = depth_links([contact], np.stack([first, second]), regions, (0, 1))
    middle = template[regions.vertices(0)].mean(0)
    assert (one.first, one.second, one.weight) == (0, 1, 0.5)
    assert one.depths == (pytest.approx(middle[2] + 4.0), pytest.approx(middle[2] + 4.5))
    assert other.depths[0] == pytest.approx(template[regions.vertices(40)][:, 2].mean() + 4.0)
    # people in another order, people who are not there, an open order, and parts a metre apart
    (turned, _) = depth_links([contact], np.stack([second, first]), regions, (1, 0))
    assert (turned.first, turned.second, turned.depths) == (1, 0, one.depths)
    assert depth_links([contact], first[None], regions, (0,)) == []
    assert depth_links([replace(contact, order="either")], np.stack([first, second]), regions, (0, 1)) == []
    assert depth_links([contact], np.stack([first, second + np.array([1.0, 0, 0])]), regions, (0, 1)) == []


def test_who_overlaps():
    def box(left, right):
        xy = np.zeros((25, 2))
        xy[:2] = [[left, 0], [right, 100]]
        return Keypoints2D("body25", xy, np.r_[1.0, 1.0, np.zeros(23)])

    people = [box(0, 100), box(50, 90), box(80, 180)]
    assert overlapping(people, 0.5) == [(0, 1)]
    assert overlapping(people, 0.2) == [(0, 1), (0, 2), (1, 2)]
    assert overlapping(people, 1.5) == []


def test_who_hides_whom():
    """A person before another: the wrist and elbow of the other lie on her, and the detector doubts them."""

    def person(x, doubt=()):
        xy = np.zeros((25, 2))
        for name, place in {
            "right_shoulder": (-20, 0),
            "left_shoulder": (20, 0),
            "right_hip": (-12, 60),
            "left_hip": (12, 60),
            "right_elbow": (-30, 35),
            "right_wrist": (-30, 62),
            "left_elbow": (30, 35),
            "left_wrist": (30, 62),
        }.items():
            xy[NAMES.index(name)] = [place[0] + x, place[1] + 100]
        confidence = np.where(xy.any(1), 0.9, 0.0)
        confidence[[NAMES.index(name) for name in doubt]] = 0.3
        return Keypoints2D("body25", xy, confidence)

    hidden = person(130, ("right_elbow", "right_wrist"))
    assert hiding_order([person(100), hidden]) == [(0, 1)]
    assert hiding_order([hidden, person(100)]) == [(1, 0)]
    assert hiding_order([person(100), person(130)]) == []  # all in plain sight
    assert hiding_order([person(100), person(300, ("right_elbow", "right_wrist"))]) == []  # nobody is there


@pytest.mark.parametrize("limb", LIMBS, ids=lambda limb: limb.hinge)
def test_a_mirrored_limb_has_the_same_picture_and_the_other_depth(body, limb):
    pose = relaxed_pose().numpy().reshape(-1, 3)
    side = limb.hinge.split("_")[0]
    sign = 1 if side == "left" else -1
    pose[BODY_JOINTS.index(f"{side}_shoulder")] = [0.2, -0.9 * sign, -0.6 * sign]
    pose[BODY_JOINTS.index(f"{side}_elbow")] = [0.0, -0.7 * sign, 0.0]
    pose[BODY_JOINTS.index(f"{side}_hip")] = [-0.9, 0.1 * sign, 0.2 * sign]
    pose[BODY_JOINTS.index(f"{side}_knee")] = [0.8, 0.0, 0.0]
    true = parameters(0.3, (0.0, 0.0, 30.0), pose)  # from afar, where perspective changes little
    before = dict(zip(body.joint_names, posed(body, true).joints[0].double().numpy(), strict=True))
    for flip in FLIPS:
        mirrored = flipped_limb(true, before, limb, flip)
        if mirrored is None:
            continue
        now = posed(body, {**true, "body_pose": mirrored}).joints[0].double().numpy()
        after = dict(zip(body.joint_names, now, strict=True))
        for (a, b), wanted in zip(((limb.root, limb.hinge), (limb.hinge, limb.end)), flip, strict=True):
            old, new = before[b] - before[a], after[b] - after[a]
            np.testing.assert_allclose(new[:2], old[:2], atol=0.03)
            assert new[2] == pytest.approx(-old[2] if wanted else old[2], abs=0.04)


def test_children_are_as_near_as_somebody_says(body):
    true = parameters(0.2, (0.0, 0.0, 3.0), age=np.array([0.4]))
    keypoints = seen(body, true)
    (adult,) = start_from_keypoints([keypoints], CAMERA, body)
    (child,) = start_from_keypoints([keypoints], CAMERA, body, ages=[0.4])
    assert adult.best.joints[0, 2] > 3.5
    assert child.best.joints[0, 2] == pytest.approx(3.0, abs=0.2)
    assert child.best.parameters["age"] == pytest.approx([0.4])


def test_shoulders_of_two_neighbours_start_nobody(body):
    person = without(seen(body, parameters()), "hip", "knee", "ankle", "elbow", "wrist", "heel", "toe")
    assert unstartable(person) == ""
    across = person.xy.copy()
    # the left shoulder of somebody who stands two metres beside
    across[NAMES.index("left_shoulder"), 0] += 2.0 * CAMERA.focal / 4.0
    confidence = person.confidence.copy()
    confidence[NAMES.index("left_ear")] = 0.0
    mixed = Keypoints2D("body25", across, confidence)
    assert "times too long for the others: do they belong to two people?" in unstartable(mixed)
    with pytest.raises(ValueError, match=r"person 0: .* do they belong to two people"):
        start_from_keypoints([mixed], CAMERA, body)
    # one keypoint that is wrong is outvoted where many limbs are seen
    whole = seen(body, parameters())
    assert (
        unstartable(Keypoints2D("body25", across, np.where(person.confidence, 1.0, whole.confidence))) == ""
    )


def test_who_cannot_be_started_and_wrong_arguments(body):
    nobody = Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25))
    confidence = np.zeros(25)
    confidence[NAMES.index("left_wrist")] = confidence[NAMES.index("nose")] = 1.0
    stray = Keypoints2D("body25", np.arange(50.0).reshape(25, 2), confidence)
    assert unstartable(nobody).startswith("0 body keypoints seen")
    good = seen(body, parameters())
    assert unstartable(good) == ""
    with pytest.raises(ValueError, match=r"person 1: 2 body keypoints seen, and no two of them bound a limb"):
        start_from_keypoints([good, stray], CAMERA, body)
    with pytest.raises(ValueError, match="ages must have one entry a person, 1, got 2"):
        start_from_keypoints([good], CAMERA, body, ages=[0, 1])
    with pytest.raises(ValueError, match=r"ages\[0\] must lie in 0 .* are these years"):
        start_from_keypoints([good], CAMERA, body, ages=[35])
    with pytest.raises(ValueError, match=r"in_front .* two different people of 0 to 0, got \(0, 1\)"):
        start_from_keypoints([good], CAMERA, body, in_front=[(0, 1)])
    with pytest.raises(ValueError, match="temperature must be positive"):
        KeypointStartOptions(temperature=0)
    assert start_from_keypoints([], CAMERA, body) == []
    assert outline(nobody, CAMERA) is None


def test_a_person_without_a_start_is_never_left_at_the_camera(body):
    true = parameters(0.3, (0.2, 0.0, 4.0))
    scene = Scene(WIDTH, HEIGHT, [ScenePerson(seen(body, true))], camera=CAMERA)
    (result,) = SceneFitter(body, preset=STANDING_STILL).fit([scene])
    assert result.before.keypoint_error[0] < 5
    assert result.notes == ("person 0 came without a start and was started from keypoints alone",)
    somewhere = replace(scene.people[0], initial=InitialBody({"body_pose": true["body_pose"]}))
    (failed,) = SceneFitter(body, preset=STANDING_STILL).fit([replace(scene, people=[somewhere])])
    assert failed.failed and "nothing says where: give 'transl' or 3D joints" in failed.verdict.reason
    stray = ScenePerson(without(seen(body, true), *[n for n in NAMES if n not in ("left_wrist", "nose")]))
    (failed,) = SceneFitter(body, preset=STANDING_STILL).fit([replace(scene, people=[stray])])
    assert failed.failed and "the keypoints make none: 2 body keypoints seen" in failed.verdict.reason


def test_detections_without_an_estimate_start_from_keypoints(body):
    true = parameters(0.3, (0.2, 0.0, 4.0))
    keypoints = seen(body, true)
    found = PersonDetection(keypoints, np.array([0, 0, 9, 9]), None, {"openpose": 2})
    scene = scene_from_detections([found], WIDTH, HEIGHT, camera=CAMERA, body=body)
    assert scene.people[0].label == "openpose 2; started from keypoints"
    # whatever body is fitted is put on the joints; the same one stays where it is
    initial = scene.people[0].initial
    params, report = initial_parameters(body, [initial])
    assert float(report.max_distance) < 0.002
    np.testing.assert_allclose(params["transl"][0].numpy(), initial.parameters["transl"], atol=0.002)
    with pytest.raises(ValueError, match="person 0 has no initial estimate to start from"):
        scene_from_detections([found], WIDTH, HEIGHT, start="estimate")
    with pytest.raises(ValueError, match="start must be 'keypoints' or 'estimate', got 'bev'"):
        scene_from_detections([found], WIDTH, HEIGHT, start="bev")
