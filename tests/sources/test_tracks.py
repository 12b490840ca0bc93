"""Video estimators' files and pictures of 2026, each written in its documented layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from apu_contacts import Camera
from apu_contacts.keypoints import SKELETONS
from apu_contacts.sources import (
    BodyTrack,
    ConventionError,
    NoPeopleError,
    SourceFormatError,
    SourceMissingError,
    frames_together,
    keypoints_from_arrays,
    people_in_frame,
    read_buddi,
    read_gvhmr,
    read_human3r,
    read_multihmr,
    read_parameters,
    read_prompthmr,
    read_prompthmr_video,
    read_sam3d_body,
    read_smpl_codec,
    read_tram,
    read_tram_folder,
    read_wham,
    write_smpl_codec,
)
from apu_contacts.sources.conventions import MEAN_PELVIS
from apu_contacts.sources.names import ANNY_BONES, ANNY_JOINTS, MHR70_JOINTS, SMPLX_JOINTS

FRAMES = 4
SIZE = (1280, 720)


def rng() -> np.random.Generator:
    return np.random.default_rng(15)


def poses(joints: int, frames: int = FRAMES) -> np.ndarray:
    """``(F, joints, 3)`` small rotations, the root upright in the camera's frame."""
    pose = rng().normal(0, 0.2, (frames, joints, 3))
    pose[:, 0] = [np.pi - 0.1, 0.0, 0.1]
    return pose


def places(frames: int = FRAMES) -> np.ndarray:
    return rng().normal(0, 0.1, (frames, 3)) + np.array([0.3, 0.2, 4.0])


def matrices(pose: np.ndarray) -> np.ndarray:
    return Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape, 3)


def gvhmr() -> dict[str, Any]:
    pose = poses(22)
    part = {
        "body_pose": torch.tensor(pose[:, 1:].reshape(FRAMES, 63)),
        "betas": torch.ones(FRAMES, 10),
        "global_orient": torch.tensor(pose[:, 0]),
        "transl": torch.tensor(places()),
    }
    k = torch.tensor([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
    moved = {**part, "transl": part["transl"] + 1}
    return {
        "smpl_params_global": moved,
        "smpl_params_incam": part,
        "K_fullimg": k.repeat(FRAMES, 1, 1),
        "net_outputs": {"pred_context": torch.zeros(1, FRAMES, 5)},
    }


def test_gvhmr_in_the_camera_and_in_the_world(tmp_path: Path) -> None:
    path = tmp_path / "hmr4d_results.pt"
    torch.save(gvhmr(), path)
    track = read_gvhmr(path)
    assert (track.model, track.world, len(track)) == ("smplx", False, FRAMES)
    assert track.camera == Camera(1000, (640, 360))
    np.testing.assert_allclose(track.values["transl"], places(), atol=1e-12)
    estimate = track.estimate(2)
    assert estimate is not None and estimate.camera == track.camera
    np.testing.assert_allclose(estimate.joints[0], places()[2] + MEAN_PELVIS["smplx"], atol=1e-12)
    np.testing.assert_allclose(estimate.parameters["body_pose"], poses(22)[2, 1:].ravel(), atol=1e-12)
    world = read_gvhmr(path, world=True)
    assert world.world and world.estimate(0).camera is None  # type: ignore[union-attr]
    np.testing.assert_allclose(world.values["transl"], places() + 1, atol=1e-12)


def test_gem_names_the_same_differently_and_zooms() -> None:
    content = gvhmr()
    k = content["K_fullimg"].clone()
    k[2:, :2] *= 1.5
    gem = {"body_params_incam": content["smpl_params_incam"], "K_fullimg": k}
    track = read_gvhmr(gem, identity="left")
    assert track.identity == "left" and isinstance(track.camera, tuple)
    assert [c.focal for c in track.camera] == [1000, 1000, 1500, 1500]
    assert track.estimate(3).camera.focal == 1500  # type: ignore[union-attr]
    with pytest.raises(SourceFormatError, match=r"smpl_params_global or body_params_global.*found K_fullimg"):
        read_gvhmr(gem, world=True)


def wham() -> dict[int, dict[str, Any]]:
    pose = poses(24).reshape(FRAMES, 72)
    person = {
        "pose": pose,
        "trans": places(),
        "pose_world": pose + 0.1,
        "trans_world": places() * 0,
        "betas": np.ones((FRAMES, 10)),
        "verts": rng().normal(size=(FRAMES, 6890, 3)),
        "frame_ids": np.array([3, 4, 6, 7]),
    }
    return {0: person, 2: {**person, "frame_ids": np.array([6, 7, 8, 9])}}


def test_wham_keeps_identities_and_frames() -> None:
    one, other = read_wham(wham(), SIZE)
    assert (one.identity, other.identity, one.model) == ("0", "2", "smpl")
    assert one.camera == Camera(float(np.hypot(*SIZE)), (640, 360))  # its own assumption
    assert list(people_in_frame([one, other], 6)) == ["0", "2"]
    assert list(people_in_frame([one, other], 9)) == ["2"] and one.estimate(5) is None
    assert frames_together(one, other).tolist() == [6, 7]
    estimate = one.estimate(6)
    assert estimate is not None and estimate.vertices is not None
    np.testing.assert_array_equal(estimate.vertices, wham()[0]["verts"][2])
    np.testing.assert_array_equal(estimate.own["transl"], places()[2])
    assert estimate.parameters["body_pose"].shape == (63,)
    assert read_wham(wham())[0].camera is None
    assert read_wham(wham(), world=True)[0].values["global_orient"][0, 0] == pytest.approx(np.pi)
    with pytest.raises(NoPeopleError):
        read_wham({})
    with pytest.raises(SourceFormatError, match=r"person 0: expected 'pose'"):
        read_wham({0: {"a": 1}})


def tram() -> dict[str, Any]:
    turns = matrices(poses(24))
    return {
        "pred_cam": torch.zeros(FRAMES, 3),
        "pred_pose": torch.tensor(turns[..., :2].reshape(FRAMES, 144)),
        "pred_shape": torch.ones(FRAMES, 10),
        "pred_rotmat": torch.tensor(turns),
        "pred_trans": torch.tensor(places()[:, None]),
        "frame": torch.arange(10, 10 + FRAMES),
        "img_focal": 900.0,
        "img_center": np.array([640.0, 360.0]),
    }


def test_tram_is_a_pickled_dictionary_of_tensors(tmp_path: Path) -> None:
    for k in (10, 2):
        np.save(tmp_path / f"hps_track_{k}.npy", tram(), allow_pickle=True)  # type: ignore[arg-type]
    track = read_tram(tmp_path / "hps_track_10.npy")
    assert (track.identity, track.camera) == ("10", Camera(900, (640, 360)))
    assert track.frames.tolist() == [10, 11, 12, 13]
    np.testing.assert_allclose(track.values["body_pose"], poses(24)[:, 1:].reshape(FRAMES, 69), atol=1e-9)
    np.testing.assert_allclose(track.values["transl"], places())
    assert [t.identity for t in read_tram_folder(tmp_path)] == ["2", "10"]
    with pytest.raises(SourceMissingError, match="no file hps_track"):
        read_tram_folder(tmp_path / "none")


def prompthmr_video(hands: int) -> dict[str, Any]:
    pose = np.zeros((FRAMES, 55, 3))
    pose[:, :22] = poses(22)
    if hands == 55:
        pose[:, 25:] = 0.1
    cam = {
        "pose": pose[:, :hands].reshape(FRAMES, 3 * hands),
        "rotmat": np.concatenate([matrices(pose[:, :25]), np.zeros((FRAMES, 30, 3, 3))], 1),
        "shape": np.ones((FRAMES, 10)),
        "trans": places(),
        "contact": np.zeros((FRAMES, 6), dtype=bool),
    }
    world = {k: v for k, v in cam.items() if k != "pose"} | {"t_pose_pelvis": np.array([0.0, -0.4, 0.0])}
    person = {"frames": np.arange(5, 5 + FRAMES), "track_id": 1, "smplx_cam": cam, "smplx_world": world}
    camera = {"img_focal": 800.0, "img_center": np.array([600.0, 300.0])}
    return {"people": {1: person}, "camera": camera, "camera_world": camera, "has_tracks": True}


@pytest.mark.parametrize("joints", [25, 55])
def test_prompthmrs_video(joints: int) -> None:
    (track,) = read_prompthmr_video(prompthmr_video(joints))
    assert (track.identity, track.camera) == ("1", Camera(800, (600, 300)))
    assert track.frames.tolist() == [5, 6, 7, 8]
    assert ("left_hand_pose" in track.values) is (joints == 55)
    np.testing.assert_allclose(track.values["body_pose"], poses(22)[:, 1:].reshape(FRAMES, 63))
    (world,) = read_prompthmr_video(prompthmr_video(joints), world=True)  # zeros instead of hands' rotations
    np.testing.assert_allclose(world.values["body_pose"], poses(22)[:, 1:].reshape(FRAMES, 63), atol=1e-9)
    np.testing.assert_allclose(world.estimate(5).joints[0], places()[0] + [0, -0.4, 0])  # type: ignore[union-attr]


def test_prompthmr_that_ended_early_says_what_is_there() -> None:
    content = prompthmr_video(25)
    del content["people"][1]["smplx_cam"]
    with pytest.raises(SourceFormatError, match=r"person 1: smplx_cam is missing; found frames.*end early"):
        read_prompthmr_video(content)
    with pytest.raises(SourceFormatError, match="expected 'people' by identity"):
        read_prompthmr_video({"results": 1})


def test_prompthmr_on_a_picture_is_in_a_padded_square(tmp_path: Path) -> None:
    turns = matrices(poses(22, 2))
    focal = float(np.hypot(*SIZE))
    k = np.array([[focal * 0.7, 0, 448], [0, focal * 0.7, 448], [0, 0, 1]])  # 896 / 1280 = 0.7
    output = {
        "pose": torch.tensor(turns[..., :2].reshape(2, 132)),
        "rotmat": torch.tensor(turns),
        "betas": torch.ones(2, 10),
        "transl": torch.tensor(places(2)),
        "vertices": torch.zeros(2, 10475, 3) + torch.tensor([0, 0, 4.0]),
        "body_joints": torch.zeros(2, 44, 3),
        "cam_int": torch.tensor(np.stack([k, k])),
    }
    path = tmp_path / "output.pt"
    torch.save(output, path)
    people = read_prompthmr(path, SIZE)
    assert len(people) == 2 and people[0].vertices.shape == (10475, 3)  # type: ignore[union-attr]
    for person, pose, place in zip(people, poses(22, 2), places(2), strict=True):
        assert person.camera is not None and person.camera.focal == pytest.approx(focal)
        assert person.camera.center == pytest.approx((640, 360))
        np.testing.assert_allclose(person.parameters["body_pose"], pose[1:].ravel(), atol=1e-9)
        np.testing.assert_allclose(person.joints[0], place + MEAN_PELVIS["smplx"])
    tall = {**output, "cam_int": torch.tensor(np.stack([k + 30 * np.eye(3, k=2)] * 2))}
    assert any("principal point" in note for note in read_prompthmr(tall, SIZE)[0].notes)


def anny_person() -> dict[str, Any]:
    joints = rng().uniform(-0.4, 0.4, (163, 3)) + np.array([0, 0, 4])
    k = np.array([[1200.0, 0, 448], [0, 1200, 448], [0, 0, 1]])
    return {
        "K": k,
        "K_regressed": k,
        "loc": np.array([448.0, 448.0]),
        "transl": joints[103],
        "transl_pelvis": joints[:1],
        "rotvec": np.concatenate([np.full((1, 3), 0.4), np.zeros((162, 3))]),
        "rotmat": np.tile(np.eye(3), (163, 1, 1)),
        "shape": np.linspace(0.1, 0.9, 11),
        "v3d": joints[:10],
        "j3d": joints,
        "j2d": 1200 * joints[:, :2] / joints[:, 2:] + 448,
        "fov": np.array([60.0]),
    }


def test_multihmrs_anny_is_read_by_bone() -> None:
    (person,) = read_multihmr([anny_person()], SIZE)
    assert person.model == "anny" and len(person.joint_names) == 50
    assert person.camera is not None and person.camera.focal == pytest.approx(1200 * 1280 / 896)
    for name in ("pelvis", "left_knee", "right_elbow", "head", "left_index1", "right_pinky3"):
        bone = {"pelvis": "root", "left_knee": "lowerleg01.L", "right_elbow": "lowerarm01.R"} | {
            "head": "head",
            "left_index1": "finger2-1.L",
            "right_pinky3": "finger5-3.R",
        }
        at = anny_person()["j3d"][ANNY_BONES.index(bone[name])]
        np.testing.assert_array_equal(person.joints[person.joint_names.index(name)], at)
    assert person.raw["rotations"]["root"].tolist() == [0.4, 0.4, 0.4]
    assert person.raw["phenotypes"]["age"] == pytest.approx(0.18)
    assert ANNY_BONES[100:] == ("neck01", "neck02", "neck03", "head", "jaw")
    assert {j for j in ANNY_JOINTS if j} <= set(SMPLX_JOINTS)
    bent = anny_person()
    bent["j2d"] = bent["j2d"] + 100
    with pytest.raises(ConventionError, match="project"):
        read_multihmr([bent], SIZE)
    with pytest.raises(SourceFormatError, match="163 bones, got 100"):
        read_multihmr([{**anny_person(), "j3d": np.ones((100, 3))}], SIZE)


def human3r() -> dict[str, Any]:
    rotvec = np.zeros((2, 53, 3))
    rotvec[:, :22] = poses(22, 2)
    return {
        "shape": np.zeros((2, 10)),
        "rotvec": rotvec,
        "transl": places(2),
        "expression": np.zeros((2, 10)),
        "scores": np.array([0.9, 0.8]),
    }


def test_human3r_places_the_head(tmp_path: Path) -> None:
    from apu_losses.bodies import load_body
    from apu_losses.fitting import posed_estimate

    for folder in ("smpl", "camera"):
        (tmp_path / folder).mkdir()
    np.savez(tmp_path / "smpl" / "000000.npz", **human3r())
    k = np.array([[700.0, 0, 320], [0, 700, 240], [0, 0, 1]])
    np.savez(tmp_path / "camera" / "000000.npz", pose=np.eye(4), intrinsics=k)
    people = read_human3r(tmp_path / "smpl" / "000000.npz")
    assert [p.confidence for p in people] == [0.9, 0.8]
    assert people[0].joint_names == ("head",) and people[0].camera == Camera(700, (320, 240))
    posed = posed_estimate(people[1], load_body("free"))
    at = dict(zip(posed.joint_names, posed.joints, strict=True))
    np.testing.assert_allclose(at["head"], places(2)[1], atol=1e-6)
    # upright in a camera's frame: the pelvis lies below, half a metre or so
    assert 0.4 < at["pelvis"][1] - at["head"][1] < 0.8


def test_smpl_codec_there_and_back(tmp_path: Path) -> None:
    track = read_gvhmr(gvhmr(), identity="she")
    hands = rng().normal(0, 0.2, (FRAMES, 45))
    whole = BodyTrack("x", "she", track.frames, {**track.values, "left_hand_pose": hands}, "smplx")
    path = tmp_path / "she.smpl"
    write_smpl_codec(path, whole, frame_rate=25)
    with np.load(path) as file:
        assert file["bodyPose"].shape == (FRAMES, 22, 3) and int(file["frameCount"]) == FRAMES
        assert float(file["frameRate"]) == 25 and int(file["smplVersion"]) == 2
        assert file["shapeParameters"].shape == (10,) and file["leftHandPose"].shape == (FRAMES, 15, 3)
    back = read_smpl_codec(path)
    assert back.identity == "she" and back.world and back.model == "smplx"
    for name in ("global_orient", "body_pose", "transl", "left_hand_pose", "betas"):
        np.testing.assert_allclose(back.values[name], whole.values[name], atol=1e-12)


def test_smpl_codec_is_read_by_the_package_itself(tmp_path: Path) -> None:
    codec = pytest.importorskip("smplcodec")
    path = tmp_path / "a.smpl"
    write_smpl_codec(path, read_wham(wham())[0].cut(3, 5))  # type: ignore[arg-type]
    found = codec.SMPLCodec.from_file(path)
    assert found.frame_count == 2 and found.full_pose.shape == (2, 24, 3)


def test_what_smpl_codec_cannot_say(tmp_path: Path) -> None:
    gap = read_wham(wham())[0]
    with pytest.raises(ValueError, match="frames are missing"):
        write_smpl_codec(tmp_path / "a.smpl", gap)
    with pytest.raises(ValueError, match=r"must end in \.smpl"):
        write_smpl_codec(tmp_path / "a.npz", gap)
    np.savez(
        tmp_path / "skel.npz", bodyPose=np.zeros((1, 46)), bodyTranslation=np.zeros((1, 3)), smplVersion=5
    )
    with pytest.raises(SourceFormatError, match="smplVersion 5"):
        read_smpl_codec(tmp_path / "skel.npz")


def test_tracks_refuse_what_is_no_track() -> None:
    values = {"global_orient": np.zeros((2, 3)), "transl": np.ones((2, 3))}
    for frames, more, words in (
        ([1, 1], {}, "must rise"),
        ([1], {}, "a row a frame"),
        ([1, 2], {"transl": np.full((2, 3), np.nan)}, "not finite"),
        ([1, 2], {"transl": -np.ones((2, 3))}, "behind the camera"),
        ([0.5, 1], {}, "whole numbers"),
    ):
        with pytest.raises(SourceFormatError, match=words):
            BodyTrack("x", "1", np.array(frames), {**values, **more}, "smplx")
    with pytest.raises(SourceFormatError, match="model must be"):
        BodyTrack("x", "1", np.array([1, 2]), values, "mhr")
    with pytest.raises(SourceFormatError, match="1 cameras for 2"):
        BodyTrack("x", "1", np.array([1, 2]), values, "smpl", (Camera(1, (0, 0)),))


def test_a_cut_track_keeps_what_belongs_to_its_frames() -> None:
    track = read_wham(wham(), SIZE)[0]
    part = track.cut(4, 7)
    assert part is not None and part.frames.tolist() == [4, 6] and track.cut(20, 30) is None
    np.testing.assert_array_equal(part.vertices, track.vertices[1:3])  # type: ignore[index]


def test_motion_x_in_pictures_has_its_own_camera() -> None:
    content = {
        "img_size_wh": [1280, 720],
        "focal": [12474.9, 12474.9],
        "princpt": [594.2, 391.2],
        "root_pose": poses(1)[0, 0],
        "body_pose": np.zeros(63),
        "betas": np.zeros(10),
        "trans": np.array([-0.1, 0.3, 46.0]),
    }
    (person,) = read_parameters(content)
    assert person.camera == Camera(12474.9, (594.2, 391.2))
    given = Camera(10, (0, 0))
    assert read_parameters(content, camera=given)[0].camera == given


def test_buddis_focal_length_tells_of_another_picture() -> None:
    humans = {
        "global_orient": poses(1, 2)[:, 0],
        "body_pose": np.zeros((2, 63)),
        "transl": places(2),
        "betas": np.zeros((2, 10)),
        "scale": np.zeros((2, 1)),
    }
    content = {"humans": humans, "cam": {"fl": np.array([[433.0127]])}}
    assert len(read_buddi(content, (500, 332))) == len(read_buddi(content)) == 2
    with pytest.raises(ConventionError, match=r"500 px on its longer side, not of 800 x 440"):
        read_buddi(content, (800, 440))


def test_sam3ds_package_wraps_its_people(tmp_path: Path) -> None:
    points = rng().uniform(-0.5, 0.5, (70, 3))
    place = np.array([0.1, 0.2, 5.0])
    at = points + place
    person = {
        "pred_keypoints_3d": points,
        "pred_cam_t": place,
        "pred_keypoints_2d": 900 * at[:, :2] / at[:, 2:] + [640, 360],
    }
    wrapped = {"task": "body", "instances": [person, person]}
    assert len(read_sam3d_body(wrapped, SIZE)) == 2
    np.save(tmp_path / "a.npy", wrapped, allow_pickle=True)  # type: ignore[arg-type]
    assert len(read_sam3d_body(tmp_path, SIZE)) == 2


@pytest.mark.parametrize("count", [70, 308])
def test_sapiens_points_become_coco_wholebodys(count: int) -> None:
    xy = rng().uniform(10, 500, (2, count, 2))
    scores = rng().uniform(0.3, 1, (2, count))
    people = keypoints_from_arrays(xy, scores)
    for k, person in enumerate(people):
        assert person.skeleton == "coco_wholebody133"
        names = SKELETONS["coco_wholebody133"].joint_names
        for place, name in enumerate(MHR70_JOINTS):
            if name in names:
                assert np.array_equal(person.xy[names.index(name)], xy[k, place])
                assert person.confidence[names.index(name)] == scores[k, place]
        assert not person.confidence[23:91].any()  # the face
