"""Measurements against scipy on the posed meshes, verdicts, and results on disk."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_scenes import CAMERA, make_preset, nobody_saw, parameters, person, scene, some_pose, tensors
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from apu_contacts import ContactMap, PartContact, RegionMap
from apu_losses.fitting import (
    FitResult,
    SceneContact,
    SceneFitter,
    StageReport,
    held_share,
    judge,
    load_parameters,
)

HUG = ContactMap.from_parts(
    [PartContact("hand", "left", "shoulder", "right"), PartContact("forearm", "left", "back", "none")]
)
TWO_GROUPS = ContactMap([[3, 44], [3, 45], [10, 60]], [1, 1, 0.5], [0, 0, 1])


@pytest.fixture(scope="module")
def fitter(body):
    return SceneFitter(body, preset=make_preset({"keypoints": 0.02, "contact": 1e4}, iterations=3))


@pytest.fixture(scope="module")
def people():
    places = [(-0.18, 0.3, 4.0), (0.18, 0.3, 4.1), (1.4, 0.3, 4.0)]
    return [parameters(body_pose=some_pose(i), transl=p) for i, p in enumerate(places)]


@pytest.fixture(scope="module")
def three(body, people):
    made = [person(body, p, {**p, "body_pose": some_pose(20 + i)}) for i, p in enumerate(people)]
    return scene(made, [SceneContact(0, 1, HUG), SceneContact(2, 1, TWO_GROUPS)])


@pytest.fixture(scope="module")
def metrics(fitter, three, people):
    return fitter.measure(three, tensors(people))


@pytest.fixture(scope="module")
def meshes(body, people):
    return body.pose(tensors(people)).vertices().double().numpy()


def distance(meshes, a, b, regions_a, regions_b):
    """Smallest distance of two unions of regions, by a tree."""
    regions = RegionMap.load("free")
    return cKDTree(meshes[a][regions.union(regions_a)]).query(meshes[b][regions.union(regions_b)])[0].min()


def test_contact_distances_equal_scipy(metrics, meshes):
    expected = [
        distance(meshes, a, b, [int(i)], [int(j)])
        for a, b, cmap in ((0, 1, HUG), (2, 1, TWO_GROUPS))
        for i, j in cmap.merged().pairs
    ]
    np.testing.assert_allclose(metrics.contact_distance, expected, atol=1e-5)
    parts = [
        distance(meshes, a, b, list(group.regions_a), list(group.regions_b))
        for a, b, cmap in ((0, 1, HUG), (2, 1, TWO_GROUPS))
        for group in cmap.groups()
    ]
    np.testing.assert_allclose(metrics.part_distance, parts, atol=1e-5)
    middle = float(np.median(expected))
    share = metrics.contact_share(middle, over="pairs")
    assert share == pytest.approx(np.mean(np.array(expected) <= middle), abs=0.05)
    middle = float(np.median(parts))
    assert metrics.contact_share(middle) == pytest.approx(np.mean(np.array(parts) <= middle), abs=0.2)
    assert metrics.contact_share(10) == 1
    with pytest.raises(ValueError, match="over must be 'pairs' or 'parts', got 'limbs'"):
        metrics.contact_share(10, over="limbs")


def test_an_open_order_is_measured_where_it_is_nearer(fitter, three, people, meshes, metrics):
    """Maps are told the wrong way round; distances stand in the order of the maps all the same."""
    edges = [replace(c, contacts=c.contacts.transposed()) for c in three.contacts]
    opened = replace(three, contacts=[replace(edges[0], order="either"), three.contacts[1]])
    measured = fitter.measure(opened, tensors(people))
    given = fitter.measure(replace(three, contacts=[edges[0], three.contacts[1]]), tensors(people))
    pairs, groups = len(HUG.merged().pairs), len(HUG.groups())
    # transposed, the pairs of a map are sorted by their other side
    assert sorted(measured.contact_distance[:pairs]) == sorted(metrics.contact_distance[:pairs])
    assert measured.part_distance[:groups] == metrics.part_distance[:groups]
    assert min(given.part_distance[:groups]) > max(measured.part_distance[:groups])
    assert measured.contact_distance[pairs:] == metrics.contact_distance[pairs:]
    assert measured.part_distance[groups:] == metrics.part_distance[groups:]
    near = max(measured.part_distance[:groups])
    assert held_share(opened, measured, near) > held_share(opened, given, near)


def test_keypoint_errors_by_hand(metrics, body, people, three):
    for row, one in enumerate(people):
        points = body.keypoints(body.pose(tensors([one])), "body25")[0].double().numpy()
        xy = points[:, :2] / points[:, 2:] * CAMERA.focal + np.array(CAMERA.center)
        seen = three.people[row].keypoints.xy
        expected = np.linalg.norm(xy - seen, axis=1).mean() * 512 / np.ptp(seen, axis=0).max()
        assert metrics.keypoint_error[row] == pytest.approx(expected, rel=1e-4)
    assert min(metrics.keypoint_error) > 10


def test_penetration_equals_libigl(metrics, meshes, body):
    igl = pytest.importorskip("igl", reason="the oracle is libigl (extra [test])")
    faces = body.faces.numpy()
    depths = []
    for own, other in ((0, 1), (1, 0)):
        box = ((meshes[own] > meshes[other].min(0)) & (meshes[own] < meshes[other].max(0))).all(1)
        points = meshes[own][box]
        inside = igl.fast_winding_number(meshes[other], faces, points) > 0.5
        squared = igl.point_mesh_squared_distance(points[inside], meshes[other], faces)[0]
        depths.append(np.sqrt(np.maximum(squared, 0)))
    depth = np.concatenate(depths)
    assert len(depth) > 50
    assert abs(metrics.inside_vertices - len(depth)) <= 2  # a vertex on the surface may fall either way
    assert metrics.depth_p95 == pytest.approx(np.percentile(depth, 95), abs=5e-5)
    assert metrics.depth_max == pytest.approx(depth.max(), abs=2e-5)


def test_a_body_that_is_not_finite_is_no_body_without_penetration(fitter, three, people):
    far = tensors(people)
    far["transl"][0, 2] = torch.nan
    found = fitter.measure(three, far)
    assert np.isnan(found.depth_p95) and np.isnan(found.depth_max) and found.inside_vertices == 0


def test_changes_from_the_start_by_hand(fitter, three, people, body):
    start = [
        {**p, "body_pose": p["body_pose"] + 0.1 * some_pose(7), "betas": np.full(10, 0.2)} for p in people
    ]
    found = fitter.measure(three, tensors(people), tensors(start))

    def turn(p):
        return Rotation.from_rotvec(p["body_pose"].reshape(21, 3))

    for row in range(3):
        angle = np.degrees((turn(start[row]).inv() * turn(people[row])).magnitude())
        assert found.pose_change_rms[row] == pytest.approx(np.sqrt((angle**2).mean()), abs=0.01)
        assert found.pose_change_max[row] == pytest.approx(angle.max(), abs=0.01)
        assert found.spine_change_max[row] == pytest.approx(angle[[2, 5, 8]].max(), abs=0.05)
        heights = [
            np.ptp(body.pose({"betas": torch.tensor(p["betas"])[None].float()}).vertices()[0, :, 1].numpy())
            for p in (people[row], start[row])
        ]
        assert found.stature_change[row] == pytest.approx(heights[0] - heights[1], abs=1e-5)


def test_nothing_to_measure(fitter, body):
    alone = scene([nobody_saw(parameters())])
    found = fitter.measure(alone, tensors([parameters()]))
    assert found.contact_distance == found.part_distance == ()
    assert np.isnan(found.contact_share(1.0)) and np.isnan(found.keypoint_error[0])
    assert (found.inside_vertices, found.depth_p95, found.depth_max) == (0, 0.0, 0.0)
    assert found.pose_change_rms[0] == found.stature_change[0] == 0
    json.dumps(found.to_dict())


# --- the filter ---


def report(reason="converged"):
    return StageReport("s", 5, reason, 1.0, {})


def test_the_share_that_held_is_that_of_weights(three, metrics):
    parts = [
        PartContact("hand", "left", "back", "none", weight=0.6),
        PartContact("foot", "left", "leg", "both", weight=0.2),
    ]
    contacts = [
        SceneContact(0, 1, ContactMap.from_parts(parts)),
        SceneContact(0, 1, ContactMap([[3, 4]], [0.5])),
    ]
    answered = replace(three, contacts=contacts)
    found = replace(metrics, part_distance=(0.04, 0.3, 0.05, 0.06))  # hand, foot on either leg, the pair
    assert held_share(answered, found) == pytest.approx((0.6 + 0.2) / 1.5)
    assert held_share(answered, found, 0.01) == 0 and held_share(answered, found, 0.3) == pytest.approx(1)
    assert np.isnan(held_share(replace(answered, contacts=()), replace(metrics, part_distance=())))
    with pytest.raises(ValueError, match="that scene's fit"):
        held_share(answered, replace(found, part_distance=(0.1,)))


def test_verdicts(metrics):
    fine = replace(metrics, keypoint_error=(3.0, 19.94))
    kept = judge([report()], fine, 20.0)
    assert (
        kept.kept
        and kept.reason == "mean keypoint error of person 1 is 19.9 px at 512 scale, under the limit of 20"
    )
    assert judge([report("iteration limit")], fine, 20.0).kept
    poor = judge([report()], replace(metrics, keypoint_error=(31.26, 3.0)), 20.0)
    assert (
        not poor.kept and "person 0 is 31.3 px" in poor.reason and "not under the limit of 20" in poor.reason
    )
    assert not judge([report()], replace(metrics, keypoint_error=(20.0,)), 20.0).kept
    assert judge([report()], replace(metrics, keypoint_error=(20.0,)), 20.1).kept
    assert judge([], fine, 20.0).kept
    broken = judge([report(), report("failed: the term 'x' is nan")], fine, 20.0)
    assert not broken.kept and broken.reason == "failed: the term 'x' is nan"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_what_is_not_finite_is_never_kept(metrics, bad):
    for errors in ((bad, 1.0), (1.0, bad), (bad,)):
        assert not judge([report()], replace(metrics, keypoint_error=errors), 20.0).kept
    assert not judge([report()], replace(metrics, keypoint_error=(float("nan"),)), float("inf")).kept


# --- on disk ---


@pytest.fixture(scope="module")
def result(fitter, three):
    return fitter.fit([three])[0]


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_result_survives_the_disk(result, tmp_path):
    arrays, record = result.save(tmp_path / "deep" / "hug.v2")
    assert (arrays.name, record.name) == ("hug.v2.npz", "hug.v2.json")
    fitted, start = load_parameters(arrays)
    for ours, theirs in ((result.parameters, fitted), (result.start, start)):
        assert set(ours) == set(theirs)
        for name, value in ours.items():
            np.testing.assert_array_equal(theirs[name], value)
    with np.load(arrays, allow_pickle=False) as file:  # numbers, and whose they are
        owner = {name: str(file[name]) for name in file.files if file[name].dtype != np.float64}
    assert owner == {"body": result.body, "body_identity": result.body_identity} and all(owner.values())
    data = strict(record.read_text())
    assert data["verdict"] == {"kept": result.verdict.kept, "reason": result.verdict.reason}
    assert data["after"]["contact_distance"] == list(result.after.contact_distance)
    assert data["stages"][0]["iterations"] == result.iterations == 3
    assert data["preset"] == strict(json.dumps(result.preset.to_dict()))
    assert (data["scene"], data["body"]) == (result.scene, result.body)


def test_numbers_that_json_lacks_become_null(fitter, body, tmp_path):
    bad = parameters(body_pose=np.full(63, np.nan))
    (failed,) = fitter.fit([scene([person(body, parameters()), nobody_saw(bad)], [SceneContact(0, 1, HUG)])])
    assert isinstance(failed, FitResult) and failed.failed
    arrays, record = failed.save(tmp_path / "bad")
    data = strict(record.read_text())
    assert data["after"]["keypoint_error"][1] is None and data["stages"][0]["loss"] is None
    assert data["verdict"]["kept"] is False
    assert np.isnan(load_parameters(arrays)[0]["body_pose"][1]).all()


def test_no_such_result(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_parameters(tmp_path / "absent.npz")
