"""CHI3D: the annotated contact frame of each recording, seen by each camera.

.. code-block:: text

    DATA/train/s03/interaction_contact_signature.json     contact frame and region pairs of each recording
    DATA/train/s03/camera_parameters/CAMERA/ACTION.json
    DATA/train/s03/smplx/ACTION.json                      truth of meshes, with your own SMPL-X
    DATA/train/s03/joints3d_25/ACTION.json                truth of joints, without it
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from apu_contacts.sources import (
    CHI3D_JOINTS,
    Chi3dCamera,
    read_chi3d_camera,
    read_chi3d_joints,
    read_chi3d_signatures,
    read_chi3d_smplx,
)
from apu_losses.bodies import LinearBlendBody
from apu_losses.evaluation.datasets.folders import data_folder, first_folder, needed_file, trimmed
from apu_losses.evaluation.frames import FloatArray, TruthFrame, TruthSet, box_around
from apu_losses.evaluation.joint_sets import body_points

SUBJECTS = ("s03",)
"""The pair that BUDDI's evaluation holds out of the training part; 126 recordings by 4 cameras."""
_SIGNATURES = "interaction_contact_signature.json"


def chi3d_frames(
    data: str | Path,
    *,
    subjects: Sequence[str] = SUBJECTS,
    cameras: Sequence[str] | None = None,
    body: LinearBlendBody | None = None,
) -> TruthSet:
    """Return the contact frames of CHI3D in the frame of each camera.

    Frames are called ``SUBJECT_ACTION_FRAME_CAMERA``, ``"s03_Grab 1_000085_50591643"``; a fit may also lie
    under the name without the subject. Person 0 wears the markers.

    Args:
        data: the folder of the data set, or of its part ``train``.
        subjects: which pairs.
        cameras: which cameras; all where it is None.
        body: poses the SMPL-X truth; another body, or None: the truth is the 14 LSP joints of the mocap.

    Raises:
        FileNotFoundError: a file or folder is missing; it is named.
        ValueError: a file is something else.
    """
    root = data_folder(data, "CHI3D, with train/s03/")
    train = first_folder(root, ("train", "chi3d/train", "CHI3D/train", "."), "the training part")
    meshes = body is not None and body.name != "free" and body.num_vertices == 10475
    frames: list[TruthFrame] = []
    for subject in subjects:
        folder = data_folder(
            train / subject, f"the pair {subject}, with {_SIGNATURES}; --data names the folder with train/"
        )
        for action, contact in read_chi3d_signatures(folder / _SIGNATURES).items():
            if meshes and body is not None:
                path = needed_file(folder / "smplx" / f"{action}.json", "SMPL-X parameters")
                points, vertices = _posed(read_chi3d_smplx(path, contact.frame), body, path)
            else:
                path = needed_file(folder / "joints3d_25" / f"{action}.json", "joints")
                joints = read_chi3d_joints(path, contact.frame)
                points, vertices = {name: joints[:, place] for name, place in CHI3D_JOINTS.items()}, None
            for name in _cameras(folder, cameras):
                place = folder / "camera_parameters" / name / f"{action}.json"
                camera = read_chi3d_camera(needed_file(place, "a camera"))
                short = f"{action}_{contact.frame:06d}_{name}"
                seen = {key: _seen(value, camera) for key, value in points.items()}
                frames.append(
                    TruthFrame(
                        key=f"{subject}_{short}",
                        group=trimmed(action),
                        cluster=f"{subject}_{action}",
                        points=seen,
                        vertices=None if vertices is None else _seen(vertices, camera),
                        contacts=contact.contacts,
                        aliases=(short,) if len(subjects) == 1 else (),
                        picture=f"{subject}_{short}",
                        boxes=_boxes(seen, camera),
                    )
                )
    notes = (
        f"pairs {', '.join(subjects)}: {len(frames)} contact frames in all; published figures are of 440 of "
        "504 (four detectors saw both people) or 429 (eleven more were lost by a bug)",
        "person 0 is taken to be the one with markers, in joints and in region pairs alike",
    )
    return TruthSet("CHI3D", frames, notes)


def _cameras(folder: Path, wanted: Sequence[str] | None) -> list[str]:
    place = first_folder(folder, ("camera_parameters",), "camera parameters")
    found = sorted(item.name for item in place.iterdir() if item.is_dir())
    missing = [name for name in wanted or () if name not in found]
    if missing or not found:
        which, there = missing[0] if missing else "at all", ", ".join(found) or "nothing"
        raise FileNotFoundError(f"{place}: there is no camera {which}; found {there}")
    return found if wanted is None else list(wanted)


@torch.no_grad()
def _posed(
    params: dict[str, FloatArray], body: LinearBlendBody, path: Path
) -> tuple[dict[str, FloatArray], FloatArray]:
    size = body.parameter_specs["betas"].size
    if params["betas"].shape[1] < size:
        raise ValueError(f"{path}: betas must hold at least {size} numbers, got {params['betas'].shape[1]}")
    params = {**params, "betas": params["betas"][:, :size]}
    posed = body.pose(
        {name: torch.as_tensor(v, dtype=body.dtype, device=body.device) for name, v in params.items()}
    )
    vertices = posed.vertices().double().cpu().numpy()
    return body_points(body, vertices, posed.joints.double().cpu().numpy()), vertices


def _seen(points: FloatArray, camera: Chi3dCamera) -> FloatArray:
    seen: FloatArray = (points - camera.position) @ np.asarray(camera.rotation).T
    return seen


def _boxes(points: dict[str, FloatArray], camera: Chi3dCamera) -> FloatArray | None:
    """Boxes around the LSP joints, where the camera file says how to project."""
    if camera.focal is None or camera.center is None:
        return None
    joints = np.stack([points[name] for name in CHI3D_JOINTS], 1)
    if joints[..., 2].min() <= 0:
        return None
    return box_around(joints[..., :2] / joints[..., 2:] * camera.focal + camera.center)
