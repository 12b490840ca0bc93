"""Readers of data sets' own files, and what they say of files that are something else."""

from __future__ import annotations

import json
import pickle

import dataset_layouts as layouts
import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.transform import Rotation

from apu_contacts.sources import (
    NTU_JOINTS,
    SourceFormatError,
    SourceMissingError,
    UnsafePickleError,
    read_chi3d_camera,
    read_chi3d_joints,
    read_chi3d_signatures,
    read_chi3d_smplx,
    read_hi4d_cameras,
    read_hi4d_frame,
    read_hi4d_meta,
    read_model_pickle,
    read_ntu_skeleton,
)

NAME = "S001C002P003R002A055.skeleton"


def write(path, text):
    path.write_text(text)
    return path


def test_a_skeleton_file_gives_back_what_was_written(tmp_path):
    rng = np.random.default_rng(0)
    frames = [rng.normal((0, 0, 4), size=(n, 25, 3)) for n in (2, 0, 1)]
    recording = read_ntu_skeleton(write(tmp_path / NAME, layouts.skeleton_text(frames)))
    assert (recording.setup, recording.camera, recording.performer) == (1, 2, 3)
    assert (recording.replication, recording.action) == (2, 55)
    assert [len(frame) for frame in recording.frames] == [2, 0, 1]
    for points, bodies in zip(frames, recording.frames, strict=True):
        for person, body in zip(points, bodies, strict=True):
            np.testing.assert_allclose(body.joints * [-1, -1, 1], person, rtol=1e-8)
            np.testing.assert_allclose(body.color[:, 0], 960 + 1060 * person[:, 0] / person[:, 2], rtol=1e-7)
            np.testing.assert_allclose(body.depth[:, 1], 212 + 365 * person[:, 1] / person[:, 2], rtol=1e-7)
            assert set(body.tracking) == {2}
    assert recording.frames[0][0].identity == 72057594037928060
    assert len(NTU_JOINTS) == 25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "ends in frame 0.*download complete"),
        (lambda text: text + "1.0 2.0", "2 numbers stand behind the last of 1 frames"),
        (lambda text: "<html>" + text, "expected the number of frames.*is it a .skeleton file"),
        (lambda text: text.replace("\n25\n", "\n20\n", 1), "frame 0, body 0: expected 25 joints, got 20"),
        (lambda text: text.replace("\n2\n", "\n9\n", 1), "expected frame 0: the number of bodies, at most 6"),
        (lambda text: text.replace(" 2\n", " 7\n", 4), "tracking states must be 0, 1 or 2"),
        (lambda text: text.replace("0.02", "wide", 1), "frame 0, body 0: expected numbers"),
    ],
)
def test_a_broken_skeleton_file_is_named_with_its_place(tmp_path, change, message):
    text = layouts.skeleton_text([np.random.default_rng(0).normal((0, 0, 4), size=(2, 25, 3))])
    path = write(tmp_path / NAME, change(text))
    with pytest.raises(SourceFormatError, match=message) as error:
        read_ntu_skeleton(path)
    assert str(path) in str(error.value)


def test_pixels_that_kinect_does_not_know_are_nan_and_a_name_is_checked(tmp_path):
    text = layouts.skeleton_text([np.ones((1, 25, 3))])
    values = text.split("\n")
    values[4] = " ".join([*values[4].split()[:5], "nan", "nan", *values[4].split()[7:]])
    body = read_ntu_skeleton(write(tmp_path / NAME, "\n".join(values))).frames[0][0]
    assert np.isnan(body.color[0]).all()
    assert np.isfinite(body.joints).all()
    with pytest.raises(SourceFormatError, match="expected a name such as S001C002P003R002A055"):
        read_ntu_skeleton(write(tmp_path / "other.skeleton", text))
    with pytest.raises(SourceMissingError):
        read_ntu_skeleton(tmp_path / "S001C001P001R001A001.skeleton")


def test_hi4d_files(tmp_path):
    np.savez(
        tmp_path / "meta.npz",
        start=np.array("12"),
        end=75,
        contact_ids=np.array([], dtype=int),
        genders=np.array(["male", "female"], dtype=object),
    )
    meta = read_hi4d_meta(tmp_path / "meta.npz")
    assert (meta.first, meta.last, meta.contact_frames, meta.mono_camera) == (12, 75, (), None)
    rotation = Rotation.from_euler("x", 1.0).as_matrix()
    pose = np.concatenate([rotation, [[1.0], [2], [3]]], 1)
    np.savez(tmp_path / "cam.npz", ids=[4], intirnsics=[np.eye(3)], extrinsics=[pose])
    camera = read_hi4d_cameras(tmp_path / "cam.npz")[4]
    np.testing.assert_array_equal(camera.rotation, rotation)
    np.testing.assert_array_equal(camera.translation, [1, 2, 3])
    np.savez(tmp_path / "cam.npz", ids=[4], intrinsics=[np.eye(3)], extrinsics=[2 * pose])
    with pytest.raises(SourceFormatError, match="extrinsics of camera 4 hold no rotation"):
        read_hi4d_cameras(tmp_path / "cam.npz")
    np.savez(tmp_path / "000001.npz", verts=np.zeros((2, 6890, 3)), joints_3d=np.zeros((2, 22, 3)))
    with pytest.raises(SourceFormatError, match=r"joints_3d must have shape \(2, 24, 3\), got \(2, 22, 3\)"):
        read_hi4d_frame(tmp_path / "000001.npz")
    np.savez(tmp_path / "000001.npz", vertices=np.zeros((2, 6890, 3)))
    with pytest.raises(SourceFormatError, match="the key 'verts' is missing, found vertices"):
        read_hi4d_frame(tmp_path / "000001.npz")


def test_chi3d_files(tmp_path):
    turns = Rotation.from_rotvec(np.random.default_rng(0).normal(size=(2, 2, 22, 3)).reshape(-1, 3))
    matrices = turns.as_matrix().reshape(2, 2, 22, 3, 3)
    content = {
        "global_orient": matrices[:, :, :1].tolist(),
        "body_pose": matrices[:, :, 1:].tolist(),
        "betas": np.arange(40.0).reshape(2, 2, 10).tolist(),
        "transl": np.arange(12.0).reshape(2, 2, 3).tolist(),
    }
    path = write(tmp_path / "Hug 1.json", json.dumps(content))
    found = read_chi3d_smplx(path, 1)
    back = Rotation.from_rotvec(found["body_pose"].reshape(-1, 3)).as_matrix().reshape(2, 21, 3, 3)
    np.testing.assert_allclose(back, matrices[:, 1, 1:], atol=1e-9)
    np.testing.assert_array_equal(found["transl"], [[3, 4, 5], [9, 10, 11]])
    with pytest.raises(SourceFormatError, match="there is no frame 2, got a list of 2"):
        read_chi3d_smplx(path, 2)
    joints = write(tmp_path / "j.json", json.dumps({"joints3d_25": np.ones((1, 3, 25, 3)).tolist()}))
    with pytest.raises(SourceFormatError, match="joints3d_25 must be a list of two people, got a list of 1"):
        read_chi3d_joints(joints, 0)
    camera = write(
        tmp_path / "c.json", json.dumps({"extrinsics": {"R": np.eye(3).tolist(), "T": [[1, 2, 3]]}})
    )
    np.testing.assert_array_equal(read_chi3d_camera(camera).position, [1, 2, 3])
    flipped = write(
        tmp_path / "f.json",
        json.dumps({"extrinsics": {"R": np.diag([1.0, 1, -1]).tolist(), "T": [1, 2, 3]}}),
    )
    with pytest.raises(SourceFormatError, match=r"extrinsics\.R is no rotation"):
        read_chi3d_camera(flipped)


def test_chi3d_signatures_are_not_those_of_flickr(tmp_path):
    ids = {"region_id": [[3, 40], [17, 23]]}
    good = {"Grab 1": {"fr_id": 85, "smplx_signature": ids, "ghum_signature": {"region_id": []}}}
    path = write(tmp_path / "s.json", json.dumps(good))
    found = read_chi3d_signatures(path)["Grab 1"]
    assert (found.frame, found.contacts.pairs.tolist()) == (85, [[3, 40], [17, 23]])
    assert len(read_chi3d_signatures(path, body="ghum")["Grab 1"].contacts) == 0
    good["Grab 1"]["smplx_signature"] = {"region_id": [[3, 75]]}
    with pytest.raises(SourceFormatError, match=r"Grab 1.*whole numbers from 0 to 74"):
        read_chi3d_signatures(write(path, json.dumps(good)))
    with pytest.raises(SourceFormatError, match=r"expected an object with 'fr_id'.*is this FlickrCI3D\?"):
        read_chi3d_signatures(write(path, json.dumps({"girls_1": {"bbxes": [], "ci_sign": []}})))


def test_a_matrix_too_large_to_be_filled_in_stays_sparse(tmp_path):
    rng = np.random.default_rng(0)
    places = rng.integers(0, 10475, 2000), rng.integers(0, 13780, 2000)
    matrix = sparse.coo_matrix((rng.normal(size=2000), places), shape=(10475, 13780)).tocsc()
    path = tmp_path / "smpl2smplx_deftrafo_setup.pkl"
    path.write_bytes(pickle.dumps({"mtx": matrix, "faces": np.arange(3)}, protocol=2))
    with pytest.raises(UnsafePickleError):
        read_model_pickle(path)
    found = read_model_pickle(path, sparse=True)["mtx"]
    assert sparse.issparse(found)
    assert abs(found - matrix).sum() == 0
