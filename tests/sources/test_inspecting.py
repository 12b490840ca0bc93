"""`inspect_file`: each kind of file is told by what is in it, whatever it is called."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from apu_contacts.sources import InitialEstimate, inspect_file, which_body
from apu_contacts.sources.conventions import MEAN_PELVIS
from apu_contacts.sources.kinds import KINDS

REAL = Path(__file__).parents[2].parent / "shared" / "real"
SIZE = (1280, 720)


def person70() -> dict[str, np.ndarray[Any, Any]]:
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (70, 3))
    at = points + np.array([0, 0, 5])
    pixels = 900 * at[:, :2] / at[:, 2:] + [640, 360]
    return {"pred_keypoints_3d": points, "pred_cam_t": np.array([0, 0, 5.0]), "pred_keypoints_2d": pixels}


def rotations(*shape: int) -> np.ndarray[Any, Any]:
    return np.tile(np.eye(3), (*shape, 1, 1))


def contents() -> dict[str, Any]:
    place = np.array([[0.1, 0.2, 4.0]])
    body = {"global_orient": np.zeros((1, 3)), "body_pose": np.zeros((1, 63)), "transl": place}
    pose = np.zeros((2, 72))
    places = np.tile(place, (2, 1))
    anny = {
        "rotvec": np.zeros((163, 3)),
        "j3d": np.random.default_rng(2).normal(0, 0.2, (163, 3)) + np.array([0, 0, 4]),
    }
    xyc = np.concatenate([np.random.default_rng(0).uniform(9, 500, (17, 2)), np.ones((17, 1))], 1)
    open_pose = np.concatenate([np.random.default_rng(0).uniform(9, 500, (25, 2)), np.ones((25, 1))], 1)
    gap = open_pose.copy()
    gap[[1, 8]] = 0
    return {
        "sam3d": {"task": "body", "instances": [person70(), person70()]},
        "prompthmr_video": {
            "people": {
                3: {
                    "frames": np.arange(2),
                    "smplx_cam": {"pose": np.zeros((2, 66)), "trans": places, "shape": np.zeros((2, 10))},
                }
            },
            "camera": {"img_focal": 800.0, "img_center": np.array([640, 360])},
        },
        "gvhmr": {"smpl_params_incam": {**body, "betas": np.zeros((1, 10))}, "K_fullimg": np.eye(3)[None]},
        "tram": {
            "pred_rotmat": rotations(2, 24),
            "pred_trans": places[:, None],
            "pred_shape": np.zeros((2, 10)),
        },
        "prompthmr": {
            "rotmat": rotations(1, 22),
            "transl": place,
            "betas": np.zeros((1, 10)),
            "cam_int": np.array([[[700.0, 0, 448], [0, 700, 448], [0, 0, 1]]]),
        },
        "multihmr": [anny],
        "human3r": {"rotvec": np.zeros((1, 53, 3)), "transl": place, "shape": np.zeros((1, 10))},
        "smpl": {"bodyPose": np.zeros((1, 22, 3)), "bodyTranslation": place},
        "buddi": {"humans": {**body, "betas": np.zeros((1, 10)), "scale": np.zeros((1, 1))}},
        "camerahmr": {"pred_cam": np.zeros((1, 3)), "cam_int": np.eye(3)[None]},
        "hmr2": {"pred_smpl_params": {}, "pred_cam_t_full": place},
        "nlf": {"joints3d": [np.zeros((1, 24, 3))]},
        "smplerx": {"smplx_root_pose": np.zeros((1, 3)), "cam_trans": place},
        "smplifyx": {"camera_translation": place, "global_orient": np.zeros((1, 3))},
        "wham": {0: {"pose": pose, "trans": places, "betas": np.zeros((2, 10))}},
        "parameters": body,
        "flickr": {"a": {"bbxes": [], "ci_sign": []}},
        "vertex_contacts": {"contact_label_smplx": np.eye(1, 10475)},
        "vitpose": {"people": [{"pose_keypoints_2d": gap.ravel().tolist()}]},
        "openpose": {"people": [{"pose_keypoints_2d": open_pose.ravel().tolist()}]},
        "coco": [{"image_id": 1, "keypoints": xyc.ravel().tolist(), "score": 1.0}],
        "mediapipe": {"keypoints": np.zeros((1, 33, 2)), "scores": np.zeros((1, 33)), "landmarks": 0},
        "keypoints": {"keypoints": xyc[None, :, :2], "scores": np.ones((1, 17))},
        "mmpose": [{"keypoints": xyc[:, :2].tolist(), "keypoint_scores": [1.0] * 17}],
        "bev": {"results": {"smpl_thetas": np.zeros((1, 72)), "cam_trans": place}},
    }


READ = {
    *("sam3d", "prompthmr_video", "tram", "prompthmr", "human3r", "smpl", "buddi", "wham", "parameters"),
    *("vertex_contacts", "vitpose", "openpose", "coco", "keypoints", "mmpose", "multihmr", "gvhmr"),
}


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
def test_each_kind_is_recognised_by_its_content(tmp_path: Path, name: str) -> None:
    content = contents()[name]
    file = tmp_path / "anything.pkl"
    if name in ("openpose", "vitpose", "coco", "mmpose", "flickr"):
        file = tmp_path / "anything.json"
        file.write_text(json.dumps(content))
    else:
        file.write_bytes(pickle.dumps(content))
    found = inspect_file(file, SIZE)
    assert found.kind == name
    if name in READ:
        assert found.people and not found.refused and str(file) in found.use
    what = dict(found.rows())
    assert what["what"] and what["frame"] and what["units"]


def test_the_ending_does_not_matter(tmp_path: Path) -> None:
    for file, write in (
        ("a.npz", lambda p: torch.save(contents()["gvhmr"], p)),
        ("a.pkl", lambda p: torch.save(contents()["gvhmr"], p)),
        ("a.pt", lambda p: p.write_bytes(pickle.dumps(contents()["gvhmr"]))),
    ):
        write(tmp_path / file)
        assert inspect_file(tmp_path / file).kind == "gvhmr"


def test_without_a_size_it_says_how_to_give_one(tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "people.pkl"
    file.write_bytes(pickle.dumps(contents()["sam3d"]))
    found = inspect_file(file)
    assert "--size W H" in found.refused and found.use
    Image.new("RGB", SIZE).save(tmp_path / "people.png")
    found = inspect_file(file)
    assert not found.refused and any("1280 x 720 taken from people.png" in note for note in found.notes)
    assert len(found.people) == 2 and "focal length 900.0 px" in found.camera


def test_what_would_be_refused_and_why(tmp_path: Path) -> None:
    file = tmp_path / "people.pkl"
    content = contents()["sam3d"]
    content["instances"][0]["pred_keypoints_2d"][:] = np.random.default_rng(3).uniform(0, 700, (70, 2))
    file.write_bytes(pickle.dumps({**content, "instances": content["instances"][:1]}))
    found = inspect_file(file, SIZE)
    assert found.kind == "sam3d" and "no camera projects" in found.refused and not found.use


def test_files_that_no_reader_knows(tmp_path: Path) -> None:
    from PIL import Image

    np.savez(tmp_path / "a.npz", mesh=np.zeros((2, 10475, 3)), other=np.zeros(3))
    found = inspect_file(tmp_path / "a.npz")
    assert found.refused and "mesh (2, 10475, 3)" in found.left
    assert found.notes == ("mesh has as many vertices as SMPL-X",)
    np.savez(tmp_path / "b.npz", triangle_ids=np.zeros(595, int), baryc_coords=np.zeros((595, 3)))
    assert "level of detail 6" in inspect_file(tmp_path / "b.npz").notes[0]
    Image.new("RGB", (30, 20)).save(tmp_path / "c.jpg")
    assert "30 x 20" in inspect_file(tmp_path / "c.jpg").title
    (tmp_path / "d.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    assert "nothing was run" in inspect_file(tmp_path / "d.pkl").refused
    (tmp_path / "e.bin").write_bytes(b"\0\1\2")
    assert inspect_file(tmp_path / "e.bin").refused


def test_a_folder_of_one_person_a_file(tmp_path: Path) -> None:
    for k in range(3):
        np.savez(tmp_path / f"img_{k}.npz", **person70())
    found = inspect_file(tmp_path, SIZE)
    assert found.kind == "sam3d" and len(found.people) == 3 and "3 files" in found.title


def test_the_pelvis_tells_whose_parameters_they_are() -> None:
    """SMPL-H's parameters that somebody poses as SMPL-X's."""
    transl = np.array([0.5, 0.1, 3.0])
    for made in ("smpl", "smplx", "free"):
        for said in ("smpl", "smplx", "free"):
            joints = transl + np.stack([MEAN_PELVIS[made] + [0.01, -0.015, 0.01], np.ones(3)])
            one = InitialEstimate("x", {}, ("pelvis", "nose"), joints, model=said, own={"transl": transl})
            assert ("confirms" in which_body(one)) is (made == said)
            assert ("another body" in which_body(one)) is (made != said)
    mesh = InitialEstimate("x", {}, ("pelvis",), transl[None], model="smplx", vertices=np.zeros((6890, 3)))
    assert "SMPL and SMPL-H, not of smplx" in which_body(mesh)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
def test_every_real_file_is_known() -> None:
    kinds = {"bev.npz": "bev", "openpose.json": "openpose", "vitpose.json": "vitpose"}
    kinds |= {"interaction_contact_signature.json": "flickr"}
    seen = 0
    for file in sorted(REAL.rglob("*")):
        if file.is_dir() or file.suffix == ".md":
            continue
        found = inspect_file(file, (1920, 890) if "mhr" in file.parts else None)
        assert not found.refused, (file, found)
        wanted = "sam3d" if file.name.startswith("img_subj") else kinds.get(file.name, "")
        assert found.kind == wanted, file
        seen += 1
    assert seen > 40
    four = inspect_file(REAL / "mhr", (1920, 890))
    assert len(four.people) == 4 and "focal length 2535.3 px, centre (960.0, 445.0)" in four.camera
