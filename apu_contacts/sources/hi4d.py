"""Hi4D: two people a recording as SMPL meshes, with cameras, in one folder a pair and action."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.sources._numpy_pickle import read_npz
from apu_contacts.sources.errors import SourceFormatError

SMPL_VERTICES = 6890


@dataclass(frozen=True)
class Hi4dRecording:
    """What ``meta.npz`` says.

    Args:
        contact_frames: numbers of the frames with physical contact, as the data set says.
        first, last: numbers of the first and the last frame.
        mono_camera: the camera that the data set chose for single-view tasks; None where it is not said.
    """

    contact_frames: tuple[int, ...]
    first: int
    last: int
    mono_camera: int | None


@dataclass(frozen=True, eq=False)
class Hi4dCamera:
    """One of the eight colour cameras: ``x = R X + t``, then ``K``.

    Args:
        intrinsics: ``(3, 3)`` pixels.
        rotation: ``(3, 3)`` from the world to the camera.
        translation: ``(3,)`` metres.
    """

    intrinsics: NDArray[np.float64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Hi4dFrame:
    """The two people of a frame, in the world.

    Args:
        vertices: ``(2, 6890, 3)`` metres, SMPL.
        joints: ``(2, 24, 3)`` metres, SMPL's joints.
        contact: ``(2, 6890)`` what the data set says of each vertex's contact; 0 is none. None where absent.
    """

    vertices: NDArray[np.float64]
    joints: NDArray[np.float64]
    contact: NDArray[np.float64] | None


def read_hi4d_meta(path: str | Path) -> Hi4dRecording:
    """Return a recording's ``meta.npz``.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: if it is missing, or is something else.
    """
    content = read_npz(path)
    frames = _whole(content, "contact_ids", str(path), empty=True)
    first, last = (_whole(content, key, str(path)) for key in ("start", "end"))
    mono = _whole(content, "mono_cam", str(path)) if "mono_cam" in content else None
    return Hi4dRecording(
        tuple(int(n) for n in frames), int(first[0]), int(last[0]), None if mono is None else int(mono[0])
    )


def read_hi4d_cameras(path: str | Path) -> dict[int, Hi4dCamera]:
    """Return the cameras of ``cameras/rgb_cameras.npz`` by their numbers (4, 16, 28, ...).

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: if it is missing, or is something else; a
            rotation that is none is named.
    """
    content = read_npz(path)
    ids = _whole(content, "ids", str(path))
    # the data set's own page spells the key so
    key = "intirnsics" if "intirnsics" in content else "intrinsics"
    intrinsics = _array(content, key, (len(ids), 3, 3), str(path))
    extrinsics = _array(content, "extrinsics", (len(ids), 3, 4), str(path))
    cameras = {}
    for number, own, pose in zip(ids, intrinsics, extrinsics, strict=True):
        rotation = pose[:, :3]
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
            raise SourceFormatError(f"{path}: extrinsics of camera {number} hold no rotation")
        cameras[int(number)] = Hi4dCamera(own, rotation, pose[:, 3])
    return cameras


def read_hi4d_frame(path: str | Path) -> Hi4dFrame:
    """Return the people of a file such as ``smpl/000012.npz``.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: if it is missing, or is something else.
    """
    content = read_npz(path)
    vertices = _array(content, "verts", (2, SMPL_VERTICES, 3), str(path))
    joints = _array(content, "joints_3d", (2, 24, 3), str(path))
    contact = None
    if "contact" in content:
        contact = _array(content, "contact", (2, SMPL_VERTICES), str(path))
    return Hi4dFrame(vertices, joints, contact)


def _array(content: dict[str, Any], key: str, shape: tuple[int, ...], where: str) -> NDArray[np.float64]:
    if key not in content:
        raise SourceFormatError(f"{where}: the key {key!r} is missing, found {', '.join(sorted(content))}")
    try:
        array = np.asarray(content[key], dtype=np.float64)
    except (TypeError, ValueError):
        raise SourceFormatError(f"{where}: {key} must hold numbers") from None
    if array.shape != shape:
        raise SourceFormatError(f"{where}: {key} must have shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise SourceFormatError(f"{where}: {key} holds a value that is not finite")
    return array


def _whole(content: dict[str, Any], key: str, where: str, *, empty: bool = False) -> NDArray[np.int64]:
    """Whole numbers of any shape, as a list; they may be kept as text."""
    if key not in content:
        raise SourceFormatError(f"{where}: the key {key!r} is missing, found {', '.join(sorted(content))}")
    try:
        numbers = np.asarray(content[key]).ravel().astype(np.float64)
    except (TypeError, ValueError):
        raise SourceFormatError(f"{where}: {key} must hold whole numbers") from None
    good = np.abs(numbers) < 1e9
    if not good.all() or (numbers != np.round(numbers)).any() or not (numbers.size or empty):
        raise SourceFormatError(f"{where}: {key} must hold whole numbers, got {numbers[:5].tolist()}")
    whole: NDArray[np.int64] = numbers.astype(np.int64)
    return whole
