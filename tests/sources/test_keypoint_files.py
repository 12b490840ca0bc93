"""Keypoint files: MMPose, ViTPose, COCO results, rtmlib; hands and faces through the merge; duplicates."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apu_contacts.keypoints import SKELETONS, Keypoints2D, convert_keypoints
from apu_contacts.people import assemble_people, find_duplicates, merge_keypoints
from apu_contacts.sources import (
    InitialEstimate,
    NoPeopleError,
    SourceFormatError,
    keypoints_from_arrays,
    read_coco_results,
    read_keypoint_arrays,
    read_mmpose,
    read_openpose,
    write_coco_results,
    write_openpose,
)

RANDOM = np.random.default_rng(11)


def arrays(joints: int = 17, people: int = 2) -> tuple[np.ndarray, np.ndarray]:
    return RANDOM.uniform(10, 500, (people, joints, 2)), RANDOM.uniform(0.1, 1, (people, joints))


def save_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("joints", "name"), [(17, "coco17"), (133, "coco_wholebody133"), (25, "body25"), (26, "halpe26")]
)
def test_rtmlib_arrays(tmp_path: Path, joints: int, name: str) -> None:
    xy, scores = arrays(joints)
    np.savez(tmp_path / "a.npz", keypoints=xy, scores=scores)
    np.save(tmp_path / "a.npy", np.concatenate([xy, scores[..., None]], 2))
    for people in (
        keypoints_from_arrays(xy, scores),
        keypoints_from_arrays(xy, scores[..., None]),
        read_keypoint_arrays(tmp_path / "a.npz"),
        read_keypoint_arrays(tmp_path / "a.npy"),
    ):
        assert [k.skeleton for k in people] == [name] * 2
        assert np.allclose([k.xy for k in people], xy) and np.allclose([k.confidence for k in people], scores)


def test_scores_of_another_scale() -> None:
    xy, scores = arrays()
    bounds = f"got {8 * scores.min():g} to {8 * scores.max():g}"
    with pytest.raises(
        SourceFormatError, match=rf"{bounds}: SimCC scores of RTMPose \(give score_scale, about 7\.\d\)"
    ):
        keypoints_from_arrays(xy, scores * 8)
    scaled = keypoints_from_arrays(xy, scores * 8, score_scale=8)
    assert np.allclose(scaled[0].confidence, scores[0])
    with pytest.raises(SourceFormatError, match="visibilities 0, 1, 2"):
        keypoints_from_arrays(xy, np.where(scores > 0.5, 2.0, 0.0))
    missing = keypoints_from_arrays(xy, np.where(scores > 0.5, scores, 0))[0]
    assert (missing.xy[~missing.valid] == 0).all() and not missing.valid.all()


@pytest.mark.parametrize(
    ("xy", "scores", "message"),
    [
        (np.zeros((2, 17)), np.zeros((2, 17)), r"expected shape \(people, joints, 2 or 3\)"),
        (np.zeros((2, 17, 2)), None, "scores are missing"),
        (np.zeros((2, 17, 2)), np.zeros((2, 16)), r"scores must have shape \(2, 17\)"),
        (np.zeros((1, 136, 3)), None, "136 joints are none of 17 .coco17.*Halpe-136"),
        (np.full((1, 17, 3), np.nan), None, "not finite"),
    ],
)
def test_arrays_of_another_shape(xy: np.ndarray, scores: Any, message: str) -> None:
    with pytest.raises(SourceFormatError, match=message):
        keypoints_from_arrays(xy, scores)


def test_array_files_without_people_or_keypoints(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", keypoints=np.zeros((0, 17, 2)), scores=np.zeros((0, 17)))
    with pytest.raises(NoPeopleError):
        read_keypoint_arrays(tmp_path / "a.npz")
    assert read_keypoint_arrays(tmp_path / "a.npz", allow_empty=True) == []
    np.savez(tmp_path / "b.npz", poses=np.zeros(3))
    with pytest.raises(SourceFormatError, match=r"expected an array 'keypoints' .*found poses"):
        read_keypoint_arrays(tmp_path / "b.npz")


# MMPose


def instances(joints: int = 17) -> list[dict[str, Any]]:
    return [
        {
            "keypoints": xy.tolist(),
            "keypoint_scores": scores.tolist(),
            "bbox": [[1.0, 2.0, 3.0, 4.0]],
            "bbox_score": 0.9,
        }
        for xy, scores in zip(*arrays(joints), strict=True)
    ]


def test_mmpose_in_every_layout(tmp_path: Path) -> None:
    people = instances()
    nested = {
        "meta_info": {},
        "instance_info": [{"frame_id": 1, "instances": []}, {"frame_id": 2, "instances": people}],
    }
    old = [
        {"keypoints": np.column_stack([p["keypoints"], p["keypoint_scores"]]), "bbox": np.ones(5)}
        for p in people
    ]
    (tmp_path / "vitpose.pkl").write_bytes(pickle.dumps(old))
    for read in (
        read_mmpose(save_json(tmp_path / "inferencer.json", people)),
        read_mmpose(save_json(tmp_path / "demo.json", {"meta_info": {}, "instance_info": people})),
        read_mmpose(save_json(tmp_path / "video.json", nested), 1),
        read_mmpose({"predictions": [people]}),
        read_mmpose(tmp_path / "vitpose.pkl"),
    ):
        assert len(read) == 2
        for keypoints, person in zip(read, people, strict=True):
            assert keypoints.skeleton == "coco17" and np.allclose(keypoints.xy, person["keypoints"])
            assert np.allclose(keypoints.confidence, person["keypoint_scores"])
    assert read_mmpose(instances(133))[0].skeleton == "coco_wholebody133"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"people": []}, "or 'instance_info' or 'predictions', found people"),
        ([{"bbox": [1]}], "person 0: expected an object with 'keypoints'"),
        ([{"keypoints": [[1, 2]] * 17}], "person 0: scores are missing"),
        ([{"frame_id": 0, "instances": {}}], "frame 0: expected a list of people"),
        ("text", "expected a list of people"),
    ],
)
def test_mmpose_errors(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(SourceFormatError, match=message):
        read_mmpose(save_json(tmp_path / "a.json", content))


def test_mmpose_frames_and_nobody(tmp_path: Path) -> None:
    frames = save_json(tmp_path / "a.json", {"instance_info": [{"frame_id": 0, "instances": []}]})
    with pytest.raises(NoPeopleError):
        read_mmpose(frames)
    assert read_mmpose(frames, allow_empty=True) == []
    with pytest.raises(SourceFormatError, match="frame 3 is none of the 1 frames"):
        read_mmpose(frames, 3)


# COCO results


def test_coco_results_there_and_back(tmp_path: Path) -> None:
    for skeleton in ("coco17", "coco_wholebody133"):
        people = keypoints_from_arrays(*arrays(len(SKELETONS[skeleton]), 3))
        write_coco_results(
            tmp_path / "a.json", {"139": people[:2], "photo.jpg": people[2:]}, skeleton=skeleton
        )
        read = read_coco_results(tmp_path / "a.json")
        assert list(read) == ["139", "photo.jpg"] and [len(v) for v in read.values()] == [2, 1]
        for a, b in zip([*read["139"], *read["photo.jpg"]], people, strict=True):
            assert (
                a.skeleton == skeleton and np.allclose(a.xy, b.xy) and np.allclose(a.confidence, b.confidence)
            )
    assert json.loads((tmp_path / "a.json").read_text())[0]["image_id"] == 139


def test_alphapose_results(tmp_path: Path) -> None:
    """``alphapose-results.json``: images by their file's name, 26 joints, boxes and track numbers beside."""
    xy, scores = arrays(26, 3)
    scores[0, 0] = 1.0078  # a peak above 1, as in its files
    records = [
        {
            "image_id": f"{k // 2}.jpg",
            "category_id": 1,
            "keypoints": np.column_stack([xy[k], scores[k]]).ravel().tolist(),
            "score": 3.0,
            "box": [1.0, 2.0, 3.0, 4.0],
            "idx": [0.0],
        }
        for k in range(3)
    ]
    read = read_coco_results(save_json(tmp_path / "alphapose-results.json", records))
    assert [(name, len(people)) for name, people in read.items()] == [("0.jpg", 2), ("1.jpg", 1)]
    first = read["0.jpg"][0]
    assert first.skeleton == "halpe26" and np.allclose(first.xy, xy[0]) and first.confidence[0] == 1
    body = convert_keypoints(first, "body25")
    index = SKELETONS["body25"].index
    assert np.allclose(body.xy[index["left_heel"]], xy[0, 24]) and np.allclose(
        body.xy[index["neck"]], xy[0, 18]
    )
    # toes that were detected are kept, whatever the other detector says
    other = Keypoints2D("body25", body.xy + 1, body.confidence)
    merged = merge_keypoints(first, other, joints=("big_toe", "small_toe", "heel"))
    assert np.allclose(merged.xy[19:], body.xy[19:])


def test_coco_wholebody_results_in_parts(tmp_path: Path) -> None:
    (person,) = keypoints_from_arrays(*arrays(133, 1))
    flat = np.column_stack([person.xy, person.confidence])
    parts = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
    record: dict[str, Any] = {"image_id": 1, "category_id": 1, "score": 0.5}
    start = 0
    for key, count in parts.items():
        record[key] = flat[start : start + count].ravel().tolist()
        start += count
    read = read_coco_results(save_json(tmp_path / "a.json", [record]))["1"][0]
    assert read.skeleton == "coco_wholebody133" and np.allclose(read.xy, person.xy)
    record["face_kpts"] = []
    faceless = read_coco_results(save_json(tmp_path / "a.json", [record]))["1"][0]
    assert not faceless.valid[23:91].any() and faceless.valid[91:].all()
    assert read_coco_results(tmp_path / "a.json", min_score=0.6) == {"1": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "annotation layout, whose third number is a visibility"),
        ({"a": 1}, "expected a list of records"),
        ([{"keypoints": []}], "record 0: expected an object with image_id"),
        ([{"image_id": 1, "keypoints": [1.0] * 50}], "record 0: expected a multiple of 3"),
        ([{"image_id": 1, "keypoints": ["a"] * 51}], "record 0: expected numbers"),
    ],
)
def test_coco_errors(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(SourceFormatError, match=message):
        read_coco_results(save_json(tmp_path / "a.json", content))


# OpenPose, written


def test_openpose_there_and_back(tmp_path: Path) -> None:
    xy, scores = arrays(len(SKELETONS["body25_hands_face"]))
    scores[0, 3] = 0
    people = [Keypoints2D("body25_hands_face", *pair) for pair in zip(xy, scores, strict=True)]
    write_openpose(tmp_path / "a.json", people, hands_and_face=True)
    for read, person in zip(read_openpose(tmp_path / "a.json", hands_and_face=True), people, strict=True):
        assert np.allclose(read.xy[read.valid], person.xy[person.valid])
        assert np.array_equal(read.confidence, person.confidence)
    write_openpose(tmp_path / "b.json", people)
    assert read_openpose(tmp_path / "b.json")[0].skeleton == "body25"


# Hands and faces through merge and assemble_people


def standing(x: float = 0.0, size: float = 200.0, skeleton: str = "coco_wholebody133") -> Keypoints2D:
    """A made-up person: every joint somewhere in a box, confidence .8."""
    random = np.random.default_rng(4)
    xy = random.uniform([x, 0], [x + size / 2, size], (len(SKELETONS[skeleton]), 2))
    return Keypoints2D(skeleton, xy, np.full(len(xy), 0.8))


def test_hands_and_faces_survive_the_merge() -> None:
    whole = standing()
    alone = merge_keypoints(whole, None)
    assert alone.skeleton == "body25_hands_face"
    index = SKELETONS["body25_hands_face"].index
    for name in ("left_hand_8", "right_hand_20", "face_30", "left_heel"):
        assert np.allclose(alone.xy[index[name]], whole.xy[SKELETONS[whole.skeleton].index[name]])
    body = convert_keypoints(whole, "coco17")
    filled = merge_keypoints(body, convert_keypoints(whole, "body25_hands_face"))
    assert (
        filled.valid[index["left_hand_8"]]
        and filled.valid[index["face_30"]]
        and filled.valid[index["left_big_toe"]]
    )
    assert merge_keypoints(body, convert_keypoints(body, "body25")).skeleton == "body25"


def test_a_hand_is_not_taken_from_a_wrist_elsewhere() -> None:
    whole = standing()
    body = convert_keypoints(whole, "coco17")
    order = SKELETONS["coco17"].index
    xy = body.xy.copy()
    xy[order["left_wrist"]] += 40
    merged = merge_keypoints(
        Keypoints2D("coco17", xy, body.confidence), convert_keypoints(whole, "body25_hands_face")
    )
    index = SKELETONS["body25_hands_face"].index
    assert not merged.valid[index["left_hand_8"]] and merged.valid[index["right_hand_8"]]


def test_a_hand_that_is_there_is_kept_whole() -> None:
    whole = standing()
    confidence = whole.confidence.copy()
    index = SKELETONS["coco_wholebody133"].index
    confidence[index["left_hand_8"]] = 0
    merged = merge_keypoints(
        Keypoints2D(whole.skeleton, whole.xy, confidence), convert_keypoints(whole, "body25_hands_face")
    )
    assert not merged.valid[SKELETONS["body25_hands_face"].index["left_hand_8"]]


def test_assemble_keeps_hands_and_takes_any_estimator() -> None:
    people = [standing(0), standing(400)]
    estimates = [
        InitialEstimate(
            "hmr2", {}, ("pelvis",), np.array([[0, 0, 3.0]]), projected=convert_keypoints(person, "body25")
        )
        for person in reversed(people)
    ]
    found = assemble_people(vitpose=people, estimates=estimates)
    assert [person.source for person in found] == [{"vitpose": 0, "hmr2": 1}, {"vitpose": 1, "hmr2": 0}]
    assert all(person.keypoints.skeleton == "body25_hands_face" for person in found)
    assert found.of("hmr2", 0).initial is estimates[0] and "keypoints-hmr2" in found.matchings
    one = assemble_people(vitpose=people, estimates=estimates[:1])
    assert one[0].initial is None and "no match in hmr2" in one[0].notes[0]
    with pytest.raises(ValueError, match="bev or estimates, not both"):
        assemble_people(vitpose=people, bev=[], estimates=[])


def test_estimates_without_joints_are_matched_by_their_box() -> None:
    people = [standing(0), standing(400)]
    estimates = [
        InitialEstimate(
            "smplerx", {}, ("pelvis",), np.array([[0, 0, 3.0]]), bbox=np.array([x - 10, -10, x + 110, 210.0])
        )
        for x in (400, 0)
    ]
    found = assemble_people(vitpose=people, estimates=estimates)
    assert [person.source["smplerx"] for person in found] == [1, 0]


# Duplicates


def test_duplicates_are_noted_dropped_or_kept() -> None:
    twice = standing(0)
    weaker = Keypoints2D(twice.skeleton, twice.xy + 3, twice.confidence * 0.8)
    people = [weaker, standing(400), twice]
    assert find_duplicates(people) == [(2, 0, pytest.approx(find_duplicates(people)[0][2]))]
    noted = assemble_people(vitpose=people)
    assert len(noted) == 3
    assert "may be vitpose 2 too" in noted[0].notes[0] and "may be vitpose 0 too" in noted[2].notes[0]
    assert noted[1].notes == ()
    dropped = assemble_people(vitpose=people, duplicates="drop")
    assert [p.source["vitpose"] for p in dropped] == [1, 2]
    (lost,) = dropped.unmatched
    assert (lost.source, lost.index) == ("vitpose", 0) and "is vitpose 2 again" in lost.reason
    assert all(p.notes == () for p in assemble_people(vitpose=people, duplicates="keep"))
    with pytest.raises(ValueError, match="duplicates must be"):
        assemble_people(vitpose=people, duplicates="merge")  # type: ignore[arg-type]


def test_three_records_of_one_person_leave_one() -> None:
    base = standing(0)
    records = [Keypoints2D(base.skeleton, base.xy + k, base.confidence - 0.1 * k) for k in range(3)]
    assert {lost for _, lost, _ in find_duplicates(records)} == {1, 2}
    assert len(assemble_people(vitpose=records, duplicates="drop")) == 1


def test_thirty_people_with_duplicates_and_missing_joints() -> None:
    random = np.random.default_rng(8)
    people = []
    for k in range(30):
        person = standing(130.0 * k)
        confidence = np.where(random.uniform(size=len(person.xy)) < 0.3, 0, person.confidence)
        people.append(
            Keypoints2D(person.skeleton, person.xy + random.normal(0, 2, person.xy.shape), confidence)
        )
    doubled = [Keypoints2D(p.skeleton, p.xy + 2, p.confidence * 0.7) for p in people[::5]]
    other = [
        Keypoints2D(p.skeleton, p.xy + random.normal(0, 2, p.xy.shape), p.confidence)
        for p in reversed(people)
    ]
    found = assemble_people(openpose=other, vitpose=[*people, *doubled], duplicates="drop")
    assert len(found) == 30
    pairs = {(p.source["openpose"], p.source["vitpose"]) for p in found}
    assert pairs == {(29 - k, k) for k in range(30)} and len(found.unmatched) >= 6
