"""The examples of the common starting points run on made-up files of two people, and fit them."""

from __future__ import annotations

import pickle
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from apu_contacts import RegionMap
from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_contacts.sources import BEV_JOINTS, Camera, write_openpose
from apu_contacts.sources.names import MHR70_JOINTS
from apu_losses.bodies import load_body
from apu_losses.fitting import FitResult, Preset, Stage, load_parameters

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SIZE = (640, 480)
PLACES = [(-0.3, 0.1, 3.0), (0.3, 0.1, 3.1)]
UPRIGHT = [np.pi, 0.0, 0.0]
QUICK = Preset(
    "quick",
    {"keypoints": {}, "contact": {}},
    (Stage("short", {"keypoints": 0.02, "contact": 1e4}, ("body_pose", "transl"), 0.01, 2),),
)


@pytest.fixture(scope="module")
def people() -> dict[str, Any]:
    """Two bodies who face the camera: everything that an estimator could say of them."""
    body = load_body("free")
    pose = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (2, 63))).float()
    params = {"global_orient": torch.tensor([UPRIGHT] * 2), "body_pose": pose, "transl": torch.tensor(PLACES)}
    posed = body.pose(params)
    names = SKELETONS["coco_wholebody133"].joint_names
    points = body.keypoints(posed, "coco_wholebody133").double().numpy()
    present = body.keypoint_mask("coco_wholebody133").numpy()
    named = [dict(zip(body.joint_names, joints, strict=True)) for joints in posed.joints.double().numpy()]
    for k, person in enumerate(named):
        person.update({name: points[k, i] for i, name in enumerate(names) if present[i]})
    pelvis = posed.joints[:, 0].double().numpy()
    return {
        "pose": pose.numpy(),
        "pelvis": pelvis,
        "points": points,
        "named": named,
        "present": present,
        "vertices": posed.vertices().double().numpy(),
    }


@pytest.fixture
def folder(tmp_path: Path, people: dict[str, Any]) -> Path:
    """A picture and its 2D keypoints, a few pixels off."""
    Image.new("RGB", SIZE).save(tmp_path / "image.png")
    pixels = Camera.from_image_size(*SIZE).project(people["points"])
    pixels = pixels + np.random.default_rng(1).normal(0, 3, pixels.shape)
    confidence = np.where(people["present"], 0.9, 0.0)
    write_openpose(
        tmp_path / "openpose.json", [Keypoints2D("coco_wholebody133", xy, confidence) for xy in pixels]
    )
    np.savez(tmp_path / "keypoints.npz", keypoints=pixels, scores=np.tile(confidence, (2, 1)))
    return tmp_path


def stack(people: dict[str, Any], names: tuple[str | None, ...], origin: np.ndarray) -> np.ndarray:
    """``(2, J, 3)`` named points relative to an origin; 0 where the body has no such point."""
    zero = np.zeros(3)
    return np.array([
        [person[name] - origin[k] if name in person else zero for name in names]
        for k, person in enumerate(people["named"])
    ])  # fmt: skip


def run(name: str, *arguments: Any, **options: Any) -> FitResult:
    result: FitResult = runpy.run_path(str(EXAMPLES / name))["main"](*arguments, preset=QUICK, **options)
    return result


def check(result: FitResult, out: Path, people: dict[str, Any]) -> None:
    """The two stand where they did, and their files are there."""
    assert not result.failed and len(load_parameters(out.with_suffix(".npz"))[0]["transl"]) == 2
    pelvis = (
        load_body("free").pose({k: torch.as_tensor(v).float() for k, v in result.start.items()}).joints[:, 0]
    )
    # in any order: each example may count the people its own way
    near = np.linalg.norm(pelvis.numpy()[:, None] - people["pelvis"][None], axis=2)
    assert sorted(near.argmin(1)) == [0, 1] and near.min(1).max() < 0.12
    assert max(result.before.keypoint_error) < 12


def test_bev(folder: Path, people: dict[str, Any]) -> None:
    hips = np.array([(p["left_hip"] + p["right_hip"]) / 2 for p in people["named"]])
    joints = np.zeros((2, 71, 3))
    joints[:, : len(BEV_JOINTS)] = stack(people, BEV_JOINTS, hips)
    results = {
        "smpl_thetas": np.concatenate([np.tile(UPRIGHT, (2, 1)), people["pose"], np.zeros((2, 6))], 1),
        "smpl_betas": np.zeros((2, 11)),
        "cam_trans": hips,
        "joints": joints,
        "pj2d_org": Camera.from_image_size(*SIZE).project(joints + hips[:, None]),
        "center_confs": np.ones(2),
    }
    np.savez(folder / "bev.npz", results=np.array(results, dtype=object))
    check(run("03_start_from_bev.py", folder, folder / "out"), folder / "out", people)


def test_keypoints_alone(folder: Path, people: dict[str, Any]) -> None:
    result = run("14_start_from_keypoints.py", folder, folder / "out", tries=2)
    assert not result.failed and (folder / "out.npz").exists()
    assert max(result.before.keypoint_error) < 12 and result.notes[-1].startswith("from start")


def test_hmr2(folder: Path, people: dict[str, Any]) -> None:
    focal = 5000 / 256 * max(SIZE)
    far = people["pelvis"] * [1, 1, focal / Camera.from_image_size(*SIZE).focal]
    names = tuple("pelvis" if name == "mid_hip" else name for name in SKELETONS["body25"].joint_names)
    np.savez(
        folder / "hmr2.npz",
        global_orient=np.tile(UPRIGHT, (2, 1)),
        body_pose=np.concatenate([people["pose"], np.zeros((2, 6))], 1),
        betas=np.zeros((2, 10)),
        pred_cam_t_full=far,
        scaled_focal_length=focal,
        pred_keypoints_3d=stack(people, names, people["pelvis"]),
    )
    check(run("04_start_from_hmr2.py", folder, folder / "out"), folder / "out", people)


def test_sam3d_body(folder: Path, people: dict[str, Any]) -> None:
    camera = Camera.from_image_size(*SIZE)
    points = stack(people, MHR70_JOINTS, people["pelvis"])
    records = [
        {
            "pred_keypoints_3d": points[k],
            "pred_cam_t": people["pelvis"][k],
            "focal_length": np.float32(camera.focal),
        }
        for k in range(2)
    ]
    (folder / "sam3d.pkl").write_bytes(pickle.dumps(records))
    result = run("05_start_from_sam3d_body.py", folder, folder / "out")
    check(result, folder / "out", people)


@pytest.mark.filterwarnings("ignore:the region map of 'mhr' is transferred")
def test_meshes_of_sam3d_body(folder: Path, people: dict[str, Any]) -> None:
    points = stack(people, MHR70_JOINTS, people["pelvis"])
    order = np.random.default_rng(2).permutation(people["vertices"].shape[1])  # another mesh than ours
    records = [
        {
            "pred_keypoints_3d": points[k],
            "pred_vertices": people["vertices"][k][order] - people["pelvis"][k],
            "pred_cam_t": people["pelvis"][k],
            "focal_length": np.float32(Camera.from_image_size(*SIZE).focal),
        }
        for k in range(2)
    ]
    (folder / "sam3d.pkl").write_bytes(pickle.dumps(records))
    np.save(folder / "faces.npy", np.argsort(order)[load_body("free").faces.numpy()])
    result = run("12_meshes_of_sam3d_body.py", folder, folder / "out")
    assert not result.failed and set(result.parameters) == {"global_orient", "transl", "mesh"}
    regions = RegionMap.load(folder / "mhr_regions.npz")
    assert regions.kind == "transferred" and regions.topology == "mhr"
    # keypoints lie 1 to 3 cm from the joints of their name, as an estimator's do
    assert (regions.labels() == RegionMap.load("free").labels()[order]).mean() > 0.95
    again = run("12_meshes_of_sam3d_body.py", folder, folder / "out")  # with the map that was kept
    np.testing.assert_array_equal(again.parameters["transl"], result.parameters["transl"])


def test_fitted_parameters(folder: Path, people: dict[str, Any]) -> None:
    from apu_contacts.sources.conventions import MEAN_PELVIS

    np.savez(
        folder / "parameters.npz",
        global_orient=np.tile(UPRIGHT, (2, 1)),
        body_pose=people["pose"],
        betas=np.zeros((2, 10)),
        transl=people["pelvis"] - MEAN_PELVIS["smplx"],
    )
    check(run("06_start_from_fitted_parameters.py", folder, folder / "out"), folder / "out", people)
    with np.load(folder / "out.amass.npz") as archive:
        assert archive["poses"].shape == (2, 165)


def test_tracks_of_a_video(tmp_path: Path) -> None:
    from apu_contacts.sources import BodyTrack
    from apu_losses.fitting import FittedTrack

    tracks = []
    for name, place in zip(("ann", "bob"), PLACES, strict=True):
        values = {
            "global_orient": np.tile(UPRIGHT, (3, 1)),
            "body_pose": np.zeros((3, 63)),
            "transl": np.array(place) + 0.01 * np.arange(3)[:, None],
        }
        tracks.append(BodyTrack("mine", name, [4, 5, 6], values, "smplx"))
    main = runpy.run_path(str(EXAMPLES / "18_tracks_of_a_video.py"))["main"]
    files = main(tracks, tmp_path / "out", SIZE, QUICK)
    assert [file.name for file in files] == ["ann.npz", "bob.npz"]
    fitted = FittedTrack.load(files[0])
    assert fitted.frames.tolist() == [0, 1, 2] and fitted.parameters["body_pose"].shape == (3, 63)
