"""Readers of mesh estimators' output, each on files of its layout built here from a known body."""

from __future__ import annotations

import contextlib
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apu_contacts.sources import (
    Camera,
    ConventionError,
    NoPeopleError,
    SourceFormatError,
    SourceMissingError,
    UnsafePickleError,
    read_amass,
    read_buddi,
    read_camerahmr,
    read_hmr2,
    read_multihmr,
    read_nlf,
    read_parameters,
    read_sam3d_body,
    read_smplerx,
    read_smplerx_folder,
    read_smplifyx,
    write_amass,
)
from apu_contacts.sources.conventions import (
    MEAN_PELVIS,
    axis_angle_to_matrices,
    hand_pose_to_pca,
    pelvis_to_origin_translation,
    translation_to_weak_perspective,
)
from apu_contacts.sources.multihmr import padded_to_image
from apu_contacts.sources.names import (
    MHR70_JOINTS,
    OPENPOSE25_OF_SMPL,
    SMPL_JOINTS,
    SMPL_OUTPUT_JOINTS,
    SMPLH_OUTPUT_JOINTS,
    SMPLX_JOINTS,
)

SIZE = (900, 600)
N = 2
FACING = np.array([np.pi, 0.0, 0.0])  # y up, towards the camera: upright in the camera frame


def generator() -> np.random.Generator:
    return np.random.default_rng(3)


def body(joints: int) -> np.ndarray:
    """``(N, joints, 3)`` plausible joints around the origin, the pelvis first at the mean shape's place."""
    xyz = generator().uniform(-0.5, 0.5, (N, joints, 3))
    xyz[:, 0] = MEAN_PELVIS["smpl"]
    return xyz


def pose(joints: int) -> np.ndarray:
    return generator().uniform(-0.4, 0.4, (N, joints, 3))


# HMR2


def hmr2(**changes: Any) -> dict[str, Any]:
    focal = 5000 / 256 * max(SIZE)
    translation = np.array([[0.3, 0.1, 30.0], [-0.4, 0.2, 28.0]])
    center, size = np.array([[400.0, 300.0], [600.0, 310.0]]), np.array([250.0, 300.0])
    camera = Camera(focal, (SIZE[0] / 2, SIZE[1] / 2))
    out = {
        "pred_smpl_params": {
            "global_orient": axis_angle_to_matrices(np.tile(FACING, (N, 1, 1))),
            "body_pose": axis_angle_to_matrices(pose(23)),
            "betas": generator().normal(size=(N, 10)),
        },
        "pred_cam": translation_to_weak_perspective(translation, center, size, camera),
        "pred_cam_t": np.full((N, 3), 9.0),
        "pred_cam_t_full": translation,
        "scaled_focal_length": np.array(focal),
        "focal_length": np.full((N, 2), 5000.0),
        "pred_keypoints_3d": body(44),
        "pred_vertices": generator().normal(size=(N, 20, 3)),
        "box_center": center,
        "box_size": size,
        "img_size": np.tile(np.array(SIZE, float), (N, 1)),
    }
    return {key: value for key, value in {**out, **changes}.items() if value is not None}


def save(path: Path, content: Any) -> Path:
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(content))
    else:
        np.savez(path, **content)
    return path


def test_hmr2_as_it_comes() -> None:
    out = hmr2()
    people = read_hmr2(out)
    assert len(people) == N
    for i, person in enumerate(people):
        assert np.allclose(np.abs(person.parameters["global_orient"]), FACING)
        assert np.allclose(person.parameters["body_pose"], pose(23)[i, :21].ravel()), "the hands are left out"
        assert person.joint_names == OPENPOSE25_OF_SMPL and person.joint_names[8] == "pelvis"
        assert np.allclose(person.joints, out["pred_keypoints_3d"][i, :25] + out["pred_cam_t_full"][i])
        assert np.allclose(person.own["transl"], out["pred_cam_t_full"][i])
        assert np.allclose(person.own["betas"], out["pred_smpl_params"]["betas"][i])
        assert person.vertices is not None and person.vertices.shape == (20, 3)
        assert person.camera == Camera(5000 / 256 * 900, (450, 300)) and person.model == "smpl"
        assert person.projected is not None
        nose = person.camera.project(person.joints[0])
        assert np.allclose(person.projected.xy[0], nose) and person.projected.valid.all()
        assert person.bbox is not None and np.ptp(person.bbox[[0, 2]]) == out["box_size"][i]


def test_hmr2_from_files_lists_and_tensors(tmp_path: Path) -> None:
    expected = read_hmr2(hmr2())[1]
    rows = [
        {k: v[i] for k, v in {**hmr2(), **hmr2()["pred_smpl_params"]}.items() if np.ndim(v) and len(v) == N}
        for i in range(N)
    ]
    flat = {f"pred_smpl_params.{k}": v for k, v in hmr2()["pred_smpl_params"].items()}

    class Tensor:
        """Stands for a torch tensor on a GPU."""

        def __init__(self, value: Any) -> None:
            self.value = value

        def detach(self) -> Tensor:
            return self

        def cpu(self) -> Tensor:
            return self

        def numpy(self) -> np.ndarray:
            return np.asarray(self.value)

    for source in (
        save(tmp_path / "out.npz", hmr2()),
        save(tmp_path / "out.pkl", hmr2()),
        save(tmp_path / "flat.npz", {**hmr2(pred_smpl_params=None), **flat}),
        save(tmp_path / "named.npz", {"out": np.array(hmr2(), dtype=object)}),
        {k: Tensor(v) if not isinstance(v, dict) else v for k, v in hmr2().items()},
        [{**row, "img_size": SIZE} for row in rows],
    ):
        person = read_hmr2(source)[1]
        assert np.allclose(person.joints, expected.joints)
        assert np.allclose(person.parameters["body_pose"], expected.parameters["body_pose"])


def test_hmr2_from_the_crops_camera() -> None:
    expected = read_hmr2(hmr2())
    for missing in ({"pred_cam_t_full": None}, {"pred_cam_t_full": None, "scaled_focal_length": None}):
        for a, b in zip(read_hmr2(hmr2(**missing)), expected, strict=True):
            assert np.allclose(a.joints, b.joints) and a.camera == b.camera
    with pytest.raises(
        SourceFormatError, match=r"box_size missing.*pred_cam_t alone is the translation in the crop"
    ):
        read_hmr2(hmr2(pred_cam_t_full=None, box_size=None))
    with pytest.raises(SourceFormatError, match="img_size is missing"):
        read_hmr2(hmr2(img_size=None))
    assert read_hmr2(hmr2(img_size=None), SIZE)[0].camera == expected[0].camera


def test_hmr2_without_joints_has_its_pelvis() -> None:
    person = read_hmr2(hmr2(pred_keypoints_3d=None))[0]
    assert person.joint_names == ("pelvis",) and "mean shape" in person.notes[0]
    assert np.allclose(person.joints[0], hmr2()["pred_cam_t_full"][0] + MEAN_PELVIS["smpl"])
    assert person.projected is None


def test_hmr2_into_the_default_camera_is_metres_away_and_in_place() -> None:
    person = read_hmr2(hmr2())[0]
    near = person.in_camera(Camera.from_image_size(*SIZE))
    pelvis = near.joints[8]
    assert 1 < pelvis[2] < 3 < person.joints[8, 2]
    assert np.allclose(near.camera.project(pelvis), person.camera.project(person.joints[8]))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pred_keypoints_3d": body(44) * 1000}, ConventionError, "millimetres"),
        ({"pred_cam_t_full": np.full((N, 3), -5.0)}, ConventionError, "behind the camera"),
        (
            {"pred_keypoints_3d": body(14)},
            SourceFormatError,
            "45 .of the smplx package. or 24 .SMPL's., got 14",
        ),
        ({"pred_cam_t_full": np.full((N, 3), np.nan)}, SourceFormatError, "not finite"),
        ({"box_size": np.ones(3), "pred_cam_t_full": None}, SourceFormatError, "for each of 2 people"),
        (
            {"pred_smpl_params": {"global_orient": np.zeros((N, 3))}},
            SourceFormatError,
            "body_pose is missing",
        ),
    ],
)
def test_hmr2_errors(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_hmr2(hmr2(**changes))


def test_hmr2_nobody_and_unsafe(tmp_path: Path) -> None:
    empty = {"pred_cam_t_full": np.zeros((0, 3))}
    with pytest.raises(NoPeopleError, match="hmr2 found nobody"):
        read_hmr2(empty)
    assert read_hmr2(empty, allow_empty=True) == []
    with pytest.raises(UnsafePickleError):
        read_hmr2(save(tmp_path / "bad.pkl", {"a": re.compile("x")}))
    with pytest.raises(SourceMissingError):
        read_hmr2(tmp_path / "absent.npz")
    (tmp_path / "out.txt").write_text("")
    with pytest.raises(SourceFormatError, match=r"expected \.npz"):
        read_hmr2(tmp_path / "out.txt")


@pytest.mark.parametrize("seed", range(4))
def test_odd_records_are_source_errors_or_nothing(seed: int) -> None:
    """Values of any kind under the keys that are read raise what the readers promise, and nothing else."""
    random = np.random.default_rng(seed)
    values: list[Any] = [None, 3, "x", [], {}, np.zeros((2, 3)), np.zeros(3), np.zeros((0, 3)), [{}], [None]]
    values += [np.array("s"), {"a": {"b": 1}}, np.zeros((2, 3, 3)), np.ones((2, 70, 3)), np.full(3, np.nan)]
    keys = [
        "global_orient",
        "body_pose",
        "betas",
        "pred_cam_t_full",
        "pred_cam",
        "rotvec",
        "shape",
        "j3d",
        "pose",
    ]
    keys += [
        "joints3d",
        "trans",
        "pred_keypoints_3d",
        "pred_cam_t",
        "focal_length",
        "poses",
        "Rh",
        "Th",
        "transl",
    ]
    keys += [
        "img_size",
        "K",
        "cam_int",
        "box_size",
        "box_center",
        "boxes",
        "scaled_focal_length",
        "joints",
        "humans",
    ]
    readers = (
        lambda c: read_hmr2(c, SIZE),
        lambda c: read_multihmr(c, SIZE),
        lambda c: read_nlf(c, SIZE),
        lambda c: read_sam3d_body(c, SIZE),
        read_parameters,
        read_buddi,
        lambda c: read_smplerx(c, camera=Camera(9.0, (1.0, 1.0))),
    )
    for _ in range(150):
        picked = random.choice(keys, random.integers(1, 9), replace=False)
        record = {key: values[random.integers(len(values))] for key in picked}
        for content in (record, [record], [record, dict(record)]):
            for read in readers:
                with contextlib.suppress(ValueError):
                    read(content)


def test_camerahmr_has_the_cameras_own_focal_length() -> None:
    matrix = np.array([[850.0, 0, 440], [0, 850, 310], [0, 0, 1]])
    near = np.array([[0.1, 0.0, 3.0], [0.2, 0.0, 2.5]])
    for cam_int in (matrix, np.tile(matrix, (N, 1, 1))):
        person = read_camerahmr(hmr2(cam_int=cam_int, pred_cam_t_full=near))[0]
        assert person.camera == Camera(850.0, (440, 310)) and person.estimator == "camerahmr"


def test_the_number_of_joints_says_their_order() -> None:
    """HMR2 maps SMPL's joints to BODY_25's slots; CameraHMR saves what the smplx package returns."""
    for count in (24, 45):
        out = hmr2(pred_keypoints_3d=body(count))
        person = read_camerahmr(out)[1]
        xyz = dict(zip(person.joint_names, person.joints - out["pred_cam_t_full"][1], strict=True))
        given = out["pred_keypoints_3d"][1]
        for name, k in {"pelvis": 0, "left_hip": 1, "right_knee": 5, "head": 15, "right_wrist": 21}.items():
            assert np.allclose(xyz[name], given[k]), name
        if count == 45:  # the vertices that smplx adds: its VertexJointSelector's order
            for name, k in {
                "nose": 24,
                "right_eye": 25,
                "left_ear": 28,
                "left_big_toe": 29,
                "right_heel": 34,
            }.items():
                assert np.allclose(xyz[name], given[k]), name
        assert len(xyz) == (22 if count == 24 else 33) and "left_hand" not in xyz
    for count in (25, 44, 49):
        assert read_hmr2(hmr2(pred_keypoints_3d=body(count)))[0].joint_names == OPENPOSE25_OF_SMPL


def test_the_smplx_packages_joints_are_in_this_order() -> None:
    """Its names of SMPL-X's joints: the vertices that it adds are the same for all of its bodies."""
    theirs = pytest.importorskip("smplx.joint_names").JOINT_NAMES
    assert [name for name in SMPL_OUTPUT_JOINTS if name is not None] == [*theirs[:22], *theirs[55:66]]
    assert len(SMPL_OUTPUT_JOINTS) == 45
    assert [*theirs[:22], *theirs[25:66]] == list(SMPLH_OUTPUT_JOINTS)


# Multi-HMR


def multihmr() -> list[dict[str, Any]]:
    random = generator()
    people = []
    for i in range(N):
        joints = random.uniform(-0.5, 0.5, (127, 3)) + np.array([0.2, 0.1, 3.0 + i])
        people.append(
            {
                "scores": np.array(0.8),
                "loc": np.array([448.0, 300.0]),
                "transl": joints[15],
                "transl_pelvis": joints[:1],
                "rotvec": random.uniform(-0.4, 0.4, (53, 3)),
                "expression": random.normal(size=10),
                "shape": random.normal(size=10),
                "v3d": joints[:30] + 0.01,
                "j3d": joints,
                "K": np.array([[896 / (2 * np.tan(np.pi / 6)), 0, 448], [0, 776.0, 448], [0, 0, 1]]),
            }
        )
    return people


def test_multihmr(tmp_path: Path) -> None:
    out = multihmr()
    np.save(tmp_path / "out.npy", np.array(out, dtype=object))
    for source in (out, tmp_path / "out.npy", save(tmp_path / "out.pkl", out)):
        people = read_multihmr(source, SIZE)
        assert len(people) == N
        for person, record in zip(people, out, strict=True):
            assert np.allclose(person.parameters["global_orient"], record["rotvec"][0])
            assert np.allclose(person.parameters["body_pose"], record["rotvec"][1:22].ravel())
            assert np.allclose(person.own["right_hand_pose"], record["rotvec"][37:52].ravel())
            assert np.allclose(person.own["left_hand_pose"], record["rotvec"][22:37].ravel())
            assert np.allclose(person.own["jaw_pose"], record["rotvec"][52])
            assert person.flat_hand_mean
            assert person.joint_names[:55] == SMPLX_JOINTS and person.joint_names[55] == "nose"
            assert np.allclose(person.joints, record["j3d"][:66])
            assert person.model == "smplx" and person.confidence == 0.8
            # 60 degrees over the square are 60 degrees over the image's longer side
            assert person.camera is not None and person.camera.focal == pytest.approx(
                Camera.from_image_size(*SIZE).focal
            )


def test_multihmr_one_person_saved_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", humans=np.array(multihmr()[:1], dtype=object))
    assert len(read_multihmr(tmp_path / "one.npz", SIZE)) == 1
    assert len(read_multihmr(multihmr()[0], SIZE)) == 1


def test_multihmr_with_age_and_without_joints() -> None:
    out = multihmr()
    out[0]["shape"] = np.append(out[0]["shape"], 0.4)
    del out[0]["j3d"]
    person = read_multihmr(out[:1], SIZE)[0]
    assert person.parameters["age"] == 0.4 and len(person.own["betas"]) == 10
    assert person.joint_names == ("pelvis",) and np.allclose(person.joints, out[0]["transl_pelvis"])
    del out[0]["transl_pelvis"]
    with pytest.raises(SourceFormatError, match="transl alone is the position of the head"):
        read_multihmr(out[:1], SIZE)
    with pytest.raises(NoPeopleError):
        read_multihmr([], SIZE)


def test_pixels_of_the_padded_square() -> None:
    assert np.allclose(padded_to_image(np.array([448.0, 448.0]), SIZE, 896), [450, 300])
    assert np.allclose(padded_to_image(np.array([0.0, 448 - 300 * 896 / 900]), SIZE, 896), [0, 0])


# SMPLer-X


def smplerx_folder(folder: Path, count: int = 12) -> Path:
    random = generator()
    for name in ("smplx", "meta"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        np.savez(
            folder / "smplx" / f"00001_{i}.npz",
            global_orient=FACING[None],
            body_pose=random.uniform(-0.3, 0.3, (21, 3)),
            left_hand_pose=random.uniform(-0.3, 0.3, (15, 3)),
            right_hand_pose=random.uniform(-0.3, 0.3, (15, 3)),
            jaw_pose=np.zeros((1, 3)),
            leye_pose=np.zeros((1, 3)),
            reye_pose=np.zeros((1, 3)),
            betas=random.normal(size=(1, 10)),
            expression=np.zeros((1, 10)),
            transl=np.array([[0.01 * i, 0.0, 30.0]]),
        )
        meta = {
            "focal": [5000 / 192 * 150, 5000 / 256 * 200],
            "princpt": [100.0 + 150 / 2, 80.0 + 200 / 2],
            "bbox": [100.0, 80.0, 150.0, 200.0],
        }
        (folder / "meta" / f"00001_{i}.json").write_text(json.dumps(meta))
    return folder


def test_smplerx_people_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    people = read_smplerx_folder(smplerx_folder(tmp_path))
    assert [round(p.own["transl"][0], 2) for p in people] == [round(0.01 * i, 2) for i in range(12)]
    person = people[2]
    assert np.allclose(person.parameters["global_orient"], FACING) and person.own["left_hand_pose"].shape == (
        45,
    )
    assert not person.flat_hand_mean
    assert person.camera == Camera(5000 / 192 * 150, (175, 180))
    assert person.bbox is not None and person.bbox.tolist() == [100, 80, 250, 280]
    assert np.allclose(person.joints[0], person.own["transl"] + MEAN_PELVIS["smplx"])
    near = person.in_camera(Camera.from_image_size(*SIZE))
    assert 1 < near.joints[0, 2] < 20
    with pytest.raises(SourceMissingError, match=r"no file 00007_\*\.npz"):
        read_smplerx_folder(tmp_path, 7)


def test_smplerx_output_names_and_errors(tmp_path: Path) -> None:
    out = {
        "smplx_root_pose": FACING[None],
        "smplx_body_pose": np.zeros((1, 63)),
        "smplx_lhand_pose": np.zeros((1, 45)),
        "smplx_shape": np.zeros((1, 10)),
        "cam_trans": np.array([[0.0, 0.0, 20.0]]),
    }
    person = read_smplerx(out, camera=Camera(4000.0, (100, 100)))
    assert person.own["betas"].shape == (10,) and "right_hand_pose" not in person.own
    with pytest.raises(SourceFormatError, match="the camera of the crop is needed"):
        read_smplerx(out)
    with pytest.raises(SourceFormatError, match=r"transl \(or cam_trans\) is missing"):
        read_smplerx({k: v for k, v in out.items() if k != "cam_trans"}, camera=Camera(1.0, (0, 0)))
    folder = smplerx_folder(tmp_path, 1)
    (folder / "meta" / "00001_0.json").write_text(
        json.dumps({"focal": [10, 20], "princpt": [1, 1], "bbox": [0] * 4})
    )
    with pytest.raises(SourceFormatError, match="the same for x and y"):
        read_smplerx_folder(folder)


# NLF


def nlf(joints: int = 24, **changes: Any) -> dict[str, Any]:
    names = SMPL_JOINTS if joints == 24 else SMPLX_JOINTS
    rest = MEAN_PELVIS["smpl" if joints == 24 else "smplx"]
    trans = np.array([[0.2, 0.1, 3.0], [-0.3, 0.0, 4.0]])
    xyz = generator().uniform(-0.5, 0.5, (N, joints, 3)) + trans[:, None]
    xyz[:, 0] = trans + rest
    place = {name: i for i, name in enumerate(names)}
    for name, offset in (("left_hip", (0.1, 0, 0)), ("right_hip", (-0.1, 0, 0))):
        xyz[:, place[name]] = xyz[:, 0] + offset
    for name, offset in (("left_shoulder", (0.2, -0.5, 0)), ("right_shoulder", (-0.2, -0.5, 0))):
        xyz[:, place[name]] = xyz[:, 0] + offset
    out = {
        "boxes": np.tile([10.0, 20, 100, 200, 0.9], (N, 1)),
        "pose": generator().uniform(-0.4, 0.4, (N, 3 * joints)),
        "betas": generator().normal(size=(N, 10)),
        "trans": trans,
        "joints3d": xyz * 1000,
        "vertices3d": xyz * 1000,
    }
    return {key: value for key, value in {**out, **changes}.items() if value is not None}


@pytest.mark.parametrize("joints", [24, 55])
def test_nlf(joints: int) -> None:
    out = nlf(joints)
    for i, person in enumerate(read_nlf(out, SIZE)):
        assert person.model == ("smpl" if joints == 24 else "smplx")
        assert np.allclose(person.joints * 1000, out["joints3d"][i, : len(person.joints)])
        assert np.allclose(person.parameters["body_pose"], out["pose"][i, 3:66])
        assert np.allclose(person.own["transl"], out["trans"][i])
        if joints == 55:
            hands = [person.own[f"{side}_hand_pose"] for side in ("left", "right")]
            assert np.allclose(np.concatenate(hands), out["pose"][i, 75:]) and person.flat_hand_mean
        else:
            assert "left_hand_pose" not in person.own
        assert person.camera == Camera.from_image_size(*SIZE, fov=55) and person.confidence == 0.9
        assert person.bbox is not None and person.bbox.tolist() == [10, 20, 110, 220]
    in_mm = read_nlf(nlf(joints, trans=out["trans"] * 1000), SIZE)[0]
    assert np.allclose(in_mm.own["transl"], out["trans"][0]), "the pelvis says which unit trans has"


def test_nlf_as_the_model_returns_it(tmp_path: Path) -> None:
    """``detect_smpl_batched`` gives lists with an entry an image, of as many people as there are."""
    alone = {key: value[:1] for key, value in nlf().items()}
    nobody = {key: value[:0] for key, value in nlf().items()}
    images = (nlf(), alone, nobody)
    batch: dict[str, Any] = {key: [image[key] for image in images] for key in alone}
    ragged = {key: np.array([None] * 3, dtype=object) for key in batch}
    for key, values in batch.items():
        for k, value in enumerate(values):
            ragged[key][k] = value
    np.savez(tmp_path / "batch.npz", **ragged)
    np.savez(tmp_path / "one.npz", **{key: [value] for key, value in nlf().items()})
    expected = read_nlf(nlf(), SIZE)
    for source in (batch, tmp_path / "batch.npz", tmp_path / "one.npz"):
        for a, b in zip(read_nlf(source, SIZE), expected, strict=True):
            assert np.allclose(a.joints, b.joints) and a.confidence == b.confidence
            assert np.allclose(a.parameters["body_pose"], b.parameters["body_pose"])
    assert len(read_nlf(batch, SIZE, image=1)) == 1
    assert read_nlf(batch, SIZE, image=2, allow_empty=True) == []
    with pytest.raises(ValueError, match="image 3 is none of the 3 of the batch"):
        read_nlf(batch, SIZE, image=3)


def test_nlf_variants_and_errors() -> None:
    only_joints = read_nlf(nlf(pose=None, betas=None, trans=None), SIZE)[0]
    turned = axis_angle_to_matrices(only_joints.parameters["global_orient"])
    assert np.allclose(turned @ [0, 1, 0], [0, -1, 0]), "upright: the body's up is the image's"
    matrix = [[700.0, 0, 400], [0, 700, 280], [0, 0, 1]]
    assert read_nlf(nlf(), SIZE, intrinsics=matrix)[0].camera == Camera(700.0, (400, 280))
    with pytest.raises(ConventionError, match="metres are expected"):
        read_nlf(nlf(pose=None), SIZE, unit="m")
    with pytest.raises(ConventionError, match="nowhere near that of joints3d"):
        read_nlf(nlf(trans=np.full((N, 3), 77.0)), SIZE)
    with pytest.raises(SourceFormatError, match="24 or SMPL-X's 55"):
        read_nlf(nlf(joints3d=np.zeros((N, 17, 3))), SIZE)
    with pytest.raises(ValueError, match="unit must be one of mm"):
        read_nlf(nlf(), SIZE, unit="feet")


# SAM 3D Body


def sam3d() -> list[dict[str, Any]]:
    people = []
    for i in range(N):
        points = generator().uniform(-0.5, 0.5, (70, 3))
        place = {name: k for k, name in enumerate(MHR70_JOINTS)}
        for name, where in {
            "left_hip": (0.1, 0, 0),
            "right_hip": (-0.1, 0, 0),
            "left_shoulder": (0.2, -0.5, 0),
            "right_shoulder": (-0.2, -0.5, 0),
        }.items():
            points[place[name]] = where
        people.append(
            {
                "bbox": np.array([10.0, 20, 110, 220]),
                "focal_length": np.float32(950),
                "pred_keypoints_3d": points,
                "pred_keypoints_2d": np.zeros((70, 2)),
                "pred_vertices": points[:40],
                "pred_cam_t": np.array([0.1, 0.2, 3.0 + i]),
                "global_rot": np.zeros(3),
                "mask": None,
            }
        )
    return people


def test_sam3d_names_are_mhrs() -> None:
    assert len(MHR70_JOINTS) == 70
    # positions of MHR's published list
    for k, name in {
        0: "nose",
        5: "left_shoulder",
        10: "right_hip",
        14: "right_ankle",
        15: "left_big_toe",
        20: "right_heel",
        21: "right_hand_4",  # tip of the thumb
        24: "right_hand_1",
        25: "right_hand_8",  # tip of the index finger
        40: "right_hand_17",  # root of the little finger
        41: "right_wrist",
        42: "left_hand_4",
        62: "left_wrist",
        63: None,
        69: "neck",
    }.items():
        assert MHR70_JOINTS[k] == name, k
    assert len({name for name in MHR70_JOINTS if name}) == 64


def test_sam3d(tmp_path: Path) -> None:
    out = sam3d()
    for source in (out, save(tmp_path / "out.pkl", out)):
        for person, record in zip(read_sam3d_body(source, SIZE), out, strict=True):
            assert np.allclose(person.joints[0], record["pred_keypoints_3d"][0] + record["pred_cam_t"])
            assert person.camera == Camera(950.0, (450, 300)) and person.model == "mhr"
            assert person.vertices is not None and person.vertices.shape == (40, 3)
            up = axis_angle_to_matrices(person.parameters["global_orient"]) @ [0, 1, 0]
            assert np.allclose(up, [0, -1, 0]) and "body_pose" not in person.parameters
    in_cm = [{**record, "pred_keypoints_3d": record["pred_keypoints_3d"] * 100} for record in out]
    with pytest.raises(ConventionError, match="centimetres"):
        read_sam3d_body(in_cm, SIZE)
    assert len(read_sam3d_body(out[0], SIZE)) == 1, "one person's dictionary"


# SMPLify-X


def test_smplifyx_puts_every_point_where_its_camera_does(tmp_path: Path) -> None:
    random = generator()
    orient, j0 = np.array([2.9, 0.2, -0.3]), np.array([0.01, -0.34, 0.02])
    turn = axis_angle_to_matrices(np.array([0.1, -0.2, 0.05]))
    shift = np.array([0.3, 0.2, 40.0])
    basis = [np.linalg.qr(random.normal(size=(45, 45)))[0] for _ in range(2)]
    result = {
        "camera_translation": shift[None],
        "camera_rotation": turn[None],
        "global_orient": orient[None],
        "body_pose": random.normal(size=(1, 32)),
        "betas": random.normal(size=(1, 10)),
        "expression": random.normal(size=(1, 10)),
        "left_hand_pose": random.normal(size=(1, 12)),
        "right_hand_pose": random.normal(size=(1, 12)),
        "jaw_pose": np.zeros((1, 3)),
    }
    path = tmp_path / "000.pkl"
    path.write_bytes(pickle.dumps(result, 2))
    decoded = pose(21)[0].ravel()
    person = read_smplifyx(path, SIZE, body_pose=decoded, hand_components=(basis[0], basis[1]), pelvis=j0)
    rest = random.normal(0, 0.4, (30, 3))
    world = (rest - j0) @ axis_angle_to_matrices(orient).T + j0  # no translation: the camera moves
    expected = world @ turn.T + shift
    found = (rest - j0) @ axis_angle_to_matrices(person.parameters["global_orient"]).T + j0
    assert np.allclose(found + person.own["transl"], expected)
    assert np.allclose(person.joints[0], turn @ j0 + shift) and person.estimator == "smplifyx"
    assert np.allclose(person.parameters["body_pose"], decoded) and person.model == "smplx"
    assert np.allclose(person.own["right_hand_pose"], result["right_hand_pose"][0] @ basis[1][:12])
    assert person.camera == Camera(5000.0, (450, 300)) and not person.flat_hand_mean
    near = person.in_camera(Camera.from_image_size(*SIZE))
    assert 4 < near.joints[0, 2] < 10, "what 5000 pixels made of a picture of 900"
    still = {k: v for k, v in result.items() if k != "camera_rotation"}
    assert np.allclose(read_smplifyx(still, SIZE, body_pose=decoded).parameters["global_orient"], orient)
    with pytest.raises(SourceFormatError, match=r"000\.pkl: body_pose has 32 numbers, VPoser's code"):
        read_smplifyx(path, SIZE)
    with pytest.raises(SourceFormatError, match="'camera_translation', as SMPLify-X writes it, found a, b"):
        read_smplifyx({"a": 1, "b": 2}, SIZE)
    with pytest.raises(SourceFormatError, match="must be of one person"):
        read_smplifyx({**result, "camera_translation": np.zeros((2, 3))}, SIZE, body_pose=decoded)


# Parameters


def fitted(**changes: Any) -> dict[str, Any]:
    out = {
        "global_orient": np.tile(FACING, (N, 1)),
        "body_pose": pose(21).reshape(N, 63),
        "betas": generator().normal(size=(N, 10)),
        "transl": np.array([[0.2, 0.4, 3.0], [-0.2, 0.3, 3.2]]),
        "left_hand_pose": np.zeros((N, 45)),
        "right_hand_pose": np.ones((N, 6)),
        "expression": np.zeros((N, 10)),
        "gender": np.array("neutral"),
    }
    return {key: value for key, value in {**out, **changes}.items() if value is not None}


def test_parameters_with_smplx_names(tmp_path: Path) -> None:
    out = fitted()
    for source in (out, save(tmp_path / "p.npz", out), save(tmp_path / "h.npz", {"smplx": out})):
        people = read_parameters(source)
        assert len(people) == N
        person = people[1]
        assert np.allclose(person.parameters["body_pose"], out["body_pose"][1]) and person.model == "smplx"
        assert np.allclose(person.own["transl"], out["transl"][1]) and person.own["betas"].shape == (10,)
        assert "right_hand_pose" not in person.own and "6 PCA coefficients" in person.notes[0]
        assert person.own["left_hand_pose"].shape == (45,) and "body_pose" not in person.own
        assert not person.flat_hand_mean and read_parameters(source, flat_hand_mean=True)[1].flat_hand_mean
    one = {k: v[0] for k, v in out.items() if k != "gender"}
    assert np.allclose(read_parameters(one)[0].joints, read_parameters(out)[0].joints), (
        "one person, no leading axis"
    )
    text = tmp_path / "p.json"
    text.write_text(json.dumps({k: np.asarray(v).tolist() for k, v in one.items()}))
    assert len(read_parameters(text)) == 1


def test_hands_as_pca_coefficients_with_the_components_of_their_model() -> None:
    random = generator()
    left, right = (np.linalg.qr(random.normal(size=(45, 45)))[0] for _ in range(2))
    angles = random.normal(0, 0.2, (2, N, 45))
    for count in (6, 12):
        kept = [angles[k] @ basis[:count].T @ basis[:count] for k, basis in enumerate((left, right))]
        out = fitted(left_hand_pose=kept[0] @ left[:count].T, right_hand_pose=kept[1] @ right[:count].T)
        for people in (
            read_parameters(out, hand_components=(left, right)),
            read_buddi({"humans": out}, hand_components=(left, right)),
        ):
            for i, person in enumerate(people):
                assert np.allclose(person.own["left_hand_pose"], kept[0][i])
                assert np.allclose(person.own["right_hand_pose"], kept[1][i])
                assert not person.flat_hand_mean and not any("PCA" in note for note in person.notes)
                # and back: what was in the file
                back = hand_pose_to_pca(person.own["left_hand_pose"], left, np.zeros(45), count)
                assert np.allclose(back, out["left_hand_pose"][i])
        with pytest.raises(SourceFormatError, match=rf"has {count} PCA coefficients.*\(>= {count}, 45\)"):
            read_parameters(out, hand_components=(left[:4], right))


def test_parameters_exact_pelvis_and_errors() -> None:
    j0 = np.array([[0.0, -0.31, 0.02], [0.0, -0.36, 0.0]])
    people = read_parameters(fitted(), pelvis=j0)
    assert np.allclose([p.joints[0] for p in people], fitted()["transl"] + j0)
    with pytest.raises(SourceFormatError, match="translation is missing"):
        read_parameters(fitted(transl=None))
    with pytest.raises(ConventionError, match="degrees"):
        read_parameters(fitted(global_orient=np.full((N, 3), 180.0)))
    with pytest.raises(ConventionError, match="behind the camera"):
        read_parameters(fitted(transl=np.zeros((N, 3)) - 2))
    with pytest.raises(SourceFormatError, match="6D rotations"):
        read_parameters(fitted(body_pose=np.zeros((N, 126))))
    with pytest.raises(ValueError, match="rows: 5"):
        read_parameters(fitted(), rows=[5])
    with pytest.raises(SourceFormatError, match="expected one of global_orient"):
        read_parameters({"vertices": np.zeros((1, 3))})


def test_joints_in_the_file_tell_the_convention() -> None:
    out = fitted()
    j0 = np.array([0.0, -0.33, 0.02])
    joints = generator().uniform(-0.5, 0.5, (N, 127, 3)) + out["transl"][:, None]
    joints[:, 0] = out["transl"] + j0
    person = read_parameters({**out, "joints": joints})[0]
    assert len(person.joint_names) == 66 and np.allclose(person.joints, joints[0, :66])
    th = pelvis_to_origin_translation(out["transl"], out["global_orient"], j0)
    with pytest.raises(ConventionError, match=r"row 0: pelvis offset 0\.6\d m: rotation about the origin"):
        read_parameters({**out, "transl": th, "joints": joints})
    with pytest.raises(ConventionError, match="a translation in millimetres"):
        read_parameters({**out, "transl": out["transl"] * 1000, "joints": joints})
    for count, named in ((22, 22), (24, 22), (45, 33), (52, 52), (73, 63), (55, 55)):
        given = read_parameters({**out, "joints": joints[:, :count]})[0]
        assert len(given.joint_names) == named
        nose = {45: 24, 73: 52}.get(count)
        assert nose is None or np.allclose(given.joints[given.joint_names.index("nose")], joints[0, nose])
    other = read_parameters({**out, "joints": joints[:, :17]})[0]
    assert other.joint_names == ("pelvis",) and any("17 rows" in note for note in other.notes)
    turn, shift = np.diag([-1.0, 1.0, -1.0]), np.array([0.0, 0.0, 7.0])
    moved = read_parameters({**out, "joints": joints}, extrinsic=(turn, shift), pelvis=j0)[0]
    assert np.allclose(moved.joints, joints[0, :66] @ turn.T + shift)
    assert np.allclose(moved.own["transl"] + j0, moved.joints[0])


def test_easymocap_rotates_about_the_origin() -> None:
    expected = fitted()
    j0 = np.array([0.0, -0.33, 0.02])
    th = pelvis_to_origin_translation(expected["transl"], expected["global_orient"], j0)
    poses = np.zeros((N, 165))
    poses[:, 3:66] = expected["body_pose"]
    out = {"Rh": expected["global_orient"], "Th": th, "poses": poses, "shapes": expected["betas"]}
    for person, transl in zip(read_parameters(out, pelvis=j0), expected["transl"], strict=True):
        assert np.allclose(person.own["transl"], transl)
        assert np.allclose(person.parameters["global_orient"], FACING)
    forgotten = np.linalg.norm(th - expected["transl"], axis=1)
    assert (forgotten > 0.6).all(), "what forgetting (R - I) J0 costs"


def test_amass_there_and_back_through_a_camera(tmp_path: Path) -> None:
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # +Z up to +Y down
    hands = generator().normal(0, 0.3, (2, N, 45))
    write_amass(
        tmp_path / "a.npz",
        fitted(left_hand_pose=hands[0], right_hand_pose=hands[1], expression=None, gender=None),
    )
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["poses"].shape == (N, 165) and archive["betas"].shape == (N, 10)
    extrinsic = (turn, np.array([0.0, 0.0, 6.0]))
    j0 = np.array([0.0, -0.33, 0.02])
    people = read_amass(tmp_path / "a.npz", extrinsic=extrinsic, pelvis=j0)
    for i, (person, transl) in enumerate(zip(people, fitted()["transl"], strict=True)):
        assert np.allclose(person.joints[0], turn @ (transl + j0) + extrinsic[1])
        found = [person.own[f"{side}_hand_pose"] for side in ("left", "right")]
        assert np.allclose(found, hands[:, i]) and person.flat_hand_mean
        assert person.own["right_hand_pose"].shape == (45,) and person.model == "smplx"
    same = read_parameters(tmp_path / "a.npz")
    assert np.allclose(same[0].own["transl"], fitted()["transl"][0])
    assert np.allclose(same[0].parameters["body_pose"], fitted()["body_pose"][0])
    one_shape = {"poses": np.zeros((3, 156)), "trans": np.tile([0.0, 0, 3], (3, 1)), "betas": np.arange(16.0)}
    frames = read_parameters(one_shape, rows=[2])
    assert len(frames) == 1 and frames[0].model == "smplh" and frames[0].own["betas"].shape == (16,)


def test_slahmr_names() -> None:
    out = fitted()
    renamed = {"root_orient": out["global_orient"], "pose_body": out["body_pose"], "trans": out["transl"]}
    assert np.allclose(read_parameters(renamed)[0].parameters["body_pose"], out["body_pose"][0])


def test_buddi(tmp_path: Path) -> None:
    humans = {**fitted(left_hand_pose=np.zeros((N, 6)), gender=None), "scale": np.array([[0.0], [0.55]])}
    path = save(tmp_path / "r.pkl", {"humans": humans, "cam": {"fl": np.array([[500.0]])}})
    first, second = read_buddi(path)
    assert first.parameters["age"] == 0 and second.parameters["age"] == pytest.approx(0.55)
    assert np.allclose(second.own["transl"], humans["transl"][1]) and first.estimator == "buddi"
    with pytest.raises(SourceFormatError, match="dictionary with 'humans'"):
        read_buddi({"params": 1})


def test_write_amass_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must have 'transl'"):
        write_amass(tmp_path / "a.npz", {})
    with pytest.raises(ValueError, match="body_pose must have shape"):
        write_amass(
            tmp_path / "a.npz",
            {"transl": np.zeros(3), "global_orient": np.zeros(3), "body_pose": np.zeros(69)},
        )
    with pytest.raises(ValueError, match="model must be one of"):
        write_amass(tmp_path / "a.npz", fitted(), model="smpl")
