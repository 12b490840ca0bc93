"""Files that were read as something else, or lost for one person's sake."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apu_contacts.sources import (
    Camera,
    ConventionError,
    SourceFormatError,
    SourceWarning,
    keypoints_from_arrays,
    read_buddi,
    read_coco_results,
    read_hmr2,
    read_mmpose,
    read_multihmr,
    read_openpose,
    read_parameters,
    read_sam3d_body,
    read_smplerx,
)

MHR = Path(__file__).parents[2].parent / "shared" / "real" / "mhr"
SIZE = (640, 480)
RNG = np.random.default_rng(3)
POINTS = RNG.uniform(-0.5, 0.5, (70, 3))


def pose(**changes: Any) -> dict[str, Any]:
    given = {
        "global_orient": np.array([[3.1, 0, 0]]),
        "body_pose": np.zeros((1, 63)),
        "betas": np.zeros((1, 10)),
        "transl": np.array([[0, 0.3, 3.0]]),
    }
    return {**given, **changes}


def save(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


# Ages and scales


def test_a_scale_is_no_age() -> None:
    assert "age" not in read_parameters(pose(scale=np.array([1.0])))[0].parameters
    with pytest.raises(ConventionError, match=r"scale .0.4. is a size of the mesh"):
        read_parameters(pose(scale=np.array([0.4])))
    (child,) = read_buddi({"humans": pose(scale=np.array([[0.4]])), "cam": {}})
    assert child.parameters["age"] == 0.4


@pytest.mark.parametrize("years", [34.0, -1.0, 1.01])
def test_an_age_outside_of_its_range_is_an_error(years: float) -> None:
    assert read_parameters(pose(age=np.array([0.7])))[0].parameters["age"] == 0.7
    with pytest.raises(ConventionError, match="are these years"):
        read_parameters(pose(age=np.array([years])))
    with pytest.raises(ConventionError, match="are these years"):
        read_multihmr(
            [{"rotvec": np.zeros((53, 3)), "shape": np.full(11, 5.0), "transl_pelvis": [0, 0, 3.0]}], SIZE
        )


# Two dictionaries of the same names


def test_two_dictionaries_of_the_same_names_are_refused(tmp_path: Path) -> None:
    world = pose(transl=np.array([[0, 0, 9.0]]))
    path = tmp_path / "gvhmr.pkl"
    for content in (
        {"smpl_incam": pose(), "smpl_global": world},
        {"smpl_global": world, "smpl_incam": pose()},
    ):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(SourceFormatError, match=r"smpl_(incam|global).*and.*smpl_(global|incam).*part="):
            read_parameters(path)
        assert read_parameters(path, part="smpl_incam")[0].own["transl"].tolist() == [0, 0.3, 3.0]
        assert read_parameters(path, part="smpl_global")[0].own["transl"].tolist() == [0, 0, 9.0]
    with pytest.raises(SourceFormatError, match="there is smpl_global, smpl_incam"):
        read_parameters(path, part="smplx")
    assert read_parameters(
        {"a": pose(), "b": {"betas": np.zeros((1, 10))}}
    )  # the same values are no question


# Cameras


def sam(camera: Camera, i: int = 0, **changes: Any) -> dict[str, Any]:
    place = np.array([0.7 * i, 0, 4.0])
    points = np.roll(POINTS, i, axis=0)
    pixels = camera.project(points + place)
    return {"pred_keypoints_3d": points, "pred_cam_t": place, "pred_keypoints_2d": pixels, **changes}


@pytest.mark.parametrize("center", [(320.0, 240.0), (70.0, 240.0)])
def test_sam3d_solves_focal_length_and_center_from_its_own_points(center: tuple[float, float]) -> None:
    camera = Camera(1000.0, center)
    people = read_sam3d_body([sam(camera), sam(camera, 1)], SIZE)
    for person in people:
        assert person.camera is not None
        assert np.allclose([person.camera.focal, *person.camera.center], [1000, *center])
        assert any("principal point" in note for note in person.notes) == (center[0] != 320)
    half = [sam(camera, focal_length=500.0)]
    with pytest.raises(ConventionError, match="away from its own pixels"):
        read_sam3d_body(half, SIZE)


def test_sam3d_of_a_resized_picture_and_without_a_camera() -> None:
    with pytest.raises(ConventionError, match="an image of 1280 x 960, not of 640 x 480"):
        read_sam3d_body([sam(Camera(1000.0, (640.0, 480.0)))], SIZE)
    with pytest.raises(ConventionError, match=r"beside an image of 100 x 80: another picture's size"):
        read_sam3d_body([sam(Camera(1000.0, (320.0, 240.0)))], (100, 80))
    bare = {key: value for key, value in sam(Camera(900.0, (320, 240))).items() if key != "pred_keypoints_2d"}
    with pytest.raises(SourceFormatError, match="give focal="):
        read_sam3d_body([bare], SIZE)
    assert read_sam3d_body([bare], SIZE, focal=900.0)[0].camera == Camera(900.0, (320, 240))
    matrix = [[900.0, 0, 300], [0, 900, 200], [0, 0, 1]]
    assert read_sam3d_body([bare], SIZE, intrinsics=matrix)[0].camera == Camera(900.0, (300, 200))


def test_sam3d_files_of_one_picture(tmp_path: Path) -> None:
    camera = Camera(1000.0, (320.0, 240.0))
    for i in range(2):
        np.savez(tmp_path / f"person_{i}.npz", **sam(camera, i))
    folder = read_sam3d_body(tmp_path, SIZE)
    files = read_sam3d_body(sorted(tmp_path.iterdir()), SIZE)
    assert [p.joints[0, 0] for p in folder] == [p.joints[0, 0] for p in files] and len(folder) == 2


def test_a_broken_or_foreign_file_of_sam3d_is_one_missing_person(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **sam(Camera(1000.0, (320, 240))))
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 cut short")
    np.savez(tmp_path / "c.npz", triangle_ids=np.zeros(3), coordinates=np.zeros((3, 3)))
    np.savez(tmp_path / "d.npz", **sam(Camera(1000.0, (320, 240)), 1))
    alone = [read_sam3d_body(tmp_path / name, SIZE)[0] for name in ("a.npz", "d.npz")]
    with pytest.warns(SourceWarning) as said:
        people = read_sam3d_body(tmp_path, SIZE)
    assert [person.is_absent for person in people] == [False, True, True, False]
    assert "b.npz" in str(said[0].message)
    assert "c.npz: expected one of pred_keypoints_3d" in str(said[1].message)
    for person, same in zip((people[0], people[3]), alone, strict=True):
        np.testing.assert_allclose(person.joints, same.joints)
    (tmp_path / "a.npz").unlink()
    (tmp_path / "d.npz").unlink()
    with pytest.raises(SourceFormatError, match=r"b\.npz"):
        read_sam3d_body(tmp_path, SIZE)


@pytest.mark.skipif(not MHR.is_dir(), reason="the real files are not there")
def test_the_real_files_of_sam3d() -> None:
    people = read_sam3d_body(sorted(MHR.glob("img_subj*.npz")), (1920, 890))
    for person in people:
        assert person.camera is not None
        assert np.allclose([person.camera.focal, *person.camera.center], [2535.266, 960, 445], atol=2e-3)


def test_a_person_beside_their_own_box_is_noted() -> None:
    out = {
        "global_orient": np.eye(3)[None, None],
        "body_pose": np.tile(np.eye(3), (1, 23, 1, 1)),
        "pred_cam_t_full": np.array([[0, 0, 40.0]]),
        "box_center": np.array([[320.0, 240]]),
        "box_size": np.array([200.0]),
    }
    assert not any("projects" in note for note in read_hmr2(out, SIZE)[0].notes)
    assert any("beside their own box" in note for note in read_hmr2(out, (1920, 1080))[0].notes)


# One person of several


def test_one_bad_person_is_a_missing_estimate() -> None:
    camera = Camera(1000.0, (320.0, 240.0))
    people = [sam(camera), sam(camera, 1), sam(camera)]
    people[1]["pred_cam_t"] = np.array([0, 0, -4.0])
    people[2]["pred_keypoints_3d"] = POINTS.copy()
    people[2]["pred_keypoints_3d"][0] = np.nan
    with pytest.warns(SourceWarning, match="person 1.*behind the camera"):
        found = read_sam3d_body(people, SIZE)
    assert [person.is_absent for person in found] == [False, True, False]
    assert "behind the camera" in found[1].notes[0]
    assert "nose" not in found[2].joint_names and "nose" in found[0].joint_names
    assert "nose: not finite" in found[2].notes[0]


def test_optional_keys_are_looked_at_in_each_record() -> None:
    camera = Camera(1000.0, (320.0, 240.0))
    people = read_sam3d_body([sam(camera), sam(camera, 1, bbox=[0.0, 0, 9, 9])], SIZE)
    assert people[0].bbox is None and people[1].bbox is not None


def openpose(value: float = 100.0, score: float = 0.9) -> dict[str, Any]:
    return {"pose_keypoints_2d": [value, value + 9.5, score] * 25}


def test_openpose_people_without_joints_and_damaged_ones(tmp_path: Path) -> None:
    people = [openpose(), {"pose_keypoints_2d": []}]
    found = read_openpose(save(tmp_path / "a.json", {"people": people}))
    assert [int(person.valid.sum()) for person in found] == [25, 0]
    with pytest.warns(SourceWarning, match=r"people\[1\].*got 54"):
        found = read_openpose(
            save(tmp_path / "a.json", {"people": [openpose(), {"pose_keypoints_2d": [1] * 54}]})
        )
    assert [int(person.valid.sum()) for person in found] == [25, 0]


@pytest.mark.parametrize(("score", "valid"), [(7.3, False), (2.1, True), (float("nan"), False)])
def test_one_odd_score_is_one_joints_affair(tmp_path: Path, score: float, valid: bool) -> None:
    person = openpose()
    person["pose_keypoints_2d"][2] = score
    (found,) = read_openpose(save(tmp_path / "a.json", {"people": [person]}))
    assert found.valid.tolist() == [valid] + [True] * 24


def test_a_joint_that_lies_nowhere_is_missing() -> None:
    person = {"keypoints": [[float("nan")] * 2] + [[100, 200]] * 16, "keypoint_scores": [0.0] + [0.9] * 16}
    (found,) = read_mmpose([person])
    assert found.valid.tolist() == [False] + [True] * 16


# Units, scales and layouts of keypoints


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1)])
def test_normalised_keypoints_are_refused(tmp_path: Path, low: float, high: float) -> None:
    xy = np.random.default_rng(0).uniform(low, high, (1, 17, 2))
    with pytest.raises(ConventionError, match="normalised coordinates"):
        keypoints_from_arrays(xy, np.ones((1, 17)))
    with pytest.raises(ConventionError, match="keypoint_scale"):
        read_openpose(save(tmp_path / "a.json", {"people": [{"pose_keypoints_2d": [0.2, 0.3, 0.9] * 25}]}))


def test_three_columns_beside_scores_are_refused() -> None:
    xyz = np.random.default_rng(0).normal(size=(17, 3))
    with pytest.raises(ConventionError, match="three columns beside scores"):
        read_mmpose([{"keypoints": xyz.tolist(), "keypoint_scores": [0.9] * 17}])


def test_coco_wholebody_feet_overshoot(tmp_path: Path) -> None:
    blocks = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
    record: dict[str, Any] = {name: [50.0, 60.0, 0.9] * n for name, n in blocks.items()}
    record["foot_kpts"] = [50.0, 60.0, 2.098] * 6
    (person,) = read_coco_results(save(tmp_path / "a.json", [{"image_id": 1, **record, "score": None}]))["1"]
    assert person.confidence[:17].tolist() == [0.9] * 17 and person.confidence[17:23].tolist() == [1.0] * 6


def test_cocos_own_example_has_visibilities(tmp_path: Path) -> None:
    flat = [50, 60, 2] * 10 + [50, 60, 1] * 3 + [0, 0, 0] * 4
    (person,) = read_coco_results(save(tmp_path / "a.json", [{"image_id": 1, "keypoints": flat}]))["1"]
    assert person.confidence.tolist() == [1.0] * 13 + [0.0] * 4


def test_other_detectors_layouts(tmp_path: Path) -> None:
    xy = np.random.default_rng(0).uniform(50, 400, (17, 2))
    transformers = [[{"keypoints": xy[2:], "scores": np.full(15, 0.8), "labels": np.arange(2, 17)}]]
    (person,) = read_mmpose(transformers)
    assert person.valid.tolist() == [False] * 2 + [True] * 15 and np.allclose(person.xy[2:], xy[2:])
    columns = {"x": xy[:, 0].tolist(), "y": xy[:, 1].tolist(), "visible": [0.9] * 17}
    (person,) = read_mmpose([{"name": "person", "keypoints": columns}])
    assert np.allclose(person.xy, xy)
    old = {"people": [{"pose_keypoints": openpose()["pose_keypoints_2d"]}]}
    assert read_openpose(save(tmp_path / "a.json", old))[0].valid.all()
    path = save(tmp_path / "a.json", {"people": [{"pose_keypoints_2d": [100.0, 90.5, 0.9] * 26}]})
    with pytest.raises(SourceFormatError, match="skeleton='halpe26'"):
        read_openpose(path)
    assert read_openpose(path, skeleton="halpe26")[0].skeleton == "halpe26"


def test_tensors_of_any_type() -> None:
    torch = pytest.importorskip("torch")
    xy = torch.full((1, 17, 2), 96.0).bfloat16()
    (person,) = keypoints_from_arrays(xy, torch.full((1, 17), 0.5).bfloat16())
    assert person.xy[0].tolist() == [96, 96] and person.confidence[0] == 0.5
    listed = {"keypoints": list(xy[0]), "keypoint_scores": list(torch.full((17,), 0.5).bfloat16())}
    assert read_mmpose([listed])[0].xy[0].tolist() == [96, 96]


def test_smplerx_with_its_camera_inside() -> None:
    sizes = {"root_pose": 3, "body_pose": 63, "shape": 10}
    out: dict[str, Any] = {f"smplx_{key}": np.zeros((1, n)) for key, n in sizes.items()}
    person = read_smplerx(
        {**out, "cam_trans": [[0, 0, 5.0]], "focal": [900.0, 900.0], "princpt": [320.0, 240.0]}
    )
    assert person.camera == Camera(900.0, (320.0, 240.0))


def test_motion_x_names() -> None:
    out = {"root_pose": np.zeros((1, 3)), "body_pose": np.zeros((1, 63)), "trans": np.array([[0, 0, 3.0]])}
    (person,) = read_parameters({**out, "lhand_pose": np.full((1, 45), 0.1), "shape": np.zeros((1, 10))})
    assert person.own["left_hand_pose"][0] == 0.1
