"""Files in the layouts that the data sets document, made of scenes whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.spatial.transform import Rotation

from apu_losses.bodies import load_body as read_body
from apu_losses.evaluation import LSP14
from apu_losses.synthetic import TruthScene

# facts of the formats, typed here a second time so that the readers' own tables are checked
KINECT = [
    "pelvis",
    "spine2",
    "neck",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "left_middle1",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "right_middle1",
    "left_hip",
    "left_knee",
    "left_ankle",
    "left_foot",
    "right_hip",
    "right_knee",
    "right_ankle",
    "right_foot",
    "neck",
    "left_middle3",
    "left_thumb3",
    "right_middle3",
    "right_thumb3",
]
IMAR_LSP = {  # joint -> place among the 25
    "left_hip": 1, "left_knee": 2, "left_ankle": 3, "right_hip": 4, "right_knee": 5, "right_ankle": 6,
    "neck": 8, "head": 10, "left_shoulder": 11, "left_elbow": 12, "left_wrist": 13, "right_shoulder": 14,
    "right_elbow": 15, "right_wrist": 16,
}  # fmt: skip
SMPL = [
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_middle1",
    "right_middle1",
]
IN_FRONT = np.array([0.3, 1.1, 4.0])
"""Where the world's origin lies in a camera that looks at it upright: y down, z forward."""


@cache
def load_body():
    """The free body, read once for all tests."""
    return read_body()


def upright_camera(points: np.ndarray, turn: float = 0.0) -> np.ndarray:
    """World (y up) to camera (y down, z forward), people turned about the vertical first."""
    turned = points @ Rotation.from_euler("y", turn).as_matrix().T
    return turned * [1, -1, -1] + IN_FRONT


def joints_by_name(scene: TruthScene) -> dict[str, np.ndarray]:
    names = load_body().joint_names
    return {name: scene.joints[:, i].astype(float) for i, name in enumerate(names)}


def skeleton_text(frames: Sequence[np.ndarray], *, mirror: bool = False, states: int = 2) -> str:
    """A ``.skeleton`` file of ``(P, 25, 3)`` points in a camera's axes (x right, y down, z forward).

    Kinect's x axis points to the sensor's left. A mirrored picture has its columns the other way round.
    """
    lines = [str(len(frames))]
    for points in frames:
        lines.append(str(len(points)))
        for number, person in enumerate(points):
            lines += [f"7205759403792806{number} 0 1 1 0 0 0 0.02 -0.11 2", "25"]
            for x, y, z in person:
                u = 960 + 1060 * x / z
                u = 1920 - u if mirror else u
                v = 540 + 1060 * y / z
                values = [-x, -y, z, 256 + 365 * x / z, 212 + 365 * y / z, u, v, 1, 0, 0, 0]
                lines.append(" ".join(f"{value:.9g}" for value in values) + f" {states}")
    return "\n".join(lines) + "\n"


def kinect_points(scene: TruthScene, turn: float = 0.0) -> np.ndarray:
    """``(2, 25, 3)`` in a camera's axes."""
    named = joints_by_name(scene)
    return upright_camera(np.stack([named[name] for name in KINECT], 1), turn)


def smpl_subset() -> np.ndarray:
    """6890 vertices of the free body, those that its joints are regressed from among them; 411 is the top."""
    body = load_body()
    needed = np.flatnonzero((np.asarray(body.data.joint_regressor) != 0).any(0))
    rest = np.setdiff1d(np.arange(body.num_vertices), needed)
    ids = np.sort(np.concatenate([needed, rest[: 6890 - len(needed)]]))
    top = int(np.asarray(body.data.v_template)[:, 1].argmax())
    if top not in ids:
        ids[411] = top
    else:
        place = int(np.flatnonzero(ids == top)[0])
        ids[[411, place]] = ids[[place, 411]]
    return ids


def write_hi4d(
    root: Path, scenes: Sequence[TruthScene], *, frames_each: int = 6, camera: int = 4
) -> list[str]:
    """One recording a scene, every contact frame the same people a little further; every fifth's key."""
    ids = smpl_subset()
    keys = []
    for number, scene in enumerate(scenes):
        folder = root / f"pair{number:02d}" / f"{scene.interaction}{number:02d}"
        (folder / "smpl").mkdir(parents=True)
        (folder / "cameras").mkdir()
        rotation = Rotation.from_euler("xyz", [np.pi, 0.1 * number, 0.05]).as_matrix()
        pose = np.concatenate([rotation, np.array([[0.2], [1.0], [4.5]])], 1)
        np.savez(
            folder / "cameras" / "rgb_cameras.npz",
            ids=np.array([4, 16]),
            intrinsics=np.stack([np.diag([1200.0, 1200, 1])] * 2),
            extrinsics=np.stack([pose, pose]),
            dist_coeffs=np.zeros((2, 5)),
        )
        contacts = np.arange(10, 10 + frames_each)
        np.savez(
            folder / "meta.npz",
            start=np.array(3),
            end=np.array(60),
            num_persons=np.array(2),
            genders=np.array(["male", "female"]),
            contact_ids=contacts,
            mono_cam=np.array(16),
        )
        named = joints_by_name(scene)
        for frame in contacts:
            move = np.array([0.01 * (frame - 10), 0, 0])
            np.savez(
                folder / "smpl" / f"{frame:06d}.npz",
                verts=scene.vertices[:, ids].astype(float) + move,
                joints_3d=np.stack([named[name] for name in SMPL], 1) + move,
                contact=np.zeros((2, 6890), dtype=int),
                betas=np.zeros((2, 10)),
            )
        keys += [f"{number:02d}_{folder.name}_{camera}_{frame:06d}" for frame in contacts[::5]]
    return keys


def write_chi3d(root: Path, scenes: Sequence[TruthScene], *, frame: int = 3) -> list[str]:
    """One recording a scene by two cameras; the keys. ``joints3d_25`` only."""
    folder = root / "train" / "s03"
    (folder / "joints3d_25").mkdir(parents=True)
    signatures, keys = {}, []
    for number, scene in enumerate(scenes):
        action = f"{scene.interaction.capitalize()} {number + 1}"
        signatures[action] = {
            "fr_id": frame,
            "start_fr": 0,
            "end_fr": 5,
            "smplx_signature": {"region_id": [list(pair) for pair in scene.contact_regions]},
            "ghum_signature": {"region_id": []},
        }
        named = joints_by_name(scene)
        joints = np.full((2, 6, 25, 3), 9.0)
        for name, place in IMAR_LSP.items():
            joints[:, frame, place] = named[name]
        (folder / "joints3d_25" / f"{action}.json").write_text(json.dumps({"joints3d_25": joints.tolist()}))
        for camera in ("50591643", "58860488"):
            place = folder / "camera_parameters" / camera
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{action}.json").write_text(json.dumps({"extrinsics": chi3d_camera(camera)}))
            keys.append(f"s03_{action}_{frame:06d}_{camera}")
    (folder / "interaction_contact_signature.json").write_text(json.dumps(signatures))
    return keys


def chi3d_camera(camera: str) -> dict[str, list]:
    rotation = Rotation.from_euler("xyz", [np.pi, 0.4 if camera.startswith("5059") else -0.7, 0])
    return {"R": rotation.as_matrix().tolist(), "T": [[0.5, 1.2, 4.0]]}


def write_flickr(root: Path, scenes: Sequence[TruthScene]) -> list[str]:
    """One picture a scene with one annotated pair; the keys."""
    content, keys = {}, []
    for number, scene in enumerate(scenes):
        pairs = [list(pair) for pair in scene.contact_regions]
        ids = {"region_id": pairs, "vertex_id": [[0, 0]] * len(pairs), "face_id": [[0, 0]] * len(pairs)}
        content[f"girls_{number}"] = {
            "bbxes": [[0, 0, 10, 20], [10, 0, 20, 20]],
            "license": {},
            "ci_sign": [{"person_ids": [0, 1], "smplx": ids, "ghum": ids}],
        }
        keys.append(f"girls_{number}_0")
    (root / "test").mkdir(parents=True)
    (root / "test" / "interaction_contact_signature.json").write_text(json.dumps(content))
    return keys


def write_fit(folder: Path, key: str, **arrays: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{key}.npz", **arrays)


def transfer_matrix() -> sparse.csr_matrix:
    """From the 6890 vertices of `smpl_subset` to the free body: exact where the free body has them."""
    ids = smpl_subset()
    body = load_body()
    nearest = np.searchsorted(np.sort(ids), np.arange(body.num_vertices)).clip(0, 6889)
    columns = np.argsort(ids)[nearest]
    columns[ids] = np.arange(6890)
    return sparse.csr_matrix((np.ones(body.num_vertices), (np.arange(body.num_vertices), columns)))


def lsp_regressor() -> np.ndarray:
    """``(14, V)`` rows of the free body's own regressor, and its highest vertex."""
    body = load_body()
    rows = np.zeros((14, body.num_vertices))
    for row, name in enumerate(LSP14[:13]):
        rows[row] = np.asarray(body.data.joint_regressor)[body.joint_names.index(name)]
    rows[13, int(np.asarray(body.data.v_template)[:, 1].argmax())] = 1
    return rows


def hi4d_camera(root: Path, number: int) -> np.ndarray:
    """``(3, 4)`` extrinsics of the recording that `write_hi4d` made of a scene."""
    file = next((root / f"pair{number:02d}").rglob("rgb_cameras.npz"))
    pose: np.ndarray = np.load(file)["extrinsics"][0]
    return pose


def bev_person(vertices: np.ndarray, joints: dict[str, np.ndarray], focal: float) -> dict[str, np.ndarray]:
    """One person as BEV writes them, of the free body's mesh in a camera's axes.

    The 24 joints of SMPL, LSP's 14 as `lsp_regressor` has them, and SMPL's mesh; what else BEV gives lies at
    the pelvis.
    """
    lsp = lsp_regressor() @ vertices
    points = np.repeat(joints["pelvis"][None], 71, 0)
    points[:24] = np.stack([joints[name] for name in SMPL])
    points[24:45] = joints["head"]
    points[54:68] = lsp
    origin = lsp[2:4].mean(0)
    return {
        "smpl_thetas": np.zeros(72),
        "smpl_betas": np.zeros(11),
        "cam_trans": origin,
        "joints": points - origin,
        "pj2d_org": focal * points[:, :2] / points[:, 2:],
        "center_confs": np.array(0.9),
        "verts": vertices[smpl_subset()] - origin,
    }


def write_bev(path: Path, people: Sequence[dict[str, np.ndarray]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    results = {key: np.stack([person[key] for person in people]).astype(np.float32) for key in people[0]}
    np.savez(path, results=np.array(results, dtype=object))
