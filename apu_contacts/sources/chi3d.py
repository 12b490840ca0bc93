"""CHI3D: two people in a laboratory, with cameras, joints, SMPL-X parameters and annotated contacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.contacts import ContactMap
from apu_contacts.regions.table import NUM_REGIONS
from apu_contacts.sources._json import kind, numbers, read_json_object
from apu_contacts.sources.conventions import axis_angle
from apu_contacts.sources.errors import SourceFormatError

CHI3D_JOINTS: Mapping[str, int] = MappingProxyType(
    {
        "right_ankle": 6,
        "right_knee": 5,
        "right_hip": 4,
        "left_hip": 1,
        "left_knee": 2,
        "left_ankle": 3,
        "right_wrist": 16,
        "right_elbow": 15,
        "right_shoulder": 14,
        "left_shoulder": 11,
        "left_elbow": 12,
        "left_wrist": 13,
        "neck": 8,
        "head_top": 10,
    }
)
"""The 14 joints of LSP among the 25 of ``joints3d_25``, as the data set's own evaluation picks them."""
_SIGNATURE = {"smplx": "smplx_signature", "ghum": "ghum_signature"}


@dataclass(frozen=True, eq=False)
class Chi3dContact:
    """The annotated moment of a recording.

    Args:
        frame: number of the frame, from 0.
        contacts: region pairs, person with markers first.
    """

    frame: int
    contacts: ContactMap


@dataclass(frozen=True, eq=False)
class Chi3dCamera:
    """A camera: ``x = R (X - T)``.

    Args:
        rotation: ``(3, 3)`` from the world to the camera.
        position: ``(3,)`` metres, of the camera in the world.
        focal: ``(2,)`` pixels, distortion left out; None where the file does not say.
        center: ``(2,)`` pixels, the principal point.
    """

    rotation: NDArray[np.float64]
    position: NDArray[np.float64]
    focal: NDArray[np.float64] | None = None
    center: NDArray[np.float64] | None = None


def read_chi3d_signatures(path: str | Path, *, body: str = "smplx") -> dict[str, Chi3dContact]:
    """Return the annotated contact frame of each recording, of a subject's
    ``interaction_contact_signature.json``.

    Args:
        path: the file.
        body: whose region ids to take, ``"smplx"`` or ``"ghum"``.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: if it has another layout; the recording is named.
        ValueError: on an unknown ``body``.
    """
    if body not in _SIGNATURE:
        raise ValueError(f"body must be 'smplx' or 'ghum', got {body!r}")
    return {
        name: _contact(entry, f"{path}: {name}", _SIGNATURE[body])
        for name, entry in read_json_object(path).items()
    }


def _contact(entry: Any, where: str, key: str) -> Chi3dContact:
    if not isinstance(entry, dict) or not isinstance(entry.get("fr_id"), int):
        hint = "; is this FlickrCI3D?" if isinstance(entry, dict) and "ci_sign" in entry else ""
        raise SourceFormatError(f"{where}: expected an object with 'fr_id', got {kind(entry)}{hint}")
    signature = entry.get(key)
    if not isinstance(signature, dict):
        raise SourceFormatError(f"{where}: {key} must be an object, got {kind(signature)}")
    ids = numbers(signature.get("region_id"), (-1, 2), f"{where}: {key}.region_id")
    whole = ids.astype(np.int64)
    if (whole != ids).any() or (whole < 0).any() or (whole >= NUM_REGIONS).any():
        raise SourceFormatError(f"{where}: {key}.region_id: ids must be whole numbers from 0 to 74")
    return Chi3dContact(int(entry["fr_id"]), ContactMap(whole))


def read_chi3d_camera(path: str | Path) -> Chi3dCamera:
    """Return a camera of ``camera_parameters/CAMERA/ACTION.json``.

    Raises:
        SourceMissingError, SourceFormatError: if it is missing, or is something else.
    """
    content = read_json_object(path)
    extrinsics = content.get("extrinsics")
    if not isinstance(extrinsics, dict):
        raise SourceFormatError(f"{path}: expected an object 'extrinsics', got {kind(extrinsics)}")
    rotation = numbers(extrinsics.get("R"), (3, 3), f"{path}: extrinsics.R")
    position = _flat(extrinsics.get("T"))
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise SourceFormatError(f"{path}: extrinsics.R is no rotation")
    place = numbers(position, (3,), f"{path}: extrinsics.T")
    pinhole = content.get("intrinsics_wo_distortion")
    if not isinstance(pinhole, dict) or "f" not in pinhole or "c" not in pinhole:
        return Chi3dCamera(rotation, place)
    focal, center = (
        numbers(_flat(pinhole[key]), (2,), f"{path}: intrinsics_wo_distortion.{key}") for key in ("f", "c")
    )
    return Chi3dCamera(rotation, place, focal, center)


def _flat(value: Any) -> Any:
    """Take a list out of a list of one, as MATLAB's row vectors come."""
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) else value


def read_chi3d_joints(path: str | Path, frame: int) -> NDArray[np.float64]:
    """``(2, 25, 3)`` metres in the world: both people of one frame of ``joints3d_25/ACTION.json``.

    Raises:
        SourceMissingError, SourceFormatError: if it is missing, something else, or has no such frame.
    """
    content = read_json_object(path)
    people = _people(content, "joints3d_25", str(path))
    return np.stack(
        [
            numbers(_frame(each, frame, f"{path}: joints3d_25"), (25, 3), f"{path}: joints3d_25")
            for each in people
        ]
    )


def read_chi3d_smplx(path: str | Path, frame: int) -> dict[str, NDArray[np.float64]]:
    """``(2, size)`` SMPL-X parameters in the world of one frame of ``smplx/ACTION.json``, by smplx's names.

    Rotations, matrices in the file, are axis-angle. Hands are left out: the file does not say whether they
    are relative to the mean hand.

    Raises:
        SourceMissingError, SourceFormatError: if it is missing, something else, or has no such frame.
    """
    content = read_json_object(path)
    found: dict[str, NDArray[np.float64]] = {}
    for key, joints in (("global_orient", 1), ("body_pose", 21)):
        rows = []
        for person, each in enumerate(_people(content, key, str(path))):
            where = f"{path}: {key} of person {person}"
            matrices = numbers(_frame(each, frame, where), (joints, 3, 3), where)
            rows.append(axis_angle(matrices, joints, where))
        found[key] = np.stack(rows)
    for key, size in (("betas", -1), ("transl", 3)):
        people = _people(content, key, str(path))
        found[key] = np.stack(
            [numbers(_frame(each, frame, f"{path}: {key}"), (size,), f"{path}: {key}") for each in people]
        )
    return found


def _people(content: dict[str, Any], key: str, where: str) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list) or len(value) != 2:
        raise SourceFormatError(f"{where}: {key} must be a list of two people, got {kind(value)}")
    return value


def _frame(value: Any, frame: int, where: str) -> Any:
    if not isinstance(value, list) or not 0 <= frame < len(value):
        raise SourceFormatError(f"{where}: there is no frame {frame}, got {kind(value)}")
    return value[frame]
