"""Readers of other tools' files: on files built here, on the real ones, and on everything that can be
wrong.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apu_contacts.contacts import ContactMap
from apu_contacts.keypoints import SKELETONS
from apu_contacts.people import match_people
from apu_contacts.sources import (
    NoPeopleError,
    SourceError,
    SourceFormatError,
    SourceMissingError,
    bev_focal,
    camera_residual,
    read_bev,
    read_flickr_signatures,
    read_openpose,
    read_vitpose_body25,
)

SIZES = {"college_232334": (500, 332), "girls_250416": (500, 493)}
PEOPLE = {"college_232334": (5, 5, 5), "girls_250416": (30, 17, 28)}


def person(seed: int = 0, **more: Any) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    joints = np.concatenate([generator.uniform(1, 500, (25, 2)), generator.uniform(0.1, 1, (25, 1))], 1)
    return {"person_id": [-1], "pose_keypoints_2d": joints.ravel().tolist(), **more}


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


# OpenPose and ViTPose


def test_openpose_reads_what_was_written(tmp_path: Path) -> None:
    people = [person(0), person(1)]
    read = read_openpose(write(tmp_path / "a.json", {"version": 1.3, "people": people}))
    assert [k.skeleton for k in read] == ["body25", "body25"]
    for keypoints, entry in zip(read, people, strict=True):
        flat = np.array(entry["pose_keypoints_2d"]).reshape(25, 3)
        assert np.array_equal(keypoints.xy, flat[:, :2]) and np.array_equal(keypoints.confidence, flat[:, 2])


def test_openpose_missing_joint_has_confidence_zero(tmp_path: Path) -> None:
    entry = person()
    entry["pose_keypoints_2d"][9:12] = [0, 0, 0]
    (keypoints,) = read_openpose(write(tmp_path / "a.json", {"people": [entry]}))
    assert not keypoints.valid[3] and keypoints.valid.sum() == 24


def test_openpose_hands_and_face(tmp_path: Path) -> None:
    left, right = np.random.default_rng(1).uniform(0.1, 1, (2, 63)).tolist()
    entry = person(hand_left_keypoints_2d=left, hand_right_keypoints_2d=right, face_keypoints_2d=[])
    (keypoints,) = read_openpose(write(tmp_path / "a.json", {"people": [entry]}), hands_and_face=True)
    assert keypoints.skeleton == "body25_hands_face" and keypoints.xy.shape == (137, 2)
    assert np.array_equal(keypoints.confidence[25:46], left[2::3])
    assert np.array_equal(keypoints.xy[46:67, 0], right[0::3])
    assert not keypoints.valid[67:].any(), "an empty face is a missing face"


def test_confidences_that_overshoot_a_little_are_clipped(tmp_path: Path) -> None:
    entry = person()
    entry["pose_keypoints_2d"][2] = 1.08
    entry["pose_keypoints_2d"][5] = -8.4e-5
    (keypoints,) = read_vitpose_body25(write(tmp_path / "a.json", {"people": [entry]}))
    assert keypoints.confidence[0] == 1
    assert keypoints.confidence[1] == 0 and keypoints.xy[1].tolist() == [0, 0]


@pytest.mark.parametrize("score", [7.3, 93.0, -2.0])
def test_confidences_of_another_scale_are_an_error(tmp_path: Path, score: float) -> None:
    entry = person()
    entry["pose_keypoints_2d"][2::3] = [score] * 25
    with pytest.raises(
        SourceFormatError, match=r"people\[0\].pose_keypoints_2d: confidences must lie in \[0, 1\]"
    ):
        read_openpose(write(tmp_path / "a.json", {"people": [entry]}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a JSON object at the top, got a list of 0"),
        ({"annotations": []}, "list under the key 'people' .*found annotations"),
        ({"people": {}}, "list under the key 'people'"),
        ({"people": [[1, 2]]}, r"people\[0\]: expected an object, got a list of 2"),
        ({"people": [{}]}, r"people\[0\]: the key 'pose_keypoints_2d' is missing"),
        ({"people": [{"pose_keypoints_2d": [0.0] * 54}]}, "expected 75 numbers, got 54 .*BODY_25"),
        ({"people": [{"pose_keypoints_2d": [0.0] * 74}]}, "expected 75 numbers, got 74$"),
        ({"people": [{"pose_keypoints_2d": ["x"] * 75}]}, "expected 75 numbers, got a list of 75"),
        ({"people": [{"pose_keypoints_2d": None}]}, "expected 75 numbers, got null"),
        ({"people": [{"pose_keypoints_2d": [[0.0] * 3] * 25}]}, "expected 75 numbers, got 25 x 3"),
        ({"people": [{"pose_keypoints_2d": [float("nan")] * 75}]}, r"people\[0\].*not finite"),
    ],
)
def test_openpose_format_errors_name_the_place(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(SourceFormatError, match=message) as caught:
        read_openpose(write(tmp_path / "bad.json", content))
    assert "bad.json" in str(caught.value)


def test_files_that_are_missing_or_no_json(tmp_path: Path) -> None:
    for reader in (read_openpose, read_vitpose_body25, read_flickr_signatures, read_bev):
        with pytest.raises(SourceMissingError, match="no such file"):
            reader(tmp_path / "absent")
        with pytest.raises(FileNotFoundError, match="is a folder"):
            reader(tmp_path)
    (tmp_path / "text.json").write_text("{people: ")
    with pytest.raises(SourceFormatError, match=r"text\.json: not JSON"):
        read_openpose(tmp_path / "text.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(SourceFormatError, match="no text in UTF-8"):
        read_openpose(tmp_path / "binary.json")


def test_a_file_without_people_is_its_own_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"version": 1.3, "people": []})
    with pytest.raises(NoPeopleError, match="nobody was detected"):
        read_openpose(path)
    assert read_openpose(path, allow_empty=True) == []
    assert issubclass(NoPeopleError, SourceError) and issubclass(SourceError, ValueError)


# BEV


def bev_results(people: int = 2, **changes: Any) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    results = {
        "smpl_thetas": generator.normal(size=(people, 72)),
        "smpl_betas": generator.normal(size=(people, 11)),
        "cam_trans": generator.uniform(2, 5, (people, 3)),
        "joints": generator.uniform(-0.5, 0.5, (people, 71, 3)),
        "pj2d_org": generator.uniform(0, 500, (people, 71, 2)),
        "center_confs": generator.uniform(0, 1, people),
        "verts": generator.normal(size=(people, 6890, 3)),
    }
    results = {key: value.astype(np.float32) for key, value in results.items()}
    return {key: value for key, value in {**results, **changes}.items() if value is not None}


def write_bev(path: Path, results: Any) -> Path:
    np.savez(path, results=np.array(results, dtype=object))
    return path


def test_bev_reads_what_was_written(tmp_path: Path) -> None:
    results = bev_results()
    people = read_bev(write_bev(tmp_path / "bev.npz", results), vertices=True)
    assert len(people) == 2
    for i, p in enumerate(people):
        assert np.array_equal(p.smpl_thetas, results["smpl_thetas"][i])
        assert np.array_equal(np.append(p.smpl_betas, p.age), results["smpl_betas"][i])
        assert np.array_equal(p.joints, results["joints"][i]) and p.vertices is not None
        assert np.array_equal(p.joints_camera, results["joints"][i].astype(float) + results["cam_trans"][i])
    assert read_bev(tmp_path / "bev.npz")[0].vertices is None


def test_bev_named_joints_and_initial_estimate(tmp_path: Path) -> None:
    p = read_bev(write_bev(tmp_path / "bev.npz", bev_results()))[0]
    nose, wrist = p.named_joints(["nose", "left_wrist"])
    assert np.array_equal(nose, p.joints_camera[24]) and np.array_equal(wrist, p.joints_camera[20])
    with pytest.raises(ValueError, match="no joint named 'left_thumb'"):
        p.named_joints(["left_thumb"])
    start = p.initial_estimate()
    assert set(start.parameters) == {"global_orient", "body_pose", "age"}
    assert start.parameters["body_pose"].shape == (63,)
    assert np.array_equal(start.joints[start.joint_names.index("left_heel")], p.joints_camera[31])
    assert start.raw is p


def test_bev_keypoints_in_body25_order(tmp_path: Path) -> None:
    p = read_bev(write_bev(tmp_path / "bev.npz", bev_results()))[0]
    body = p.keypoints("body25")
    # SMPL's joints that correspond to BODY_25, as SMPL fitting code publishes them; the middle of the hips
    # aside.
    smpl = [24, 12, 17, 19, 21, 16, 18, 20, None, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34]
    for slot, joint in enumerate(smpl):
        if joint is not None:
            assert np.array_equal(body.xy[slot], p.pj2d[joint]), slot
    assert np.allclose(body.xy[8], p.pj2d[45:47].mean(0))
    assert (body.confidence == 1).all()
    assert p.keypoints("coco17").valid.all()


def test_bev_camera_is_the_60_degree_pinhole(tmp_path: Path) -> None:
    results = bev_results()
    for width, height in ((500, 332), (600, 900)):
        focal = max(width, height) / (2 * np.tan(np.pi / 6))
        assert bev_focal(width, height) == pytest.approx(focal)
        points = results["joints"].astype(float) + results["cam_trans"][:, None]
        results["pj2d_org"] = focal * points[..., :2] / points[..., 2:] + [width / 2, height / 2]
        p = read_bev(write_bev(tmp_path / "bev.npz", results))[0]
        assert np.abs(camera_residual(p, width, height)).max() < 1e-9
        with pytest.raises(ValueError, match="resized image"):
            camera_residual(p, width * 2, height * 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": None}, r"results\['joints'\] is missing; found cam_trans"),
        ({"smpl_betas": np.zeros((2, 10))}, r"shape \(people, 11\), got \(2, 10\).*ROMP"),
        ({"joints": np.zeros((2, 54, 3))}, r"shape \(people, 71, 3\), got \(2, 54, 3\)"),
        ({"cam_trans": np.zeros((3, 3))}, "disagree on the number of people"),
        ({"cam_trans": np.full((2, 3), np.nan)}, "not finite"),
        ({"center_confs": "high"}, r"must have shape \(people\), got str"),
    ],
)
def test_bev_format_errors(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceFormatError, match=message):
        read_bev(write_bev(tmp_path / "bev.npz", bev_results(**changes)))


def test_bev_without_people_and_without_a_dictionary(tmp_path: Path) -> None:
    path = write_bev(tmp_path / "bev.npz", bev_results(0))
    with pytest.raises(NoPeopleError):
        read_bev(path)
    assert read_bev(path, allow_empty=True) == []
    with pytest.raises(SourceFormatError, match="expected a dictionary under 'results', got list"):
        read_bev(write_bev(tmp_path / "bev.npz", [1, 2]))


# FlickrCI3D


def signature(**changes: Any) -> dict[str, Any]:
    lists = {
        "region_id": [[1, 2], [3, 4], [1, 2]],
        "vertex_id": [[9, 8], [7, 6], [5, 4]],
        "face_id": [[1, 1]] * 3,
    }
    entry = {
        "bbxes": [[0, 0, 10, 20], [5, 5, 30, 40], [1, 1, 2, 2]],
        "license": {"original_user_nickname": "somebody"},
        "ci_sign": [{"person_ids": [2, 0], "smplx": lists, "ghum": {**lists, "region_id": [[0, 0]] * 3}}],
    }
    return {"photo": {**entry, **changes}}


def test_flickr_signature(tmp_path: Path) -> None:
    path = write(tmp_path / "s.json", signature())
    image = read_flickr_signatures(path)["photo"]
    (pair,) = image.pairs
    assert (pair.person_a, pair.person_b) == (2, 0), "the annotation's order is kept"
    assert pair.regions.tolist() == [[1, 2], [3, 4], [1, 2]] and pair.vertices[0].tolist() == [9, 8]
    assert pair.contacts == ContactMap([[1, 2], [3, 4]]), "a repeated pair counts once"
    assert image.boxes.shape == (3, 4) and image.license["original_user_nickname"] == "somebody"
    assert read_flickr_signatures(path, body="ghum")["photo"].pairs[0].regions.tolist() == [[0, 0]] * 3
    with pytest.raises(ValueError, match="body must be"):
        read_flickr_signatures(path, body="smpl")


def test_flickr_image_without_pairs(tmp_path: Path) -> None:
    image = read_flickr_signatures(write(tmp_path / "s.json", signature(ci_sign=[], bbxes=[])))["photo"]
    assert image.pairs == () and image.boxes.shape == (0, 4)


def bad_sign(**changes: Any) -> list[dict[str, Any]]:
    sign = signature()["photo"]["ci_sign"][0]
    smplx = {**sign["smplx"], **changes.pop("smplx", {})}
    return [{**sign, "smplx": smplx, **changes}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ci_sign": None}, "photo: ci_sign must be a list, got null"),
        ({"bbxes": [[1, 2, 3]]}, "photo: bbxes: expected any x 4 numbers, got 1 x 3"),
        ({"ci_sign": bad_sign(person_ids=[0, 3])}, r"ci_sign\[0\].person_ids: ids must be below 3, got 3"),
        ({"ci_sign": bad_sign(person_ids=[1, 1])}, "person 1 is paired with themselves"),
        ({"ci_sign": bad_sign(person_ids=[1])}, "person_ids: expected any x 2 numbers"),
        ({"ci_sign": bad_sign(person_ids=None)}, "person_ids: expected any x 2 numbers"),
        (
            {"ci_sign": bad_sign(smplx={"region_id": [[0, 75]] * 3})},
            "region_id: ids must be below 75, got 75",
        ),
        ({"ci_sign": bad_sign(smplx={"region_id": [[0, 1.5]] * 3})}, "whole numbers"),
        ({"ci_sign": bad_sign(smplx={"face_id": [[0, 1]]})}, "lists must be parallel"),
        ({"ci_sign": [{"person_ids": [0, 1]}]}, "expected 'person_ids' and an object 'smplx'"),
    ],
)
def test_flickr_format_errors(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceFormatError, match=message):
        read_flickr_signatures(write(tmp_path / "s.json", signature(**changes)))


def test_flickr_wrong_file(tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match="CHI3D"):
        read_flickr_signatures(write(tmp_path / "s.json", {"Grab 1": {"fr_id": 3, "smplx_signature": {}}}))


# The real files


@pytest.mark.real
@pytest.mark.parametrize("name", list(SIZES))
def test_real_files_hold_the_known_people(real_dir: Path, name: str) -> None:
    folder = real_dir / name
    openpose = read_openpose(folder / "openpose.json", hands_and_face=True)
    vitpose = read_vitpose_body25(folder / "vitpose.json")
    bev = read_bev(folder / "bev.npz")
    assert (len(openpose), len(vitpose), len(bev)) == PEOPLE[name]
    assert all(k.valid[25:].any() for k in openpose[:3]), "OpenPose ran with hands and face"
    for keypoints in vitpose:
        missing = np.flatnonzero(~keypoints.valid).tolist()
        assert missing == [1, 8, 19, 20, 21, 22, 23, 24], (
            "COCO-17 in BODY_25 slots: no neck, mid hip and feet"
        )


@pytest.mark.real
@pytest.mark.parametrize("name", list(SIZES))
def test_real_bev_equals_numpys_own_reading(real_dir: Path, name: str) -> None:
    path = real_dir / name / "bev.npz"
    trusted = np.load(path, allow_pickle=True)["results"][()]
    for i, p in enumerate(read_bev(path, vertices=True)):
        assert np.array_equal(p.vertices, trusted["verts"][i])
        assert np.array_equal(p.pj2d, trusted["pj2d_org"][i])
        assert p.age == trusted["smpl_betas"][i, 10] and np.array_equal(
            p.smpl_thetas, trusted["smpl_thetas"][i]
        )


@pytest.mark.real
@pytest.mark.parametrize("name", list(SIZES))
def test_real_bev_camera(real_dir: Path, name: str) -> None:
    width, height = SIZES[name]
    odd = (width - height) % 2 / 2  # BEV pads by whole pixels
    for p in read_bev(real_dir / name / "bev.npz"):
        assert np.abs(camera_residual(p, width, height) - [0, odd]).max() < 0.01
        assert np.abs(p.joints[45:47].mean(0)).max() < 1e-6, "the origin is the middle of the hips"


@pytest.mark.real
def test_real_bev_sides_agree_with_the_detector(real_dir: Path) -> None:
    """BEV's left is the detector's left: with the sides exchanged the joints of clearly seen people lie
    further off.
    """
    better = []
    for name in SIZES:
        openpose = read_openpose(real_dir / name / "openpose.json")
        bev = [p.keypoints() for p in read_bev(real_dir / name / "bev.npz")]
        for m in match_people(openpose, bev).matches:
            seen = openpose[m.index_a]
            if (seen.confidence > 0.4).sum() < 15:
                continue
            sides = np.array(SKELETONS["body25"].mirror)
            weight = np.where(sides != np.arange(25), seen.confidence, 0)
            straight = np.linalg.norm(seen.xy - bev[m.index_b].xy, axis=1) @ weight
            exchanged = np.linalg.norm(seen.xy - bev[m.index_b].xy[sides], axis=1) @ weight
            better.append(straight < exchanged)
    assert len(better) > 10 and all(better)


@pytest.mark.real
def test_real_bev_finger_tips(real_dir: Path) -> None:
    for p in read_bev(real_dir / "girls_250416" / "bev.npz"):
        for side in ("left", "right"):
            wrist, *tips = p.named_joints(
                [f"{side}_wrist", *(f"{side}_hand_{i}" for i in (4, 8, 12, 16, 20))]
            )
            reach = np.linalg.norm(np.array(tips) - wrist, axis=1)
            assert reach.argmax() == 2, "the middle finger reaches furthest"
            assert reach.argmin() == 0, "the thumb least"


@pytest.mark.real
def test_real_annotations(real_dir: Path) -> None:
    college = read_flickr_signatures(real_dir / "college_232334" / "interaction_contact_signature.json")
    girls = read_flickr_signatures(real_dir / "girls_250416" / "interaction_contact_signature.json")
    assert [len(p.contacts) for p in college["college_232334"].pairs] == [13]
    assert [len(p.contacts) for p in girls["girls_250416"].pairs] == [6, 4, 3]
    assert [(p.person_a, p.person_b) for p in girls["girls_250416"].pairs] == [(5, 6), (2, 3), (5, 7)]
