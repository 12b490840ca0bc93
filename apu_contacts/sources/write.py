"""What goes back into other tools: keypoints and body parameters in their layouts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.files import staged_file, write_text
from apu_contacts.keypoints import Keypoints2D, convert_keypoints
from apu_contacts.sources.checks import check_vectors

# (smplx's parameter, how many joints) in the order of the full pose
_SMPLH_POSE = (("global_orient", 1), ("body_pose", 21), ("left_hand_pose", 15), ("right_hand_pose", 15))
_SMPLX_POSE = (
    *_SMPLH_POSE[:2],
    ("jaw_pose", 1),
    ("leye_pose", 1),
    ("reye_pose", 1),
    *_SMPLH_POSE[2:],
)


def write_openpose(path: str | Path, people: Sequence[Keypoints2D], *, hands_and_face: bool = False) -> None:
    """Write people as OpenPose does (BODY_25), for `read_openpose` and whatever else reads its files.

    Args:
        path: the ``.json``.
        people: of any skeleton; joints that OpenPose does not have are lost, missing ones are 0, 0, 0.
        hands_and_face: write the hands and the face too.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, convert_keypoints, read_openpose, write_openpose
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/0001_keypoints.json"
        >>> write_openpose(path, [convert_keypoints(left, "body25")])
        >>> len(read_openpose(path))
        1
    """
    records = []
    for person in people:
        joints = _xyc(convert_keypoints(person, "body25_hands_face"))
        record: dict[str, Any] = {"person_id": [-1], "pose_keypoints_2d": joints[:25].ravel().tolist()}
        if hands_and_face:
            record["hand_left_keypoints_2d"] = joints[25:46].ravel().tolist()
            record["hand_right_keypoints_2d"] = joints[46:67].ravel().tolist()
            record["face_keypoints_2d"] = joints[67:].ravel().tolist()
        records.append(record)
    _write_json(path, {"version": 1.3, "people": records})


def write_coco_results(
    path: str | Path, images: Mapping[str, Sequence[Keypoints2D]], *, skeleton: str = "coco17"
) -> None:
    """Write people of images as COCO results, for `read_coco_results` and COCO's evaluation.

    Args:
        path: the ``.json``.
        images: people by image id; an id of digits is written as a number, as COCO has it.
        skeleton: ``"coco17"`` or ``"coco_wholebody133"``.
    """
    records = []
    for name, people in images.items():
        for person in people:
            converted = convert_keypoints(person, skeleton)
            seen = converted.confidence[converted.valid]
            records.append(
                {
                    "image_id": int(name) if name.isdigit() else name,
                    "category_id": 1,
                    "keypoints": _xyc(converted).ravel().tolist(),
                    "score": float(seen.mean()) if len(seen) else 0.0,
                }
            )
    _write_json(path, records)


def write_amass(path: str | Path, parameters: Mapping[str, ArrayLike], *, model: str = "smplx") -> None:
    """Write N people or frames as an AMASS-like ``.npz``: ``poses``, ``trans``, ``betas``, ``gender``.

    Args:
        path: the ``.npz``.
        parameters: ``(N, size)`` by smplx's names; ``transl`` and ``global_orient`` are needed, what else is
            missing is zero. Hands as axis-angle (45 numbers) relative to the flat hand, as AMASS has them:
            `apu_losses.bodies.flat_hand_pose` makes them of a body's own.
        model: ``"smplh"`` (156 numbers a pose) or ``"smplx"`` (165).

    Raises:
        ValueError: on an unknown model, a parameter that is missing, or of another shape.
    """
    layouts = {"smplh": _SMPLH_POSE, "smplx": _SMPLX_POSE}
    if model not in layouts:
        raise ValueError(f"model must be one of {', '.join(layouts)}, got {model!r}")
    for name in ("transl", "global_orient"):
        if name not in parameters:
            raise ValueError(f"parameters must have {name!r}, got {', '.join(parameters)}")
    count = len(np.atleast_2d(np.asarray(parameters["transl"])))
    parts = []
    for name, joints in layouts[model]:
        value = np.zeros((count, 3 * joints))
        if name in parameters:
            value = np.atleast_2d(np.asarray(parameters[name], dtype=np.float64))
            if value.shape != (count, 3 * joints):
                raise ValueError(f"{name} must have shape {(count, 3 * joints)}, got {value.shape}")
            check_vectors(value.reshape(count, joints, 3), name)
        parts.append(value)
    betas = np.atleast_2d(np.asarray(parameters.get("betas", np.zeros((1, 10))), dtype=np.float64))
    with staged_file(path if str(path).endswith(".npz") else f"{path}.npz") as part:
        np.savez(
            part,
            poses=np.concatenate(parts, axis=1),
            trans=np.atleast_2d(np.asarray(parameters["transl"], dtype=np.float64)),
            betas=betas,
            gender=np.array("neutral"),
            surface_model_type=np.array(model),
        )


def _xyc(keypoints: Keypoints2D) -> np.ndarray[Any, np.dtype[np.float64]]:
    xy = np.where(keypoints.valid[:, None], keypoints.xy, 0.0)
    return np.column_stack([xy, keypoints.confidence])


def _write_json(path: str | Path, content: Any) -> None:
    write_text(path, json.dumps(content) + "\n")
